"""A replay over a real ledger: what made an update fail is gone, now and after a restart."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.base import LossNotFiniteError, Update
from tinyqueue.bus.messages import Delivery
from tinyqueue.experience.failed_updates import FailedUpdates
from tinyqueue.experience.make import make_experience
from tinyqueue.experience.source import Arrival
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

PLANS = {
    "transitions": ReplayPlan(8, 3, 0.9, Prioritisation(0.6, 0.4, 0.4, 0)),
    "sequences": ReplayPlan(8, 2, 0.9, None, burn_in=1, unroll=4),
}
BAD = {5, 6, 17, 30}
BATCHES = 36


class Choosy:
    """An algorithm that fails on the observations of bad batches, which hold their number."""

    def is_sound(self, sample, env_steps):
        seen = [sample.observations[""], getattr(sample, "next_observations", {}).get("")]
        return not any(np.isin(a, list(BAD)).any() for a in seen if a is not None)

    def update(self, sample, env_steps):
        if not self.is_sound(sample, env_steps):
            raise LossNotFiniteError("the update was not applied")
        return Update({}, np.ones(len(sample.rows), np.float32))


@pytest.fixture
def deliver(make_batch):
    def deliver(n):
        player = n % 2
        batch = make_batch(n // 2, stage=f"{player:032x}", user=f"rack-{player}")
        observations = {"": np.full((5, 2, 4), n, np.float32)}
        carry = {"episode_steps": np.full(2, 4 * (n // 2), np.int32)}
        batch = replace(batch, extras={}, carry=carry, observations=observations)
        encoded = encode_session(batch)
        delivery = Delivery(encoded.body, encoded.headers, batch.header.batch_id, SESSION_TYPE)
        return batch, delivery

    return deliver


def trained(experience, failed, algorithm, until):
    """Trains until something is so."""
    deadline_s = time.monotonic() + 30
    while not until():
        assert experience.error is None
        assert time.monotonic() < deadline_s
        taken = experience.take(timeout_s=0.01)
        if taken is None or taken.experience is None:
            continue
        try:
            update = algorithm.update(taken.experience, 0)
        except LossNotFiniteError as error:
            failed.failed(taken, 0, error)
        else:
            failed.succeeded(taken.experience)
            experience.trained(taken, update)


@pytest.mark.parametrize("plan", PLANS)
def test_what_made_updates_fail_is_gone_for_good(
    make_experiment_of, contract, deliver, tmp_path, plan
):
    # Given a log of two players' batches, some of which make every update fail
    path = tmp_path / "sessions.db"
    contract = replace(contract, extras={})
    section = {"capacity_steps": 8 * 64, "minimum_steps": 8, "samples_per_insert": 40.0}
    experiment = make_experiment_of(algorithm={"name": "dqn"}, replay=section)
    algorithm: Any = Choosy()
    refused: list[Any] = []
    owner = {"experiment": "pole", "run": contract.run, "keeps_bodies": True}
    with Ledger(path, **owner) as ledger:
        experience: Any = make_experience(
            experiment, PLANS[plan], contract, ledger, path, updates=lambda: 0
        )
        experience.start()
        settled = []
        for n in range(BATCHES):
            batch, delivery = deliver(n)
            arrival = Arrival(batch, delivery, lambda _, mark, set_aside=None: settled.append(mark))
            # As if each was let in at once
            experience._memory.admit(batch.env_steps)
            experience._admitted[batch.header.batch_id] = batch
            arrival.accept(store=True)
            (recorded,) = ledger.record([settled[-1]])
            experience.committed(batch.header.batch_id, recorded.number)

        # When they are drawn
        failed = FailedUpdates(algorithm, experience, refused.append)
        trained(
            experience,
            failed,
            algorithm,
            lambda: {n + 1 for n in BAD}.isdisjoint(_held(experience)),
        )
        # … and for a while afterwards
        until_s = time.monotonic() + 0.5
        trained(experience, failed, algorithm, lambda: time.monotonic() > until_s)
        experience.stop()

        # Then they are gone, with what they were read with, and nothing else is
        held = set(_held(experience))
        count = ledger.count()
        assert len(refused) == count.withdrawn == BATCHES - len(held)
        assert len(BAD) <= count.withdrawn <= 3 * len(BAD)
        assert (count.accepted, count.unbalanced) == (BATCHES, 0)
        assert {batch.login for batch in refused} <= {"rack-0", "rack-1"}
    with SessionLog(path) as log:
        assert {row.number for row in log.rows()} == held
        assert log.skipped == {}

    # And a restart does not bring them back
    with Ledger(path, **owner) as ledger:
        experience = make_experience(
            experiment, PLANS[plan], contract, ledger, path, updates=lambda: 0
        )
        said = experience.restore(None)
        assert "left out" not in said
        assert set(_held(experience)) == held
        assert ledger.env_steps == 8 * BATCHES


def _held(experience):
    replay = experience._memory.replay
    numbers = replay._numbers
    return numbers[numbers > 0].tolist()
