"""Whether a memory is learned, in one process."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from recall_environment import RECALL

from tinyqueue.algorithms.impala import Impala, ImpalaConfig
from tinyqueue.data.spaces import space_to_json
from tinyqueue.envs.describe import describe
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.player.stage import Stage
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.runner import PolicyRunner

ENVIRONMENT = EnvironmentConfig(id=RECALL)


def share_of_right_answers(core: Literal["none", "lstm", "gru"], updates: int) -> float:
    """Of the last ten batches."""
    info = describe(ENVIRONMENT)
    config = ImpalaConfig(learning_rate=0.005)
    model = MlpConfig(hidden=(16,), core=core, core_units=16)
    outputs = Impala.outputs(info.action_space, config)
    network = build(info.observation_space, info.action_space, outputs, model, 0)
    trained = Impala(config, network, info.action_space)
    export = PolicyExport(network, trained.acting_outputs)
    spec = PlaySpec(
        experiment="e",
        run="r",
        environment=ENVIRONMENT,
        observation_space=space_to_json(info.observation_space),
        action_space=space_to_json(info.action_space),
        head=trained.head,
        state={path: list(shape) for path, shape in network.state.items()},
        ticks=12,
        slots=32,
        graph_sha256=export.sha256,
    )
    stage = Stage(spec, user="u", player="p", seed=0)
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    shares = []
    for update in range(updates):
        batch = stage.play(runner, "t")
        shares.append(batch.rewards.sum() / batch.terminated.sum())
        runner = runner.with_weights(export.arrays(), update)
        trained.update([batch], 0)
    return float(np.mean(shares[-10:]))


@pytest.mark.slow
@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_a_network_with_a_core_learns_to_remember(core: Literal["lstm", "gru"]) -> None:
    assert share_of_right_answers(core, 100) > 0.95


def test_a_network_without_one_guesses() -> None:
    assert share_of_right_answers("none", 60) < 0.6
