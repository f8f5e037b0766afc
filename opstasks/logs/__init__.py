"""`logs`: the log of the service."""
