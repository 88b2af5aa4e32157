"""``Learned.act`` in environments of every kind of action space: what comes out goes in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import any_actions
import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.algorithms.impala import Impala, ImpalaConfig
from tinyqueue.data.spaces import space_to_json
from tinyqueue.envs.spaces import Layout, action_layout
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learned import Learned
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.policy.export import PolicyExport


def untrained(name: str, environment: Any, core: Any = "none") -> Learned:
    seen = Layout(environment.observation_space, "observations").space
    acted = action_layout(environment.action_space, name).space
    outputs = Impala.outputs(acted, ImpalaConfig())
    config = MlpConfig(hidden=(8,), core=core, previous=core != "none")
    network = build(seen, acted, outputs, config, 0)
    # Far from the first weights, by which every mode is near the middle
    rng = np.random.default_rng(0)
    for variable in network.variables.values():
        variable.assign(rng.normal(0, 2, variable.shape))
    export = PolicyExport(network, tuple(name for name in outputs if name != "value"))
    spec = PlaySpec(
        experiment="e",
        run="r",
        environment=EnvironmentConfig(id=name),
        observation_space=space_to_json(seen),
        action_space=space_to_json(acted),
        head="categorical",
        state={path: list(shape) for path, shape in network.state.items()},
        ticks=1,
        slots=1,
        graph_sha256=export.sha256,
    )
    checkpoint = SimpleNamespace(
        graph=export.graph,
        weights=export.arrays(),
        spec=spec.model_dump(mode="json"),
        version=1,
        env_steps=0,
    )
    return Learned(checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["none", "gru"])
@pytest.mark.parametrize("name", ["CopyNumbers-v0", "CopyBits-v0", "Reach-v0", "CopyAll-v0"])
def test_actions_are_of_the_environments_own_space(name: str, core: str) -> None:
    environment = any_actions.GAMES[name]()
    learned = untrained(name, environment, core)
    observation, _ = environment.reset(seed=1)
    state: Any = None
    reward: Any = 0.0
    steps, is_over = 0, False

    while not is_over:
        action, state = learned.act(observation, state, reward)
        # Which raises for any other than its own
        observation, reward, _, is_over, _ = environment.step(action)
        steps += 1

    assert steps == any_actions.STEPS


def test_whole_numbers_have_their_start_in_observations_and_actions() -> None:
    space = spaces.Discrete(2, start=10)
    learned = untrained("-", SimpleNamespace(observation_space=space, action_space=space))
    action, _ = learned.act(11)
    assert type(action) is int
    assert action in space
    # What is seen is one of two numbers, each with weights of its own
    outputs = [
        learned.runner.run({"": np.array([seen], np.uint8)}, {})[0]["logits"].copy()
        for seen in (0, 1)
    ]
    assert action == 10 + outputs[1].argmax()
    assert learned.act(10)[0] == 10 + outputs[0].argmax()
