"""Play with memory and training on it, through the stage that plays and the batch it makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_batches import LOOKING_BACK, PUSHES, SLOTS, TICKS, network_of, played

from tinyqueue.algorithms import impala as impala_module
from tinyqueue.algorithms.impala import Impala, ImpalaConfig
from tinyqueue.models.mlp import MlpConfig


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
@pytest.mark.parametrize("config", LOOKING_BACK.values(), ids=LOOKING_BACK)
def test_the_learner_finds_the_probabilities_that_the_player_had(
    config: MlpConfig, worst: None
) -> None:
    # Given batches with episodes that end at each of their ticks
    network = network_of(config)
    batches = played(network, 10)
    ended = np.any([batch.truncated | batch.terminated for batch in batches], axis=(0, 2))
    assert ended.all()
    trained = Impala(ImpalaConfig(learning_rate=0.0), network, PUSHES)
    # When it is trained on them, one by one and all together
    singles = [trained.update([batch], 0).metrics["policy_loss"] for batch in batches]
    together = trained.update(batches, 0).metrics["policy_loss"]
    # Then no tick's probability is another than the one it was played with
    assert max(*singles, together) < 1e-5


@pytest.mark.parametrize("config", LOOKING_BACK.values(), ids=LOOKING_BACK)
def test_what_is_carried_matters(config: MlpConfig, worst: None) -> None:
    network = network_of(config)
    batch = played(network, 2)[1]
    trained = Impala(ImpalaConfig(learning_rate=0.0), network, PUSHES)
    forgotten = {
        name: values if name == "episode_steps" else np.zeros_like(values)
        for name, values in batch.carry.items()
    }
    metrics = trained.update([replace(batch, carry=forgotten)], 0).metrics
    assert metrics["policy_loss"] > 1e-2


def test_preparing_builds_the_recurrent_update_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = network_of(LOOKING_BACK["lstm"])
    trained = Impala(ImpalaConfig(), network, PUSHES)
    before = trained.state()
    trained.prepare(TICKS, SLOTS)
    after = trained.state()
    assert all((before[name] == after[name]).all() for name in before)
    # Then its graph need not be built again
    monkeypatch.setattr(impala_module, "impala_loss", None)
    assert trained.update(played(network, 1), 0).metrics["grad_norm"] > 0
