"""Starting and stopping job-runner."""
