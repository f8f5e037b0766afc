"""Programs that run on a host."""
