"""polytrade: an open system for trading Polymarket, from paper to live, on real feeds."""

__version__ = "0.1.0"
