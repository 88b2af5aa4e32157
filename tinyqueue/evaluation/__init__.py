"""Evaluation episodes ("games") of a pinned policy, and what they say about it."""
