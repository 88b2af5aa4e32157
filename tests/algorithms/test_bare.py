"""An algorithm that brings its own network: what is asked of it, and what is built of it."""

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from linear_policy import FILE, linear_model
from pole import make_experiment_of as make_experiment_of

from tinyqueue.algorithms.bare import BareAlgorithm, Problem
from tinyqueue.algorithms.base import AnyAlgorithm, Update
from tinyqueue.algorithms.registry import checked, require_built
from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.errors import ConfigError
from tinyqueue.learner import build as build_module
from tinyqueue.learner.build import build, require_acting
from tinyqueue.policy.graphs import policy_graph

INFO = EnvironmentInfo(
    id="CartPole-v1",
    observation_space={"": Leaf("float32", (4,))},
    action_space={"": Leaf("uint8", (), 2)},
    reward_threshold=475.0,
    max_episode_steps=500,
)


@dataclass(frozen=True)
class LinearConfig:
    start: float = 1.0


class Linear(BareAlgorithm[Any, Any]):
    """Never learns."""

    Config = LinearConfig
    head = "categorical"
    model: ClassVar[dict[str, Any]] = {}

    def __init__(self, config, problem):
        self.problem = problem
        self._start = config.start
        self.graph = policy_graph(linear_model(**self.model), ["w"])

    def weights(self, version):
        return {"w": np.full((4, 2), self._start + version, np.float32)}

    def update(self, experience, env_steps):
        return Update({})

    def state(self):
        return {}

    def restore(self, state):
        pass


def built_of(kind, monkeypatch, experiment, info=INFO):
    monkeypatch.setattr(build_module, "find", lambda name: kind)
    experiment = replace(experiment, algorithm=kind.Config(), algorithm_name="own.py:Linear")
    require_acting(experiment, info)
    return build(experiment, info, "f" * 32)


def of(**model):
    return type("Linear", (Linear,), {"model": model})


def test_an_algorithm_with_its_own_network_is_one():
    assert checked(Linear, "own.py:Linear") is Linear


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (
            {"__init__": lambda self, config, network, actions: None},
            r"must take \(config, problem\)",
        ),
        (
            {"weights": lambda self: {}},
            r"its weights takes \(self\); it must take \(self, version\)",
        ),
        (
            {"update": lambda self, batches: None},
            r"\(self, batches\).*\(self, experience, env_steps\)",
        ),
        ({"Config": dict}, r"must be a class with @dataclass"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(attributes, said):
    with pytest.raises(ConfigError, match=rf"own\.py:Linear.*{said}"):
        checked(type("Linear", (Linear,), attributes), "own.py:Linear")


def test_an_algorithm_without_weights_is_told_what_it_lacks():
    lacking = type("Lacking", (BareAlgorithm,), {"Config": LinearConfig, "head": "categorical"})
    with pytest.raises(ConfigError, match=r"lacks .*restore, state, update, weights.*bare says"):
        checked(lacking, "own.py:Lacking")


def test_neither_base_nor_both_is_no_algorithm():
    with pytest.raises(ConfigError, match=r"base\.Algorithm, .*bare\.BareAlgorithm"):
        checked(type("Odd", (AnyAlgorithm,), {}), "own.py:Odd")


def test_a_graph_must_be_made():
    kind = type("Linear", (Linear,), {"__init__": lambda self, config, problem: None})
    with pytest.raises(ConfigError, match=r"must set graph; tinyqueue\.algorithms\.bare says"):
        require_built(kind(None, Problem({}, {})), "own.py:Linear")


def test_what_is_built_says_what_players_play(make_experiment_of, monkeypatch):
    made = built_of(of(hidden=3), monkeypatch, make_experiment_of())

    assert made.spec.state == {"h": [3]}
    assert made.spec.head == "categorical"
    assert made.spec.graph_sha256 == made.export.sha256
    assert made.contract.needs_carry
    assert made.contract.state == {"h": Leaf("float32", (3,))}
    assert made.export.arrays(7)["w"].tolist() == [[8, 8]] * 4
    assert made.algorithm.problem == Problem(
        INFO.observation_space, INFO.action_space, seed=made.spec.seed, threads=1
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"features": 3}, r"w is float32\[4, 2\] and should be float32\[3, 2\]"),
        ({"output": "output:q"}, r"gives no output:logits \[B, 2\]"),
        ({"batch": 32}, r"\[32, 4\], and gets \[B, 4\]"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_before_anything_is_published(
    make_experiment_of, monkeypatch, model, said
):
    with pytest.raises(ConfigError, match=said):
        built_of(of(**model), monkeypatch, make_experiment_of())


def test_another_environment_is_refused_with_both_shapes(make_experiment_of, monkeypatch):
    info = replace(INFO, observation_space={"": Leaf("float32", (6,))})
    with pytest.raises(ConfigError, match=r"takes observation: as \[B, 4\], and gets \[B, 6\]"):
        built_of(Linear, monkeypatch, make_experiment_of(), info)


@pytest.mark.integration
def test_its_learner_imports_no_tensorflow(tmp_path):
    (tmp_path / "own.py").write_text(FILE)
    code = """
import sys
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.learner.build import build
named = {"environment": {"id": "CartPole-v1"}, "algorithm": {"name": "own.py:Fixed", "push": 2.0}}
spaces = {"": Leaf("float32", (4,))}, {"": Leaf("uint8", (), 2)}
built = build(make_experiment(named), EnvironmentInfo("CartPole-v1", *spaces, 475.0, 500), "f" * 32)
assert built.export.arrays(1)["w"].tolist() == [[2, 2]] * 4
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
