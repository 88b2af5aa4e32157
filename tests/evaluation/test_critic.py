"""Given a run's checkpoint and sessions that its players recorded with the same weights."""

from dataclasses import replace

import numpy as np
import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.envs.describe import describe
from tinyqueue.errors import CheckpointError
from tinyqueue.evaluation.critic import Critic
from tinyqueue.learner.build import build
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import Q_MAX, Q_TAKEN
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.wire.sessions import decode_session, encode_session


def run_of(algorithm, stack=1, ticks=24, batches=3, **model):
    """An experiment, a checkpoint of its first weights, and batches that these played."""
    experiment = make_experiment(
        {
            "name": "pole",
            "environment": {"id": "CartPole-v1", "stack": stack},
            "algorithm": {"name": algorithm},
            "model": {"name": "mlp", **model},
            "session": {"ticks": ticks, "slots": 3},
        }
    )
    built = build(experiment, describe(experiment.environment), "c" * 32)
    checkpoint = Checkpoint(
        env_steps=0,
        updates=0,
        version=1,
        weights=built.export.arrays(),
        state=built.algorithm.state(),
        graph=built.export.graph,
        spec=built.spec.model_dump(),
    )
    runner = PolicyRunner(checkpoint.graph, checkpoint.weights, 1)
    stage = Stage(built.spec, user="rack", player="host", seed=3)
    sent = [encode_session(stage.play(runner, "task")) for _ in range(batches)]
    stage.close()
    return experiment, checkpoint, [decode_session(s.body, s.headers) for s in sent]


@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize(
    ("algorithm", "model"),
    [("dqn", {}), ("r2d2", {"core": "lstm", "core_units": 16, "previous": True})],
)
def test_it_says_again_what_the_player_recorded(algorithm, model, stack):
    experiment, checkpoint, batches = run_of(algorithm, stack, ticks=7, batches=20, **model)
    critic = Critic(experiment, checkpoint)

    assert any((~batch.valid[0]).any() for batch in batches)
    assert any((~batch.valid[1:]).any() for batch in batches)
    for batch in batches:
        said = critic.judge(batch)
        for name, recorded in (("q_taken", Q_TAKEN), ("q_max", Q_MAX)):
            values = np.where(batch.valid, batch.extras[recorded], np.nan)
            np.testing.assert_allclose(said[name], values, atol=1e-5)


def test_a_policy_gradient_s_value_is_that_of_the_weights_in_the_checkpoint():
    experiment, checkpoint, batches = run_of("impala")
    value = Critic(experiment, checkpoint).judge(batches[0])["value"]
    assert value.shape == (24, 3)
    assert np.nanmax(value) > np.nanmin(value)

    (bias,) = [
        name
        for name, array in checkpoint.state.items()
        if name.startswith("model/") and name.endswith("bias") and array.shape == (1,)
    ]
    raised = {**checkpoint.state, bias: checkpoint.state[bias] + np.float32(2.0)}
    more = Critic(experiment, replace(checkpoint, state=raised)).judge(batches[0])["value"]
    np.testing.assert_allclose(more, value + 2.0, atol=1e-5, equal_nan=True)


def test_a_checkpoint_of_another_model_is_refused():
    experiment, checkpoint, _ = run_of("impala")
    other = {name: a for name, a in checkpoint.state.items() if not name.endswith("bias")}
    with pytest.raises(CheckpointError, match="missing"):
        Critic(experiment, replace(checkpoint, state=other))
