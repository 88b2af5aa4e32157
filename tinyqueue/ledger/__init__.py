"""``sessions.db``: the fate of every session batch, and a log of those that are kept."""
