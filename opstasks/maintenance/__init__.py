"""Pauses and reboots: pause, unpause, prepare-reboot, scheduled, scheduled.cancel, after-reboot."""
