"""The trio shell around the pure core: one file for each kind of task."""
