"""Recorded sessions as datasets of Keras: every item once, joined across batches, in any order."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playing import Playing, frame, place

from tinyqueue.data.session import SessionBatch
from tinyqueue.datasets import InOrder, ReplayMixer, SessionLog
from tinyqueue.datasets.dataset import Dataset
from tinyqueue.datasets.items import Cut
from tinyqueue.errors import ConfigError, RunDirectoryError
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.models.keras_import import import_keras
from tinyqueue.wire.sessions import encode_session

TICKS, SLOTS, BATCHES = 5, 3, 8


def played(stages: int = 2) -> tuple[list[Playing], list[SessionBatch]]:
    """Batches of stages that take turns, and what each stage has played."""
    found = [Playing(s, TICKS, SLOTS, np.random.default_rng(s)) for s in range(stages)]
    return found, [found[n % stages].play() for n in range(BATCHES)]


def recorded(folder: Path, batches: list[SessionBatch]) -> Path:
    with Ledger(folder / "sessions.db", experiment="e", run="r", keeps_bodies=True) as ledger:
        for batch in batches:
            message = encode_session(batch, "lz4")
            body = StoredBody(message.body, message.headers)
            steps = batch.env_steps
            ledger.record([Mark(batch.header.batch_id, "accepted", env_steps=steps, body=body)])
    return folder


def expected(
    stages: list[Playing], closed: bool = False
) -> dict[int, tuple[int, float, int, bool]]:
    """Frame → action, reward, next frame and whether it terminated, of every whole transition.

    With ``closed`` also those of the last tick, which a gap ends.
    """
    found = {}
    for stage in stages:
        for slot, ticks in enumerate(stage.slots):
            last, then = ticks[-1], frame(stage.stage, slot, len(ticks))
            if closed and last.valid:
                found[last.frame] = (last.action, last.reward, then, last.terminated)
            for tick, after in itertools.pairwise(ticks):
                if tick.valid:
                    found[tick.frame] = (tick.action, tick.reward, after.frame, tick.terminated)
    return found


def transitions(batches: list[dict[str, Any]]) -> dict[int, tuple[int, float, int, bool]]:
    found: dict[int, tuple[int, float, int, bool]] = {}
    for batch in batches:
        names = ("observations", "actions", "returns", "next_observations", "discounts")
        for seen, action, reward, then, discount in zip(*(batch[n] for n in names), strict=True):
            assert int(seen) not in found, "an item came twice"
            found[int(seen)] = (int(action), float(reward), int(then), discount == 0)
    return found


@pytest.mark.integration
def test_importing_it_brings_no_tensorflow():
    code = "import sys, tinyqueue.datasets\nprint({'keras', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_log_is_a_dataset_of_its_session_batches(tmp_path: Path):
    _, keras = import_keras()
    _, batches = played()
    with SessionLog(recorded(tmp_path, batches)) as log:
        assert isinstance(log, keras.utils.PyDataset)
        assert isinstance(log, SessionLog)
        assert len(log) == log.num_batches == BATCHES
        for found, batch in zip(log, batches, strict=True):
            np.testing.assert_array_equal(found["observations"], batch.observations[""])
            np.testing.assert_array_equal(found["rewards"], batch.rewards)
            np.testing.assert_array_equal(found["carry"]["state/h"], batch.carry["state/h"])
        assert log.session(3).header.batch_id == batches[3].header.batch_id


def test_every_transition_comes_once_an_epoch_in_another_order(tmp_path: Path):
    stages, batches = played()
    items = SessionLog(recorded(tmp_path, batches)).transitions(4, gamma=0.5, seed=1)

    first = list(items)
    items.on_epoch_end()
    second = list(items)

    whole = expected(stages)
    assert len(items) == len(whole) // 4
    for found in (transitions(first), transitions(second)):
        # What is left over after the last whole batch differs from epoch to epoch.
        assert len(found) == 4 * len(items)
        assert found.items() <= whole.items()
    assert not np.array_equal(first[0]["observations"], second[0]["observations"])


def test_without_shuffling_the_order_is_that_of_storage_and_always_the_same(tmp_path: Path):
    _, batches = played()
    log = SessionLog(recorded(tmp_path, batches))
    once, again = (list(log.transitions(4, shuffle=False)) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        np.testing.assert_array_equal(one["observations"], other["observations"])


def test_sequences_begin_where_a_state_was_recorded(tmp_path: Path):
    stages, batches = played()
    items = SessionLog(recorded(tmp_path, batches)).sequences(2, unroll=TICKS, shuffle=False)
    seen = 0
    for batch in items:
        assert batch["observations"].shape == (TICKS + 1, 2)
        assert batch["mask"].shape == (TICKS, 2)
        for item in range(2):
            stage, slot, tick = place(int(batch["observations"][0, item]))
            mask = batch["mask"][:, item]
            actions = [t.action for t in stages[stage].slots[slot][tick : tick + int(mask.sum())]]
            assert batch["actions"][mask, item].tolist() == actions
            carried = batch["state"]["h"][item, 0]
            assert carried in (0.0, tick)  # the frame before, plus 1
            seen += 1
    assert seen > 20


def test_a_stream_in_the_order_of_play_gives_every_item_once_as_its_ring_goes_round():
    stages, _ = played(stages=1)
    (stage,) = stages
    stage.slots, stage.n = [[] for _ in range(SLOTS)], 0
    total = 40

    def sessions() -> Iterator[SessionBatch]:
        for _ in range(total):
            yield stage.play()

    items, found = InOrder(sessions(), Cut(batch_size=4), memory_batches=3), []
    with pytest.raises(IndexError, match="have ended"):
        # `extend` keeps what came before the error.
        found.extend(items)

    given, whole = transitions(found), expected(stages)
    assert given.items() <= whole.items()
    assert len(whole) - len(given) < 4 + SLOTS


def test_a_replay_samples_in_ratio_and_reads_a_log_again_and_again(tmp_path: Path):
    stages, batches = played()
    log = SessionLog(recorded(tmp_path, batches))
    options = {"minimum_steps": 30, "samples_per_insert": 2.0, "capacity_steps": 60, "seed": 3}
    mixed = log.replay(10, options=options)

    whole, taken = expected(stages, closed=True), 0
    for _ in range(40):
        batch = mixed[0]
        names = ("observations", "actions", "returns", "next_observations", "discounts")
        for seen, action, reward, then, discount in zip(*(batch[n] for n in names), strict=True):
            assert whole[int(seen)] == (action, reward, then, discount == 0)
            taken += 1

    assert mixed.num_batches is None
    assert mixed.sampled == taken == 400
    # 2 per step beyond the minimum, to within a batch of either kind: the log has 8 batches.
    assert abs(mixed.sampled - 2 * (mixed.inserted - 30)) <= 2 * TICKS * SLOTS + 10
    assert mixed.inserted > sum(batch.env_steps for batch in batches)


def test_a_model_is_fitted_to_a_log_with_prefetching(tmp_path: Path):
    """The action is learned from the frame by plain ``fit``: one table entry for each."""
    _, keras = import_keras()
    _, batches = played()
    log = SessionLog(recorded(tmp_path, batches))

    def pairs(batch: dict[str, Any]) -> tuple[Any, Any]:
        stage, slot, tick = place(batch["observations"])
        return (stage * SLOTS + slot) * 100 + tick, batch["actions"]

    items = log.transitions(8).map(pairs).prefetch(2)
    model = keras.Sequential([keras.layers.Embedding(600, 200), keras.layers.Softmax()])
    model.compile(keras.optimizers.Adam(0.5), "sparse_categorical_crossentropy")
    history = model.fit(items, epochs=12, verbose=0)
    items.close()

    assert history.history["loss"][-1] < 0.1 * history.history["loss"][0]


def test_the_same_batches_come_through_tf_data(tmp_path: Path):
    _, batches = played()
    items = SessionLog(recorded(tmp_path, batches)).transitions(4, shuffle=False)
    through = list(items.tf())
    assert len(through) == len(items)
    for one, other in zip(through, items, strict=True):
        np.testing.assert_array_equal(one["next_observations"], other["next_observations"])


class Counting(Dataset):
    """Numbers from 0, and an error at 5."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[int] = []
        self.at_five = threading.Event()

    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            self.at_five.set()
            raise ConfigError("five")
        self.made.append(index)
        return {"x": np.array([index])}


