"""Environments: building them by Gymnasium id, their spaces as data, and what a name may mean."""
