"""Run directories of another version, and documents that are given another algorithm."""

from typing import Any

import pytest

from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.catalogue import make_experiment, presets
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.components import without_former
from tinyqueue.experiment.documents import read_document
from tinyqueue.experiment.older import known_environment, known_only, new_since, told
from tinyqueue.models.registry import MODELS

ALGORITHM_CONFIGS = {name: algorithm.Config for name, algorithm in ALGORITHMS.items()}
MODEL_CONFIGS = {name: entry.config for name, entry in MODELS.items()}
KNOWN: Any = {"algorithms": ALGORITHM_CONFIGS, "models": MODEL_CONFIGS}
WHOLE = {name: make_experiment(read_document(path)).document() for name, path in presets().items()}
KINDS = {
    (
        document["algorithm"]["name"],
        document["model"].get("name"),
        "atari" in document["environment"],
    ): name
    for name, document in WHOLE.items()
}
"""A preset of each kind: settings of a section have the same defaults in all of them."""


def leaves(document):
    for section, table in document.items():
        for key in table if isinstance(table, dict) else ():
            if key not in ("id", "name"):
                yield section, key


def without(document, section, key):
    table = {name: value for name, value in document[section].items() if name != key}
    return {**document, section: table}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS.values())
def test_every_setting_that_a_run_did_not_have_is_told_with_todays_default(name):
    document = WHOLE[name]
    for section, key in leaves(document):
        older = without(document, section, key)

        known, gone = known_only(older, **KNOWN)
        try:
            today = make_experiment(known).document()
        except ConfigError:
            continue  # Its default does not fit the others: refused, with both named.

        assert gone == []
        if key in today[section] and not isinstance(today[section][key], dict):
            assert new_since(older, today) == [
                entry for entry in new_since({}, today) if entry.startswith(f"{section}.{key} = ")
            ]


@pytest.mark.parametrize("section", ["environment", "algorithm", "model", "session", "learner",
                                     "evaluation", "stop"])  # fmt: skip
def test_settings_that_there_are_no_longer_are_left_out_wherever_they_are(section):
    document = WHOLE["cartpole-impala"]
    table = {**document.get(section, {}), "of_before": 3}

    known, gone = known_only({**document, section: table}, **KNOWN)

    assert gone == [f"{section}.of_before"]
    assert make_experiment(known).document() == document


def test_tables_and_atari_settings_that_there_are_no_longer_are_left_out():
    document = WHOLE["pong-ppo"]
    atari = {**document["environment"]["atari"], "ghosts": True}
    environment = {**document["environment"], "atari": atari}

    known, gone = known_only(
        {**document, "environment": environment, "flags": {"a": 1}, "old": 2}, **KNOWN
    )

    assert gone == ["[flags]", "old", "environment.atari.ghosts"]
    assert make_experiment(known).document() == document


def test_an_algorithm_that_there_is_no_longer_is_refused_by_its_name():
    known, _ = known_only({"algorithm": {"name": "reinforce", "gamma": 1.0}}, **KNOWN)

    with pytest.raises(UnknownNameError, match="reinforce"):
        make_experiment({**known, "environment": {"id": "CartPole-v1"}})


def test_an_environment_of_a_checkpoint_is_completed_with_todays_defaults():
    today = make_experiment({"environment": {"id": "CartPole-v1"}}).environment.model_dump()

    assert known_environment({"id": "CartPole-v1", "of_before": 1}) == today


def test_both_are_told_in_one_line():
    assert told([], []) == ""
    assert told(["session.slots = 8"], ["learner.x"]) == (
        "settings new since then are at their defaults: session.slots = 8; "
        "settings that no longer exist are left out: learner.x"
    )


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("algorithm", ALGORITHM_CONFIGS)
@pytest.mark.parametrize("keeps_shared", [True, False])
def test_any_preset_can_be_given_any_algorithm(name, algorithm, keeps_shared):
    document = read_document(presets()[name])

    changed, gone = without_former(
        document, {"algorithm": algorithm}, **KNOWN, keeps_shared=keeps_shared
    )

    experiment = make_experiment({**changed, "algorithm": {**changed["algorithm"],
                                                           "name": algorithm}})  # fmt: skip
    assert experiment.algorithm_name == algorithm
    if document["algorithm"]["name"] != algorithm and not keeps_shared:
        assert experiment.algorithm == ALGORITHM_CONFIGS[algorithm]()
        assert {f"algorithm.{key}" for key in document["algorithm"]} - {"algorithm.name"} <= set(
            gone
        )


@pytest.mark.parametrize("model", MODEL_CONFIGS)
def test_any_preset_can_be_given_any_model(model):
    for path in presets().values():
        changed, _ = without_former(
            read_document(path), {"model": model}, **KNOWN, keeps_shared=False
        )

        assert make_experiment({**changed, "model": {**changed["model"], "name": model}})


def test_a_key_that_belongs_to_neither_algorithm_is_left_to_be_refused():
    document = {"algorithm": {"name": "impala", "gama": 0.9, "rho_clip": 2.0, "gamma": 0.5}}

    changed, gone = without_former(document, {"algorithm": "ppo"}, **KNOWN, keeps_shared=True)

    assert changed["algorithm"] == {"name": "ppo", "gama": 0.9, "gamma": 0.5}
    assert gone == ["algorithm.rho_clip"]
