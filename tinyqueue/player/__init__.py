"""A player: the stage with its environments, and the loop that plays tasks on it."""
