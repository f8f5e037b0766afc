"""What operators see: tables, JSON, progress. Nothing else prints."""
