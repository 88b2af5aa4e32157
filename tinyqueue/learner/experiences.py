"""The former name of ``learner/make_experience.py``, which ``learner/service.py`` imports."""

from tinyqueue.learner.make_experience import make_experience

__all__ = ["make_experience"]
