"""``sessions.db``: which session batches were accepted, and the log of those that are kept."""
