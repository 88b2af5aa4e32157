"""A run whose model was chosen by its observations goes on under the file that began it."""

from __future__ import annotations

from tinyqueue.catalogue import make_experiment
from tinyqueue.cli.learner import _as_given
from tinyqueue.data.spaces import Leaf
from tinyqueue.models.default import with_default_model

IMAGE = {"": Leaf("uint8", (10, 10, 3), low=0.0, high=255.0)}


def test_a_model_that_was_chosen_at_start_is_still_the_same_experiment():
    given = make_experiment({"environment": {"id": "CartPole-v1"}, "model": {"core": "gru"}})
    kept = make_experiment(with_default_model(given, IMAGE).document())
    assert kept.model_name == "multi-input"
    assert _as_given(kept, given) == given.document()

    named = make_experiment({"environment": {"id": "CartPole-v1"}, "model": {"name": "mlp"}})
    assert _as_given(kept, named) != named.document()
