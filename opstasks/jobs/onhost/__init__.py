"""Programs of the jobs commands that run on a host."""
