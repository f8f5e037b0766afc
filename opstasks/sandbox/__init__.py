"""Real hosts on this machine, to try opstasks on: systemd, sshd, sudo, Docker, job-runner."""
