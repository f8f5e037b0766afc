"""Programs that run on a host for `config`."""
