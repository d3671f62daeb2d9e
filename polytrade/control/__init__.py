"""The control plane: what an operator reads and commands over HTTP, away from the tick path."""
