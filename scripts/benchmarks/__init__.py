"""What `scripts/bench.py` measures, one module a group of cases."""
