"""What runs on a host for pauses and reboots."""