def test_prefetching_makes_batches_ahead_and_raises_their_errors_in_their_place():
    source = Counting()
    ahead = source.prefetch(depth=8)
    assert ahead[0]["x"] == 0
    assert source.at_five.wait(10)
    assert source.made == [0, 1, 2, 3, 4]
    assert [int(ahead[0]["x"][0]) for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match="five"):
        ahead[0]
    ahead.close()


def test_damaged_rows_are_left_out_and_named(tmp_path: Path):
    _, batches = played()
    recorded(tmp_path, batches)
    with sqlite3.connect(tmp_path / "sessions.db") as database:
        database.execute("UPDATE batches SET body = x'00' WHERE number = 3")
    log = SessionLog(tmp_path)

    assert len(list(log.sessions())) == BATCHES - 1
    assert list(log.skipped) == [3]
    with pytest.raises(RunDirectoryError, match="session batch 3"):
        log[2]


def test_what_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(RunDirectoryError, match=r"holds no sessions\.db"):
        SessionLog(tmp_path)
    _, batches = played()
    log = SessionLog(recorded(tmp_path, batches))
    with pytest.raises(ConfigError, match="do not fill a batch of batch_size = 5000"):
        log.transitions(5000)[0]
    with pytest.raises(ConfigError, match="more than most_bytes"):
        log.transitions(4, most_bytes=5_000)[0]
    with pytest.raises(ConfigError, match="minimum_steps = 9"):
        ReplayMixer(log.sessions, Cut(), minimum_steps=9, capacity_steps=3)
    with pytest.raises(ConfigError, match="batch_size, n_step and stack are at least 1"):
        log.transitions(0)
