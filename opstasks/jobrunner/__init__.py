"""The domain: what a job is and where its state lives. Reads through sqlite, never writes."""
