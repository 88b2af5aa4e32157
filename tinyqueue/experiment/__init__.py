"""What is trained: one frozen, typed schema, read from TOML, and the part that players need.

An :class:`~tinyqueue.experiment.experiment.Experiment` is what a person writes. A
:class:`~tinyqueue.experiment.play_spec.PlaySpec` is what the learner derives from it for the
players, kept as JSON in the store.
"""
