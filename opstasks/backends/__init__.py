"""What `manage` applies: a description for every backend, over a common base."""
