"""Programs that run on a host, as root, for `manage` and `users.disable`."""
