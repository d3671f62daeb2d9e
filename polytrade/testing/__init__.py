"""Public fakes and helpers for tests, those of plugin authors included."""
