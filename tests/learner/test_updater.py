"""The clock, the lag, and when weights are published."""

import json
from typing import Any

import numpy as np
import pytest
from stateless_source import taken

from tinyqueue.algorithms.base import Update
from tinyqueue.errors import CheckpointError, ConfigError
from tinyqueue.run.checkpoint import ReplayState


def test_the_clock_counts_valid_ticks_and_updates(make_updater, make_batch, algorithm):
    updater = make_updater()

    updater.update(taken([make_batch(0), make_batch(1, returns=[9.0])]))
    updater.update(taken([make_batch(2)]))

    # 8 ticks, 7 of them valid where an episode ends in between, and 8.
    assert updater.clock.env_steps == 8 + 7 + 8
    assert updater.clock.updates == 2
    # Schedules see the clock from before the batches.
    assert [env_steps for _, env_steps in algorithm.given] == [0, 15]


def test_the_training_mean_takes_in_every_batch_of_a_group(make_updater, make_batch):
    updater = make_updater()

    updater.update(taken([make_batch(0, returns=[10.0]), make_batch(1, returns=[20.0])]))

    assert updater.recent.returns.count == 2
    assert updater.recent.returns.mean_return == 15.0


def test_a_version_is_published_every_so_many_updates(make_updater, make_batch, published):
    updater = make_updater(learner={"publish_every_updates": 3})

    versions = []
    for n in range(7):
        updater.update(taken([make_batch(n)]))
        versions.append(updater.clock.version)

    assert versions == [-1, -1, 0, 0, 0, 1, 1]
    assert [weights.updates for weights in published] == [3, 6]


def test_a_version_carries_the_weights_and_where_they_come_from(
    make_updater, make_batch, published, spec
):
    updater = make_updater()

    updater.update(taken([make_batch(0)]))

    (weights,) = published
    assert (weights.version, weights.epoch, weights.run) == (0, 3, spec.run)
    assert (weights.updates, weights.env_steps) == (1, 8)
    assert weights.graph_sha256 == spec.graph_sha256
    assert weights.arrays["w"].tolist() == [1.0, 1.0]


def test_a_version_is_known_before_a_player_can_have_it(make_updater, make_batch, published):
    # Given a store that answers late: a player has played the version by then
    known = []
    updater = make_updater()
    updater._publish = lambda weights: known.append((weights.version, updater.clock.version))

    for n in range(3):
        updater.update(taken([make_batch(n)]))

    assert known == [(0, 0), (1, 1), (2, 2)]


def test_the_lag_counts_versions_between_playing_and_training(make_updater, make_batch):
    updater = make_updater(learner={"publish_every_updates": 1000})
    updater.clock.version = 10

    for n in range(500):
        updater.update(taken([make_batch(n, version=6)]))

    assert updater.recent.policy_lag == pytest.approx(4.0, abs=0.01)


def test_changed_weights_are_published_once(make_updater, make_batch, published):
    updater = make_updater(learner={"publish_every_updates": 1000})
    updater.update(taken([make_batch(0)]))

    updater.publish_if_changed()
    updater.publish_if_changed()

    assert [weights.version for weights in published] == [0]
    assert updater.clock.version == 0


def test_time_counts_from_the_first_batch(make_updater, make_batch):
    updater = make_updater()

    updater.update(taken([make_batch(0)]))
    assert updater.clock.trained_s == 0.0

    updater.update(taken([make_batch(1)]))
    assert 0.0 < updater.clock.trained_s < 5.0


def test_a_restored_trainer_goes_on_where_the_checkpoint_was_made(
    make_updater, make_batch, algorithm
):
    updater = make_updater()
    for n in range(3):
        updater.update(taken([make_batch(n)]))
    checkpoint = updater.checkpoint(ReplayState({"a": np.ones(2)}, {"inserted": 3}))
    updater.update(taken([make_batch(3)]))

    updater.restore(checkpoint)

    clock = updater.clock
    assert (clock.env_steps, clock.updates, clock.version) == (24, 3, 2)
    assert clock.trained_s == checkpoint.clock["trained_s"]
    assert algorithm.updates == 3
    assert checkpoint.replay.limiter == {"inserted": 3}
    assert checkpoint.graph == b"an acting graph"


def test_a_checkpoint_keeps_its_values_while_training_goes_on(make_updater, make_batch):
    updater = make_updater()
    updater.update(taken([make_batch(0)]))

    checkpoint = updater.checkpoint(ReplayState())
    updater.update(taken([make_batch(1)]))

    assert checkpoint.state["updates"] == 1
    assert np.array_equal(checkpoint.weights["w"], [1.0, 1.0])


def test_a_checkpoint_of_another_environment_is_refused(make_updater, make_batch, algorithm):
    updater = make_updater()
    updater.update(taken([make_batch(0)]))
    checkpoint = updater.checkpoint(ReplayState())
    checkpoint.spec["environment"] = {"id": "Acrobot-v1"}
    updater.update(taken([make_batch(1)]))

    with pytest.raises(CheckpointError, match=r"Acrobot-v1.*CartPole-v1"):
        updater.restore(checkpoint)

    assert algorithm.updates == 2


def test_weights_are_asked_for_by_the_version_that_they_are_published_as(
    make_updater, make_batch, export, published
):
    asked = []

    def arrays(version):
        asked.append(version)
        return {"w": np.full(2, version, np.float32)}

    export.arrays = arrays
    updater = make_updater()

    updater.update(taken([make_batch(0)]))
    kept = updater.checkpoint(ReplayState())

    assert asked == [0, 0]
    assert published[0].arrays["w"].tolist() == kept.weights["w"].tolist() == [0, 0]


def test_an_error_of_the_algorithm_says_what_was_being_done(make_updater, make_batch, algorithm):
    updater = make_updater()
    updater.update(taken([make_batch(0)]))
    algorithm.update = lambda batches, env_steps: 1 / 0

    with pytest.raises(ZeroDivisionError) as failed:
        updater.update(taken([make_batch(1)]))

    assert failed.value.__notes__ == ["in update 2, at 8 env steps"]


def test_an_update_that_reports_nothing_is_refused(make_updater, make_batch, algorithm):
    algorithm.update = lambda batches, env_steps: {"loss": 0.5}
    with pytest.raises(ConfigError, match=r"returned a dict; it must return .*Update"):
        make_updater().update(taken([make_batch(0)]))


def test_metrics_of_any_kind_of_number_are_kept_as_plain_ones(make_updater, make_batch, algorithm):
    half: Any = np.float32(0.5)
    algorithm.update = lambda batches, env_steps: Update({"loss": half})
    updater = make_updater()

    updater.update(taken([make_batch(0)]))

    assert json.dumps(updater.recent.metrics) == '{"loss": 0.5}'


@pytest.mark.parametrize("array", [np.zeros((0, 4), np.float32), np.array(["a"])])
def test_a_state_that_no_checkpoint_can_hold_is_named(make_updater, algorithm, array):
    algorithm.state = lambda: {"played": array}
    with pytest.raises(ConfigError, match=r"state\(\) has 'played', .*Leave empty arrays out"):
        make_updater().checkpoint(ReplayState())
