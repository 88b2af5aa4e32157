"""Play with stacks of frames and training on it, through the stage that plays and its batches."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms import impala as impala_module
from tinyqueue.algorithms.dqn import Dqn
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.session import SessionBatch
from tinyqueue.envs.describe import describe
from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import Built, build
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import Q_MAX, Q_TAKEN
from tinyqueue.policy.runner import PolicyRunner

TICKS, SLOTS = 5, 6
MODELS: dict[str, dict[str, Any]] = {
    "feed-forward": {"hidden": [8]},
    "recurrent": {"hidden": [8], "core": "lstm", "core_units": 8, "previous": True},
}


def experiment_of(algorithm: dict[str, Any], model: dict[str, Any]) -> Experiment:
    """Episodes of at most seven steps, so that ends come at every tick of a batch."""
    environment = {"id": "CartPole-v1", "max_episode_steps": 7, "keep": [0, 2], "stack": 4}
    replay = {"minimum_steps": 20, "capacity_steps": 600, "samples_per_insert": 50.0}
    return make_experiment(
        {
            "environment": environment,
            "algorithm": algorithm,
            "model": model,
            "session": {"ticks": TICKS, "slots": SLOTS},
            **({"replay": replay} if algorithm["name"] in ("dqn", "r2d2") else {}),
        }
    )


def run_of(experiment: Experiment, count: int) -> tuple[Built, list[SessionBatch]]:
    """What is trained, with weights that tell stacks apart, and batches that these played."""
    built = build(experiment, describe(experiment.environment), "c" * 32)
    state, rng = built.algorithm.state(), np.random.default_rng(0)
    noisy = {name: a + rng.normal(0, 0.5, a.shape).astype(a.dtype) for name, a in state.items()
             if name.startswith(("model/", "target/"))}  # fmt: skip
    built.algorithm.restore(state | noisy)
    runner = PolicyRunner(built.export.graph, built.export.arrays(), 1)
    stage = Stage(built.spec, user="u", player="p", seed=1)
    batches = [deepcopy(stage.play(runner, "t")) for _ in range(count)]
    stage.close()
    for batch in batches:
        built.contract.check(batch)
    return built, batches


@pytest.fixture
def worst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the first metric of a loss the largest |log π − log μ| of a valid tick."""
    import tensorflow as tf

    of_batch = impala_module.impala_loss

    def impala_loss(
        config: Any, policy: Any, outputs: Any, values: Any, batch: Any
    ) -> tuple[Any, list[Any]]:
        loss, metrics = of_batch(config, policy, outputs, values, batch)
        log_pi = tf.nn.log_softmax(outputs["logits"])
        chosen = tf.gather(log_pi, tf.cast(batch.actions[""], tf.int32), batch_dims=2)
        apart = tf.abs(chosen - batch.log_mu) * tf.cast(batch.valid, tf.float32)
        return loss, [tf.reduce_max(apart), *metrics[1:]]

    monkeypatch.setattr(impala_module, "impala_loss", impala_loss)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_learner_finds_the_probabilities_that_the_player_had(model: str, worst: None) -> None:
    # Given batches of stacks whose episodes end at each of their ticks
    built, batches = run_of(
        experiment_of({"name": "impala", "learning_rate": 0.0}, MODELS[model]), 10
    )
    ended = np.any([batch.truncated | batch.terminated for batch in batches], axis=(0, 2))
    assert ended.all()
    # When they are trained on, one by one and all together, prepared or not
    built.algorithm.prepare(TICKS, SLOTS)
    singles = [built.algorithm.update([batch], 0).metrics["policy_loss"] for batch in batches]
    together = built.algorithm.update(batches, 0).metrics["policy_loss"]
    # Then no tick's probability is another than the one it was played with
    assert max(*singles, together) < 1e-5
    # And the frames before a batch are part of what it says
    later = next(batch for batch in batches if batch.carry["episode_steps"].min() >= 3)
    blind = replace(later, carry=later.carry | {"frames": np.zeros_like(later.carry["frames"])})
    assert built.algorithm.update([blind], 0).metrics["policy_loss"] > 1e-3


@pytest.mark.parametrize("algorithm", ["dqn", "r2d2"])
def test_a_replay_gives_the_stacks_that_the_player_saw(algorithm: str) -> None:
    # Given a replay of batches that were played with stacks
    sized = {"name": algorithm, "batch_size": 32}
    sized |= {"burn_in": 2, "unroll": 4} if algorithm == "r2d2" else {}
    model = MODELS["recurrent" if algorithm == "r2d2" else "feed-forward"]
    experiment = experiment_of(sized, model)
    built, batches = run_of(experiment, 12)
    plan = built.algorithm.replay
    assert plan is not None
    memory = ReplayMemory(experiment, plan, built.contract)
    for number, batch in enumerate(batches, 1):
        memory.admit(batch.env_steps)
        memory.add(number, batch)
    # When a sample is drawn
    sample = memory.sample(0)
    # Then it holds stacks of four
    axes = (7, 32) if algorithm == "r2d2" else (32,)
    assert sample.observations[""].shape == (*axes, 4, 2)
    # And it is trained on as it was prepared for
    built.algorithm.prepare(TICKS, SLOTS)
    assert np.isfinite(built.algorithm.update(sample, 0).metrics["loss"])


def test_q_values_of_sampled_stacks_are_those_that_were_recorded() -> None:
    built, batches = run_of(
        experiment_of({"name": "dqn", "batch_size": 64}, MODELS["feed-forward"]), 12
    )
    recorded = {
        (float(taken), float(most))
        for batch in batches
        for taken, most in zip(
            batch.extras[Q_TAKEN][batch.valid], batch.extras[Q_MAX][batch.valid], strict=True
        )
    }
    experiment = experiment_of({"name": "dqn", "batch_size": 64}, MODELS["feed-forward"])
    assert isinstance(built.algorithm, Dqn)
    assert built.algorithm.replay is not None
    memory = ReplayMemory(experiment, built.algorithm.replay, built.contract)
    for number, batch in enumerate(batches, 1):
        memory.admit(batch.env_steps)
        memory.add(number, batch)
    sample = memory.sample(0)

    q = np.asarray(built.algorithm._network.apply(sample.observations)["q"])
    taken = np.take_along_axis(q, sample.actions[:, None].astype(np.int64), 1)[:, 0]
    known = np.array(sorted(recorded))
    for one, most in zip(taken, q.max(1), strict=True):
        assert np.abs(known - (one, most)).max(1).min() < 1e-5
