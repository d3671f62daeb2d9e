"""`python -m polytrade` is the `polytrade` program."""

import sys

from polytrade.cli import main

sys.exit(main())
