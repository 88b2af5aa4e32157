"""The model of an experiment that names none."""

from __future__ import annotations

from typing import Any

import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.models.default import is_default_of, with_default_model
from tinyqueue.models.multi_input import MultiInputConfig

VECTOR: Space = {"": Leaf("float32", (4,))}
IMAGE: Space = {"": Leaf("uint8", (10, 10, 3), low=0.0, high=255.0)}
BOTH: Space = {"camera": IMAGE[""], "arm": VECTOR[""]}


def experiment(**model: Any) -> Experiment:
    return make_experiment({"environment": {"id": "Any-v0"}, **({"model": model} if model else {})})


@pytest.mark.parametrize("space", [IMAGE, BOTH])
def test_observations_with_an_image_get_torsos_of_each_kind(space: Space):
    found = with_default_model(experiment(), space)

    assert (found.model_name, found.model) == ("multi-input", MultiInputConfig())
    # Once written down, it is chosen for good.
    kept = make_experiment(found.document())
    assert with_default_model(kept, VECTOR) == kept == found


def test_vectors_keep_the_perceptron():
    given = experiment()
    assert with_default_model(given, VECTOR) is given
    assert given.model_name == "mlp"


def test_a_named_model_is_kept():
    given = experiment(name="mlp")
    assert with_default_model(given, IMAGE) is given


def test_settings_without_a_name_go_to_the_model_that_has_them():
    found = with_default_model(experiment(core="lstm", hidden=[32]), BOTH)
    assert found.model == MultiInputConfig(core="lstm", hidden=(32,))

    perceptrons = experiment(shared=True)
    assert with_default_model(perceptrons, BOTH) is perceptrons


def test_a_run_goes_on_under_the_file_that_began_it():
    given = experiment(core="gru")
    kept = with_default_model(given, IMAGE)

    assert is_default_of(given, kept)
    assert not is_default_of(experiment(), kept)
    assert not is_default_of(experiment(name="mlp", core="gru"), kept)
