"""Graph passes, one per file, and the order in which an export runs them (`sequence`)."""
