"""Statistics move between updates, and what is played and learned by them is the same."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stateless_source import taken

from tinyqueue.algorithms.base import LossNotFiniteError, Update
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.episodes import Episodes, RunningReturns
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.envs.describe import describe
from tinyqueue.evaluation.critic import Critic
from tinyqueue.experience.source import Taken
from tinyqueue.learner.build import Built, build
from tinyqueue.learner.updater import Clock, Updater
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.replay.samples import TransitionSample
from tinyqueue.run.checkpoint import ReplayState

RUN = "c" * 32
PPO = {"name": "ppo", "epochs": 1, "minibatches": 1, "learning_rate": 0.0}
SAC = {"name": "sac", "batch_size": 8}


class Learning:
    """An experiment's updater, and a player with its newest version."""

    def __init__(self, algorithm: dict[str, Any], **environment: Any) -> None:
        self.experiment = make_experiment(
            {
                "environment": {
                    "id": "Pendulum-v1",
                    "normalise_observations": True,
                    "normalise_rewards": True,
                    **environment,
                },
                "algorithm": algorithm,
                "model": {"hidden": [8]},
                "session": {"ticks": 16, "slots": 4},
                "stop": {"max_env_steps": 1000},
            }
        )
        self.built: Built = build(self.experiment, describe(self.experiment.environment), RUN)
        self.published: list[Any] = []
        self.updater = Updater(
            self.experiment,
            self.built.algorithm,
            self.built.export,
            self.built.spec,
            clock=Clock(),
            epoch=1,
            next_version=lambda: len(self.published),
            publish=self.published.append,
            normalisation=self.built.normalisation,
        )
        self.updater.publish()
        self.stage = Stage(self.built.spec, user="u", player="p", seed=5)

    def play(self) -> SessionBatch:
        weights = self.published[-1]
        runner = PolicyRunner(self.built.export.graph, weights.arrays, weights.version)
        batch = self.stage.play(runner, "t")
        # Far from the range of the first statistics.
        return deepcopy(replace(batch, rewards=batch.rewards - 50))

    def statistics(self) -> dict[str, Array]:
        network = self.built.algorithm.state()
        return {k: v for k, v in network.items() if "observation_statistics" in k}


@pytest.fixture(scope="module")
def ppo() -> Learning:
    learning = Learning(PPO)
    learning.updater.update(taken([learning.play()]))
    return learning


def test_the_first_statistics_are_there_before_the_first_update() -> None:
    # Given an algorithm that looks at what its network normalises by
    learning = Learning(PPO)
    algorithm, seen = learning.built.algorithm, []
    update = algorithm.update

    def looking(experience: Any, env_steps: int) -> Update:
        seen.append(learning.statistics())
        return update(experience, env_steps)

    algorithm.update = looking  # type: ignore[method-assign]

    # When it is updated three times
    after = []
    for _ in range(3):
        learning.updater.update(taken([learning.play()]))
        after.append(learning.statistics())

    # Then the first update has its own batch's statistics, and a later one those before its batch
    for name in seen[0]:
        np.testing.assert_array_equal(seen[0][name], after[0][name])
        np.testing.assert_array_equal(seen[1][name], after[0][name])
        np.testing.assert_array_equal(seen[2][name], after[1][name])
        assert (after[1][name] != after[0][name]).any()


def test_what_is_played_by_the_newest_version_is_on_policy(ppo: Learning) -> None:
    # Given a player with the statistics of the newest version, and no learning rate
    batch = ppo.play()

    # When the learner trains on its batch
    update = ppo.updater.update(taken([batch]))

    # Then all ratios were 1, although the statistics have moved since
    assert update is not None
    assert update.metrics["mean_rho"] == pytest.approx(1.0, abs=1e-4)
    assert update.metrics["approx_kl"] == pytest.approx(0.0, abs=1e-6)
    # A batch of the version before is corrected by the true ratio of both policies.
    late = ppo.updater.update(taken([replace(batch, header=replace(batch.header, n=99))]))
    assert late is not None
    assert late.metrics["approx_kl"] > 0
    assert 0.5 < late.metrics["mean_rho"] < 2


