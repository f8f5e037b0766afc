"""Jobs: list them, show their output and resource use, kill and retry them."""
