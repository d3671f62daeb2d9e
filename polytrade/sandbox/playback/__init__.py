"""Captures played back as a venue: every frame at its time, to whoever asked for it."""
