"""Polymarket: its messages, its markets, its sockets."""