def test_players_and_checkpoints_have_the_same_numbers(ppo: Learning) -> None:
    checkpoint = ppo.updater.checkpoint(ReplayState())

    for name in ("mean", "deviation"):
        path = f"observation_statistics_/{name}"
        expected = checkpoint.state[f"model/{path}"]
        np.testing.assert_array_equal(ppo.published[-1].arrays[path], expected)
        np.testing.assert_array_equal(checkpoint.weights[path], expected)
    mean = checkpoint.state["normalisation/observations//mean"]
    known = checkpoint.state["model/observation_statistics_/mean"]
    np.testing.assert_allclose(known, mean, rtol=1e-6)


def test_a_resumed_run_has_the_same_statistics_and_goes_on_alike(ppo: Learning) -> None:
    # Given a checkpoint
    checkpoint = ppo.updater.checkpoint(ReplayState())
    batch = replace(ppo.play(), header=replace(ppo.play().header, stage="f" * 32, n=0))

    # When another learner resumes from it, and both train on the same
    resumed = Learning(PPO)
    resumed.updater.restore(checkpoint)
    for each in (ppo, resumed):
        each.updater.update(taken([batch]))

    # Then their states are equal bit by bit
    ours, theirs = (each.updater.checkpoint(ReplayState()).state for each in (ppo, resumed))
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].tobytes() == theirs[name].tobytes(), name


def test_the_critic_of_a_checkpoint_sees_normalised_observations(ppo: Learning) -> None:
    checkpoint = ppo.updater.checkpoint(ReplayState())
    batch = ppo.play()

    value = Critic(ppo.experiment, checkpoint).judge(batch)["value"]

    rows = batch.observations[""][:-1].reshape(-1, 3)
    network = ppo.built.algorithm._network  # type: ignore[attr-defined]
    expected = np.asarray(network.apply({"": rows})["value"]).reshape(batch.rewards.shape)
    np.testing.assert_allclose(value[batch.valid], expected[batch.valid], rtol=1e-4, atol=1e-5)


def test_returns_are_reported_as_they_were_played(ppo: Learning) -> None:
    episode = Episodes.of([0], [-1234.5], [200], [1.0])
    ppo.updater.recent.returns = RunningReturns()

    ppo.updater.update(taken([replace(ppo.play(), episodes=episode)]))

    assert ppo.updater.recent.returns.mean_return == -1234.5
    metrics = ppo.updater.recent.metrics
    assert 0 < metrics["reward_scale"] < 1
    assert {"observation_mean", "observation_deviation"} <= metrics.keys()


def test_a_failed_first_update_leaves_no_statistics() -> None:
    # Given a first batch with which the loss is not finite
    learning = Learning(PPO)
    batch = learning.play()
    bad = {**batch.extras, "behaviour_log_prob": np.full_like(batch.rewards, np.nan)}

    # When it is trained on
    with pytest.raises(LossNotFiniteError):
        learning.updater.update(taken([replace(batch, extras=bad)]))

    # Then nothing was counted, and the next batch is the first
    assert learning.built.normalisation.is_new
    for name, array in learning.statistics().items():
        assert (array == (0 if "mean" in name else 1)).all()
    learning.updater.update(taken([batch]))
    assert learning.built.normalisation.state()["normalisation/rewards/count"] == 64


def test_a_replay_counts_what_arrives_and_not_what_is_drawn() -> None:
    # Given sac, whose transitions are drawn again and again
    learning = Learning(SAC)
    learning.updater.update(Taken([learning.play()]))
    rng = np.random.default_rng(0)
    rows = np.arange(8)
    sample = TransitionSample(
        rows,
        rows,
        {"": rng.normal(size=(8, 3)).astype(np.float32)},
        rng.uniform(-1, 1, (8, 1)).astype(np.float32),
        np.full(8, -60, np.float32),
        np.full(8, 0.99, np.float32),
        {"": rng.normal(size=(8, 3)).astype(np.float32)},
        np.ones(8, np.float32),
    )
    before = learning.built.normalisation.state()

    # When it trains on a sample
    update = learning.updater.update(Taken([], sample))

    # Then targets are of normalised rewards, and nothing was counted
    assert update is not None
    assert -12 < update.metrics["target_mean"] < 0
    for name, array in learning.built.normalisation.state().items():
        np.testing.assert_array_equal(array, before[name])
    # The Q networks and their targets normalise by the same numbers as the policy.
    state = learning.built.algorithm.state()
    means = [v for k, v in state.items() if k.endswith("observation_statistics_/mean")]
    assert len(means) == 5
    for mean in means:
        np.testing.assert_array_equal(mean, means[0])
