"""Report files: what a run did, told under three fill models, and what the figures rest on."""
