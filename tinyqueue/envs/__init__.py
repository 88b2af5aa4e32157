"""Environments: finding and building them by Gymnasium id, and their spaces as data."""
