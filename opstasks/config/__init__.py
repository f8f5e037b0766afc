"""Show, check and change job-runner's configuration."""
