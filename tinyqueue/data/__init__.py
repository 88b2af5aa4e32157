"""What a session is: arrays, invariants, episode statistics, schedules, seeds. Pure NumPy."""
