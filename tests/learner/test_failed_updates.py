"""An update that fails: who is to blame, what is taken out, and when the run ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stateless_source import StatelessSource
from stream_batches import PUSHES, assert_equal, differ, network_of, played

from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.algorithms.impala import Impala, ImpalaConfig
from tinyqueue.bus.messages import Delivery
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.experience.failed_updates import MOST_IN_A_ROW, FailedUpdates, culprits
from tinyqueue.experience.source import Arrival, Refused, Taken
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.learner.updater import WeightsNotFiniteError, require_finite
from tinyqueue.models.mlp import MlpConfig
from tinyqueue.run.checkpoint import ReplayState
from tinyqueue.run.checkpoints import Checkpoints


@pytest.mark.parametrize("seed", range(40))
def test_culprits_are_found_and_nobody_else(seed: int) -> None:
    # Given some bad parts among many
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 1025))
    bad = set(rng.choice(count, min(count, int(rng.integers(1, 6))), replace=False).tolist())
    tries = 0

    def is_bad(group):
        nonlocal tries
        tries += 1
        return not bad.isdisjoint(group)

    # When they are looked for
    found = culprits(is_bad, count)
    # Then at least one is found within the limit, and all if there are few
    assert tries <= 64
    assert found
    assert set(found) <= bad
    if 2 * len(bad) * max(1, count.bit_length()) <= 64:
        assert set(found) == bad


def test_parts_that_are_bad_only_together_are_all_culprits() -> None:
    assert culprits(lambda group: len(group) > 3, 4) == [0, 1, 2, 3]


class Numbers:
    """An algorithm on lists of numbers: NaN is bad, and so is everything once it has diverged."""

    def __init__(self):
        self.has_diverged = False

    def is_sound(self, experience, env_steps):
        return not self.has_diverged and not any(np.isnan(experience))


class Remembering:
    """A source that remembers what was taken out of it."""

    is_own = False
    counts_failed = False

    def __init__(self):
        self.culprits = []

    def refuse(self, taken, culprits):
        self.culprits.append(list(culprits))
        return [Refused("", "p") for _ in culprits]


GRAPH = b"an acting graph"


def failures(algorithm: Any, source: Any, refused: Callable[[Refused], None]) -> FailedUpdates:
    return FailedUpdates(algorithm, source, refused)


ERROR = LossNotFiniteError("the update was not applied. Use a smaller algorithm.learning_rate.")
NAN = float("nan")


def test_however_many_bad_batches_come_in_a_row_they_do_not_end_a_run() -> None:
    source, told = Remembering(), []
    failed = failures(Numbers(), source, told.append)

    # Even before the first good update
    for _ in range(5 * MOST_IN_A_ROW):
        failed.failed(Taken([], [1.0, NAN]), 0, ERROR)
    failed.succeeded([1.0, 2.0])
    for _ in range(5 * MOST_IN_A_ROW):
        failed.failed(Taken([], [NAN, 1.0, NAN]), 0, ERROR)

    assert source.culprits == [[1]] * 50 + [[0, 2]] * 50
    assert len(told) == 150


def test_an_algorithm_that_fails_on_what_it_has_learned_from_ends_the_run() -> None:
    algorithm = Numbers()
    failed = failures(algorithm, Remembering(), lambda batch: None)
    failed.succeeded([1.0])
    algorithm.has_diverged = True
    for _ in range(MOST_IN_A_ROW - 1):
        failed.failed(Taken([], [2.0]), 0, ERROR)
    # A good update ends the row
    failed.succeeded([3.0])
    for _ in range(MOST_IN_A_ROW - 1):
        failed.failed(Taken([], [2.0]), 0, ERROR)

    with pytest.raises(LossNotFiniteError, match=r"10 updates in a row .* algorithm.learning_rate"):
        failed.failed(Taken([], [2.0]), 0, ERROR)


def test_with_experience_of_its_own_nobody_else_is_to_blame() -> None:
    source = Remembering()
    source.is_own = True
    failed = failures(Numbers(), source, lambda batch: None)
    for _ in range(MOST_IN_A_ROW - 1):
        failed.failed(Taken([], [NAN]), 0, ERROR)
    with pytest.raises(LossNotFiniteError, match="10 updates in a row"):
        failed.failed(Taken([], [NAN]), 0, ERROR)


class Reporter:
    spoiled = ""

    def __init__(self):
        self.messages, self.refusals, self.is_evaluating = [], [], False

    def message(self, text):
        self.messages.append(text)

    def trained(self, batches):
        pass

    def refused(self, batch):
        self.refusals.append(batch)

    def closing_advice(self):
        return []

    def closing_remarks(self):
        return []


class Settled(dict[str, Any]):
    def __call__(self, delivery, mark, set_aside=None):
        self[mark.batch_id] = (mark.fate, set_aside)


class NoGames:
    def request(self, weights, request, seed, actions, *, here=False):
        raise AssertionError("no evaluation is due")

    def play_instead(self):
        return False

    def poll(self):
        return None


@pytest.fixture
def network():
    return network_of(MlpConfig(hidden=(8,), activation="relu"))


@pytest.fixture
def batches(network):
    return played(network, 12)


@pytest.fixture
def algorithm(network):
    return Impala(ImpalaConfig(), network, PUSHES)


@pytest.fixture
def export(algorithm, spec):
    def arrays(version):
        return {name: v.numpy() for name, v in algorithm.kept.items() if name.startswith("model/")}

    return SimpleNamespace(graph=GRAPH, sha256=spec.graph_sha256, arrays=arrays)


@pytest.fixture
def reporter():
    return Reporter()


@pytest.fixture
def make_run(make_updater, make_experiment_of, reporter, tmp_path):
    def make(source):
        experiment = make_experiment_of()
        reached = ReturnThreshold(None, experiment.evaluation, NoGames(), 0)
        checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
        updater = make_updater()
        run = TrainingRun(experiment, updater, checkpoints, reached, reporter, source)
        return run, updater, checkpoints

    return make


def arrival(batch, n, settled, value=None):
    """Batch n, of one of three players; with a value in its observations."""
    observations = {"": batch.observations[""].copy()}
    if value is not None:
        observations[""][0, 0, 0] = value
    player = n % 3
    header = replace(batch.header, stage=f"{player:032x}", n=n, player=f"player {player}")
    batch = replace(batch, header=header, observations=observations)
    delivery = Delivery(b"", {}, header.batch_id, "type", login=f"rack-{player}")
    return Arrival(batch, delivery, settled)


@pytest.mark.parametrize("value", [3e38, -3e38, math.nan, math.inf])
def test_a_bad_batch_of_a_stream_is_set_aside_and_the_others_are_trained_on(
    make_run, batches, algorithm, reporter, published, value
):
    # Given three updates of four batches, and a bad batch in the second
    settled = Settled()
    stream = StreamExperience(4, settled.__contains__, log_every_s=60.0)
    run, updater, _ = make_run(stream)
    for n, batch in enumerate(batches):
        stream.offer(arrival(batch, n, settled, value if n == 5 else None))
    run.update(stream.take(0.1))
    before = algorithm.state()
    # When the second one fails
    run.update(stream.take(0.1))
    # Then nothing has changed but the fate of that batch
    assert_equal(before, algorithm.state())
    assert settled.pop(f"{2:032x}:5") == ("set aside", "not-finite")
    assert reporter.refusals == [Refused("rack-2", "player 2")]
    assert len(settled) == updater.clock.updates * 4 == 4
    # And those that were with it are the next to be trained on
    taken = stream.take(0.1)
    assert [batch.header.n for batch in taken.arrived] == [4, 6, 7, 8]
    run.update(taken)
    assert differ(before, algorithm.state())
    assert set(settled.values()) == {("accepted", None)}
    assert updater.clock.env_steps == sum(batches[n].env_steps for n in (0, 1, 2, 3, 4, 6, 7, 8))
    assert [weights.version for weights in published] == [0, 1]


def test_a_run_whose_weights_have_been_driven_too_far_ends_and_is_saved(
    make_run, batches, algorithm, reporter, published
):
    # Given weights so large that every loss is infinite
    settled = Settled()
    stream = StreamExperience(1, settled.__contains__, log_every_s=60.0)
    run, updater, checkpoints = make_run(stream)
    stream.offer(arrival(batches[0], 0, settled))
    run.update(stream.take(0.1))
    for name, variable in algorithm.kept.items():
        if name.startswith("model/"):
            variable.assign(variable * 0 + 1e30)

    def go_on():
        with run.saving():
            for n in range(1, 12):
                stream.offer(arrival(batches[n], n, settled))
                run.update(stream.take(0.1))

    # When training goes on
    with pytest.raises(LossNotFiniteError, match="10 updates in a row"):
        go_on()
    # Then the run was saved as it was, after ten updates
    assert updater.clock.updates == checkpoints.newest().updates == 1
    assert len(reporter.refusals) == 9
    assert len(published) == 1


def test_weights_that_are_not_finite_are_neither_published_nor_saved(
    make_run, batches, algorithm, published
):
    settled = Settled()
    stream = StreamExperience(1, settled.__contains__, log_every_s=60.0)
    run, updater, checkpoints = make_run(stream)
    stream.offer(arrival(batches[0], 0, settled))
    run.update(stream.take(0.1))
    run.saver.save()
    variable = algorithm.kept[
        "model/" + next(iter(updater.weights(0).arrays)).removeprefix("model/")
    ]
    variable.assign(variable * math.nan)

    with pytest.raises(WeightsNotFiniteError, match="not finite any more"), run.saving():
        updater.publish()

    assert len(published) == 1
    assert len(checkpoints.paths()) == 1
    with pytest.raises(WeightsNotFiniteError):
        updater.checkpoint(ReplayState())
    require_finite({"updates": np.zeros((), np.int64)})


@pytest.mark.parametrize(
    ("cost_s", "every_s", "interval_s"),
    [
        (0.005, 10.0, 10.0),
        (0.1, 10.0, 10.0),
        (0.3, 10.0, 30.0),
        (5.0, 10.0, 60.0),
        (5.0, 300.0, 300.0),
        (5.0, 0.5, 0.5),
    ],
)
def test_checkpoints_take_a_hundredth_of_the_time(make_run, cost_s, every_s, interval_s):
    run, _, _ = make_run(Remembering())
    run.saver._every_s, run.saver._cost_s = every_s, cost_s

    assert run.saver.interval_s == pytest.approx(interval_s)


def test_what_a_checkpoint_costs_is_measured(make_run):
    run, _, _ = make_run(StatelessSource())

    run.saver.save()

    assert 0.0 < run.saver._cost_s < 5.0
