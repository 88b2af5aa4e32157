"""Advice names settings that its experiment has, with values that it accepts."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.registry import ALGORITHMS, find
from tinyqueue.catalogue import make_experiment
from tinyqueue.experiment.documents import with_overrides
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.monitor.advice import Findings, advise

EXAMPLES = Path(__file__).parents[2] / "examples"
BARE = ["cem.py:CrossEntropy", *(["reinforce.py:Reinforce"] if find_spec("torch") else [])]
NAMES = [*ALGORITHMS, *(f"{EXAMPLES}/{name}" for name in ("a2c.py:A2c", *BARE))]

FLAT = Findings(1_000_000, 500, 9.0, common_return=9.0, common_share=0.1)
FINDINGS = {
    "no episode ends": replace(FLAT, episodes=0),
    "rewards are rare": replace(FLAT, common_share=1.0),
    "something is not seen": replace(FLAT, gain=0.9),
    "it is not seen, and actions are numbers": replace(FLAT, gain=0.9, acts_in_numbers=True),
    "the policy has settled": replace(FLAT, entropy_left=0.01),
    "nothing is known": FLAT,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "as they are": {},
    "one environment": {"environment": {"single": True}, "session": {"slots": 1}},
    "in real time": {"environment": {"realtime": True}},
    "as many slots as may be": {"session": {"slots": 4096}},
    "short episodes": {"environment": {"max_episode_steps": 2}},
    "normalised rewards": {"environment": {"normalise_rewards": True}},
    "a torso of the value's own": {"model": {"name": "mlp", "value_hidden": [8]}},
    "a model for images": {"model": {"name": "multi-input"}},
}


def made(name: str, settings: dict[str, dict[str, Any]]) -> Experiment:
    document = {"environment": {"id": "CartPole-v1"}, "algorithm": {"name": name}}
    merged = {key: {**document.get(key, {}), **settings.get(key, {})} for key in
              {**document, **settings}}  # fmt: skip
    if merged.get("session", {}).get("slots") == 1 or "realtime" in merged["environment"]:
        minibatches = {"minibatches": 1} if name in ("ppo", "pqn") else {}
        merged["algorithm"] |= minibatches
    return make_experiment(merged)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.rpartition("/")[2])
def test_every_suggestion_is_a_setting_that_the_experiment_has_and_accepts(name: str) -> None:
    has_model = issubclass(find(name), Algorithm)
    for case, settings in SETTINGS.items():
        experiment = made(name, settings)
        for found in FINDINGS.values():
            advice = " ".join(advise(experiment, found))
            suggested = re.findall(r"--set (\S+)", advice)

            assert suggested or "another --seed" in advice, case
            for each in suggested:
                setting = each.partition("=")[0]
                assert setting == "algorithm.name" or experiment.has_setting(setting)
                assert has_model or not setting.startswith("model.")
            document = experiment.document()
            if any(each.startswith("algorithm.name=") for each in suggested):
                # As the command does for another algorithm: its own defaults.
                del document["algorithm"], document["replay"]
            changed = make_experiment(with_overrides(document, suggested))
            assert bool(suggested) == (changed != experiment), (case, suggested)


def test_an_algorithm_without_a_model_is_told_of_frames_instead_of_a_core() -> None:
    bare = made(f"{EXAMPLES}/cem.py:CrossEntropy", {})

    assert not bare.has_setting("model.core")
    assert advise(bare, FINDINGS["something is not seen"])[1].endswith("--set environment.stack=4")


def test_with_a_core_minibatches_are_as_many_as_divide_the_slots() -> None:
    odd = make_experiment(
        {
            "environment": {"id": "CartPole-v1"},
            "algorithm": {"name": "ppo", "minibatches": 8},
            "session": {"slots": 12},
        }
    )

    said = advise(odd, FINDINGS["something is not seen"])[1]
    assert said.endswith("--set model.core=gru --set algorithm.minibatches=4")


def test_actions_that_are_numbers_are_not_sent_to_an_algorithm_for_choices() -> None:
    acts = made("sac", {})

    said = advise(acts, FINDINGS["it is not seen, and actions are numbers"])[1]
    assert said.endswith("--set environment.stack=4")


def test_where_nothing_is_known_to_help_another_seed_is_advised() -> None:
    bare = made(f"{EXAMPLES}/cem.py:CrossEntropy", SETTINGS["one environment"])

    assert advise(bare, FLAT)[1] == "worth trying in a new run: another --seed"
