"""Deploy job-runner releases, and roll them back."""
