"""A player: the stage, with its environments and open sessions, and the loop that plays tasks on it."""
