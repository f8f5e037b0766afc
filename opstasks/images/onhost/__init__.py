"""Programs that run on the host: list images, pull them, move names to them."""
