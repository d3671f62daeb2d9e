"""The local venue: Polymarket and the exchanges on loopback, alive or played back from captures.

Real sockets and real HTTP, so that a daemon meets here what it will meet outside: subscriptions,
keepalives, initial books, hashes, Gamma pages, orders and fills, and every fault it must live
through.
"""
