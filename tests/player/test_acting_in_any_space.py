"""A stage plays in every kind of action space, and the learner finds what the player recorded."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from any_actions import GAMES

from tinyqueue.data.names import PREVIOUS_REWARD, carried_action, carried_state
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Leaf
from tinyqueue.distributions import Factored
from tinyqueue.evaluation.held_out import held_out_states
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.models.network import Network, Output
from tinyqueue.player.stage import Stage
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.heads import ENTROPY, LOG_PROB, make_head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.wire.contract import Contract

TICKS, SLOTS = 20, 3
UNMASKED = [name for name in GAMES if name != "Masked-v0"]


def shifted(rows: Array, before: Array, valid: Array) -> Array:
    """``[T+1, B, …]``: what came before row 0, then the rows, zero where an episode begins."""
    known = rows.copy()
    known[~valid] = 0
    return np.concatenate([before[None], known])


def unrolled(network: Network, batch: SessionBatch) -> dict[str, Array]:
    """What the learner's network says of the rows of a batch."""
    actions = {
        path: shifted(rows, batch.carry[carried_action(path)], batch.valid)
        for path, rows in batch.actions.items()
    }
    rewards = shifted(batch.rewards, batch.carry[PREVIOUS_REWARD], batch.valid)
    starts = np.concatenate([np.zeros((1, SLOTS), bool), ~batch.valid])
    state = {path: batch.carry[carried_state(path)] for path in network.state}
    outputs, _ = network.unroll(batch.observations, state, starts, actions, rewards)
    return {name: x[:-1] for name, x in outputs.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNMASKED)
def test_player_and_learner_agree_on_the_probability_of_every_action(name, spec, stage):
    from keras import ops

    # Given a network with a memory that sees the previous action, and its half for players
    played = spec(name, TICKS, SLOTS)
    policy = Factored(played.actions)
    outputs = {
        key: Output(parameter.size, state_independent=parameter.state_independent)
        for key, parameter in policy.parameters.items()
    }
    config = MlpConfig(hidden=(8,), core="gru", core_units=6, previous=True)
    network = build(played.observations, played.actions, outputs | {"value": Output(1)}, config, 1)
    rng = np.random.default_rng(2)
    for variable in network.variables.values():
        variable.assign(variable.numpy() + rng.normal(0, 0.4, variable.shape))
    played = played.model_copy(
        update={
            "state": {path: list(shape) for path, shape in network.state.items()},
            "head_config": {"record_entropy": True},
        }
    )
    export = PolicyExport(network, tuple(outputs))
    runner = PolicyRunner(export.graph, export.arrays(), 1)
    head = make_head(played.head, played.head_config, played.actions)
    contract = Contract(
        experiment=played.experiment,
        run=played.run,
        observations=played.observations,
        actions=played.actions,
        ticks=TICKS,
        slots=SLOTS,
        extras=head.extras,
        max_abs_reward=10.0,
        state={path: Leaf("float32", shape) for path, shape in network.state.items()},
        needs_carry=True,
    )
    # When a stage plays: the environment asserts that each action is one of its space
    opened = stage(played)
    batches = [copy.deepcopy(opened.play(runner, "")) for _ in range(3)]
    for batch in batches:
        # Then the contract takes the batch, and the learner computes what was recorded
        contract.check(batch)
        assert len(batch.episodes) > 0
        said = unrolled(network, batch)
        for key, expected in (
            (LOG_PROB, policy.log_prob(ops, said, batch.actions)),
            (ENTROPY, policy.entropy(ops, said)),
        ):
            found = batch.extras[key]
            np.testing.assert_allclose(found[batch.valid], expected[batch.valid], atol=2e-4)
    opened.close()


@pytest.mark.parametrize("name", UNMASKED)
def test_random_actions_are_those_of_the_space_too(name, spec):
    batch = held_out_states(spec(name, TICKS, SLOTS), Stage, ticks=40, slots=2)
    assert batch.actions.keys() == spec(name, TICKS, SLOTS).actions.keys()
    assert np.ptp(batch.rewards[batch.valid]) > 0.1
