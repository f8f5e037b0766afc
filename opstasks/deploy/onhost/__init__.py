"""Programs that run on the host: what a deploy reads, and its steps."""
