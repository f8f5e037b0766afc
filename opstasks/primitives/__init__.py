"""One small module per program of a host: what to run, and how to read its answer."""
