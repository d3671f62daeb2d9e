"""The local venue: Polymarket and the exchanges on loopback, played back from captures.

Real sockets and real HTTP, so that a daemon meets here what it will meet outside: subscriptions,
keepalives, initial books, hashes, Gamma pages, and every fault it must live through.
"""

from polytrade.sandbox.options import PlaybackOptions
from polytrade.sandbox.serve import main, serve

__all__ = ["PlaybackOptions", "main", "serve"]
