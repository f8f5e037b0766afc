"""Programs that run on the host: one sync run, its units, and its state."""
