"""What a checkpoint expects on average of states that are always the same."""

import math

import numpy as np
import pytest
from whole_runs import constant, untrained

from tinyqueue.evaluation.critic import Critic, expected
from tinyqueue.evaluation.held_out import held_out_states
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.stage import Stage


def document(algorithm, **model):
    return {
        "name": "pole",
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"name": algorithm},
        "model": {"name": "mlp", **model},
    }


def states_of(checkpoint, ticks=60, slots=3):
    batch = held_out_states(
        PlaySpec.model_validate(checkpoint.spec), Stage, ticks=ticks, slots=slots
    )
    assert np.count_nonzero(~batch.valid) > 0
    return batch


def test_of_what_a_process_may_have_one_the_states_are_those_of_one_slot():
    _, checkpoint = untrained(document("impala"))
    spec = PlaySpec.model_validate(checkpoint.spec)
    alone = spec.environment.model_copy(update={"entangled": True})

    batch = held_out_states(
        spec.model_copy(update={"environment": alone}), Stage, ticks=20, slots=3
    )

    assert batch.rewards.shape == (60, 1)


class Says(Critic):
    """In place of a critic: the reward of a tick under a name, NaN where nothing was decided."""

    def __init__(self, *names):
        self.names = names

    def judge(self, batch):
        said = np.where(batch.valid, batch.rewards, np.float32(np.nan))
        return {name: said + i for i, name in enumerate(self.names)}


@pytest.mark.parametrize(
    ("names", "of", "mean", "text"),
    [
        (["value"], "value", 4.0, "mean value 4.000 in 7 held-out states"),
        (["q_taken", "q_max"], "max_q", 5.0, "mean max Q 5.000 in 7 held-out states"),
    ],
)
def test_it_is_the_mean_over_all_slots_without_autoreset_ticks(make_batch, names, of, mean, text):
    # Given 4 ticks of 2 slots whose second one begins anew at tick 1
    batch = make_batch()
    batch.rewards[:] = [[1, 2], [3, 99], [5, 4], [7, 6]]
    batch.valid[1, 1] = False

    said = expected(Says(*names), batch)

    assert (said.of, said.mean, said.states) == (of, mean, 7)
    assert str(said) == text


def test_a_network_that_says_nan_is_seen(make_batch):
    batch = make_batch()
    batch.rewards[2, 1] = np.nan

    assert math.isnan(expected(Says("value"), batch).mean)


@pytest.mark.parametrize(
    ("algorithm", "bias", "of", "mean"),
    [("impala", (2.5,), "value", 2.5), ("dqn", (-1.0, 0.75), "max_q", 0.75)],
)
def test_it_is_what_the_whole_network_of_the_checkpoint_says(algorithm, bias, of, mean):
    # Given a network that expects the same of every state
    experiment, checkpoint = untrained(document(algorithm), constant(*bias))
    batch = states_of(checkpoint)

    said = expected(Critic(experiment, checkpoint), batch)

    assert (said.of, said.mean, said.states) == (of, mean, batch.env_steps)


def test_a_recurrent_network_goes_through_every_slot_from_its_first_tick():
    experiment, checkpoint = untrained(document("impala", core="lstm", core_units=8, previous=True))
    batch = states_of(checkpoint)
    critic = Critic(experiment, checkpoint)

    said = expected(critic, batch)

    together = critic.judge(batch)["value"]
    assert np.nanstd(together) > 0
    assert said.mean == pytest.approx(np.nanmean(together), abs=1e-6)
    assert said.states == np.count_nonzero(~np.isnan(together))
