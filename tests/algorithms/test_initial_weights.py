"""Starting from the weights of another run or of a sample."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tinyqueue.algorithms.initial_weights import (
    InitialWeights,
    initialise,
    read_initial_weights,
    start_from,
)
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import CheckpointError
from tinyqueue.models.keras_import import import_keras
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.run_directory import RunDirectory

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "pong"


def algorithm(**shapes: tuple[int, ...]) -> Any:
    """Something that keeps zeros of these shapes, by name with ``__`` for ``/``."""
    tf, _ = import_keras()
    kept = {name.replace("__", "/"): tf.Variable(np.zeros(s, "f4")) for name, s in shapes.items()}
    return SimpleNamespace(kept=kept)


def weights(**arrays: Any) -> InitialWeights:
    named = {name.replace("__", "/"): np.asarray(a, np.float32) for name, a in arrays.items()}
    return InitialWeights(named, "runs/a/1 at 10 env steps")


def now(made: Any) -> dict[str, Any]:
    return {name: variable.numpy().tolist() for name, variable in made.kept.items()}


def test_weights_are_taken_where_name_and_shape_agree() -> None:
    made = algorithm(model__dense=(2,), model__q=(3,), model__new=(1,), optimiser__first=(2,))

    taken = start_from(
        made, weights(model__dense=[1, 2], model__q=[1, 2], model__old=[5], optimiser__first=[9, 9])
    )

    assert now(made) == {
        "model/dense": [1.0, 2.0],
        "model/q": [0.0] * 3,
        "model/new": [0.0],
        "optimiser/first": [0.0, 0.0],
    }
    assert taken.names == ("model/dense",)
    assert taken.differ == {"model/q": "[2] there and [3] here"}
    assert "1 of another shape (q is [2] there and [3] here)" in taken.left
    assert "1 only in this network, and as it was initialised (new)" in taken.left
    assert "model/old" in taken.only_there


@pytest.mark.parametrize(("trained", "target"), [("model/", "target/"), ("critic/0/", "target/0/")])
def test_a_target_network_becomes_a_copy_where_the_source_has_none(
    trained: str, target: str
) -> None:
    names = {f"{trained}dense".replace("/", "__"): (2,), f"{target}dense".replace("/", "__"): (2,)}
    made = algorithm(**names)

    taken = start_from(made, weights(**{f"{trained}dense".replace("/", "__"): [1, 2]}))

    assert now(made)[f"{target}dense"] == [1.0, 2.0]
    assert (taken.names, taken.left) == ((f"{trained}dense",), "")


def test_a_target_network_of_the_source_is_taken_as_it_is() -> None:
    made = algorithm(model__dense=(1,), target__dense=(1,))

    start_from(made, weights(model__dense=[1], target__dense=[2]))

    assert now(made) == {"model/dense": [1.0], "target/dense": [2.0]}


def test_nothing_that_agrees_is_an_error_which_lists_what_differs() -> None:
    made = algorithm(model__dense=(2, 2), model__q=(3,))

    with pytest.raises(
        CheckpointError, match=r"dense is \[4, 2\] there and \[2, 2\] here"
    ) as error:
        start_from(made, weights(model__dense=np.ones((4, 2)), model__logits=[1]))

    assert "only in the source (logits)" in str(error.value)
    assert now(made)["model/dense"] == [[0.0] * 2] * 2


def test_many_names_are_counted() -> None:
    made = algorithm(model__a=(1,), **{f"model__{n}": (2,) for n in range(9)})

    taken = start_from(made, weights(model__a=[1]))

    assert "9 only in this network" in taken.left
    assert "0, 1, 2, 3 and 5 more" in taken.left


def test_a_sample_has_the_weights_of_its_acting_half() -> None:
    read = read_initial_weights(SAMPLE)

    assert read.arrays["model/convolution_0/kernel"].shape == (8, 8, 4, 16)
    assert "2,180,782 env steps" in read.source


def test_where_nothing_was_trained_there_is_nothing_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint to start from"):
        read_initial_weights(tmp_path)


def checkpoint(state: Arrays) -> Checkpoint:
    return Checkpoint(40, 1, 5, {}, state, b"", {})


def test_a_run_starts_from_them_once_and_never_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    state = {"model/dense": np.array([1.0, 2.0], np.float32), "optimiser/x": np.ones(1, "f4")}
    Checkpoints(source / "checkpoints", 1).save(checkpoint(state))
    run = RunDirectory.create(
        tmp_path / "runs", {"name": "tuned", "environment": {"id": "x"}}, {"init_from": str(source)}
    )
    made = cast(Any, algorithm(model__dense=(2,)))

    said = initialise(run, made)

    assert "1 of 1 arrays, dense; the optimiser begins anew" in said[0]
    assert len(said) == 1
    assert now(made)["model/dense"] == [1.0, 2.0]

    # When the run has a checkpoint of its own
    Checkpoints(run.path / "checkpoints", 1).save(checkpoint(state))
    again = algorithm(model__dense=(2,))
    assert initialise(run, again) == []
    assert now(again)["model/dense"] == [0.0, 0.0]
    run.close()
