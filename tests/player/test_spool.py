"""Batches that wait to be published: their order, both bounds, and what outlives a player."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playing import Playing

from tinyqueue.data.session import Drop, SessionBatch
from tinyqueue.player.spool import Spool, size_of
from tinyqueue.player.spool_folder import SpoolFolder

STAGE = f"{0:032x}"


@pytest.fixture
def play(request: pytest.FixtureRequest) -> Playing:
    return Playing(0, ticks=4, slots=1, rng=np.random.default_rng(3))


def folder(
    root: Path, stage: str = STAGE, most_bytes: int = 1 << 20, run: str = "r"
) -> SpoolFolder:
    return SpoolFolder(root, "e", run, stage, most_bytes, "none")


def drained(spool: Spool) -> list[int]:
    numbers = []
    while (batch := spool.oldest(0.0)) is not None:
        numbers.append(batch.header.n)
        spool.done()
    return numbers


def test_batches_leave_in_the_order_in_which_they_came(play: Playing) -> None:
    spool = Spool(1 << 20, None, STAGE)
    for _ in range(3):
        spool.put(play.play())

    assert len(spool) == 3
    assert drained(spool) == [0, 1, 2]
    assert len(spool) == 0


def test_a_batch_is_copied_as_its_stage_goes_on_with_the_same_arrays(play: Playing) -> None:
    spool, batch = Spool(1 << 20, None, STAGE), play.play()
    rewards = batch.rewards.copy()

    spool.put(batch)
    batch.rewards[:] = -1

    kept = spool.oldest(0.0)
    assert kept is not None
    np.testing.assert_array_equal(kept.rewards, rewards)


def test_the_oldest_batches_are_dropped_when_memory_is_full(play: Playing) -> None:
    first = play.play()
    spool = Spool(3 * size_of(first), None, STAGE)

    for batch in (first, *(play.play() for _ in range(4))):
        spool.put(batch)

    assert spool.take_dropped() == [Drop(0, "spool full"), Drop(1, "spool full")]
    assert spool.take_dropped() == []
    assert drained(spool) == [2, 3, 4]


def test_the_batch_being_published_is_not_dropped(play: Playing) -> None:
    first = play.play()
    spool = Spool(size_of(first), None, STAGE)
    spool.put(first)
    assert spool.oldest(0.0) is not None

    spool.put(play.play())
    spool.put(play.play())

    assert spool.take_dropped() == [Drop(1, "spool full")]
    assert drained(spool) == [0, 2]


def test_more_than_half_of_the_memory_goes_to_disk(play: Playing, tmp_path: Path) -> None:
    first = play.play()
    spool = Spool(4 * size_of(first), folder(tmp_path), STAGE)
    spool.put(first)
    for _ in range(3):
        spool.put(play.play())

    spool.spill()

    assert [path.stem for path in sorted(tmp_path.glob("e/*/*.session"))] == [
        "000000000000",
        "000000000001",
    ]
    assert len(spool) == 4
    assert drained(spool) == [0, 1, 2, 3]
    assert not list(tmp_path.glob("e/*/*.session"))


def test_what_was_on_disk_is_the_batch_that_was_played(play: Playing, tmp_path: Path) -> None:
    batch = play.play()
    spool = Spool(1, folder(tmp_path), STAGE)
    spool.put(batch)
    spool.spill()

    kept = spool.oldest(0.0)

    assert kept is not None
    assert kept.header == batch.header
    for name in ("observations", "actions", "extras", "carry"):
        found, played = getattr(kept, name), getattr(batch, name)
        assert found.keys() == played.keys()
        for path in played:
            np.testing.assert_array_equal(found[path], played[path])


def test_a_full_disk_drops_the_oldest_that_is_not_being_published(
    play: Playing, tmp_path: Path
) -> None:
    spool = Spool(1, folder(tmp_path), STAGE)
    spool.put(play.play())
    spool.spill()
    size = next(tmp_path.glob("e/*/*.session")).stat().st_size
    spool = Spool(1, folder(tmp_path / "other", most_bytes=2 * size + size // 2), STAGE)
    spool.put(play.play())
    spool.spill()
    assert spool.oldest(0.0) is not None

    for _ in range(3):
        spool.put(play.play())
        spool.spill()

    # Two files fit, of which 1 is in hand: 2 had to go for 3, and 3 for 4.
    assert spool.take_dropped() == [Drop(2, "spool full"), Drop(3, "spool full")]
    assert drained(spool) == [1, 4]


def test_a_folder_that_cannot_be_written_leaves_the_bound_of_memory(
    play: Playing, tmp_path: Path
) -> None:
    (tmp_path / "e").write_text("a file where the folder should be")
    spool = Spool(1, folder(tmp_path), STAGE)

    spool.put(play.play())
    spool.spill()
    spool.put(play.play())

    assert spool.take_dropped() == [Drop(0, "spool full")]
    assert drained(spool) == [1]


def _saved(play: Playing, root: Path, *batches: SessionBatch) -> None:
    spool = Spool(1 << 20, folder(root), STAGE)
    for batch in batches:
        spool.put(batch)
    assert spool.save() == 0


def test_the_next_player_takes_over_what_was_saved(play: Playing, tmp_path: Path) -> None:
    _saved(play, tmp_path, play.play(), play.play())

    spool = Spool(1 << 20, folder(tmp_path, stage="b" * 32), "b" * 32)
    spool.put(replace(play.play(), header=replace(play.play().header, stage="b" * 32, n=0)))

    assert len(spool) == 3
    assert drained(spool) == [0, 1, 0]
    spool.save()
    assert not list((tmp_path / "e").iterdir())


def test_a_batch_in_hand_is_saved_under_its_id(play: Playing, tmp_path: Path) -> None:
    spool = Spool(1 << 20, folder(tmp_path), STAGE)
    spool.put(play.play())
    spool.put(play.play())
    assert spool.oldest(0.0) is not None

    assert spool.save() == 0

    assert drained(Spool(1, folder(tmp_path, stage="b" * 32), "b" * 32)) == [0, 1]


def test_nobody_takes_over_from_a_player_that_lives(play: Playing, tmp_path: Path) -> None:
    spool = Spool(1, folder(tmp_path), STAGE)
    spool.put(play.play())
    spool.spill()

    assert folder(tmp_path, stage="b" * 32).adopt() == 0
    assert drained(spool) == [0]


def test_what_another_run_left_is_deleted(play: Playing, tmp_path: Path) -> None:
    _saved(play, tmp_path, play.play())

    assert folder(tmp_path, stage="b" * 32, run="another").adopt() == 0
    assert not list((tmp_path / "e").iterdir())


def test_a_torn_file_is_left_out(play: Playing, tmp_path: Path) -> None:
    _saved(play, tmp_path, play.play(), play.play())
    torn = min(tmp_path.glob("e/*/*.session"))
    torn.write_bytes(torn.read_bytes()[:200])

    assert drained(Spool(1, folder(tmp_path, stage="b" * 32), "b" * 32)) == [1]


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    """A run directory has the same layout: an experiment, a number, a file called lock."""
    run = tmp_path / "e" / "1"
    run.mkdir(parents=True)
    (run / "lock").touch()
    (run / "run.json").write_text("{}")
    abandoned = tmp_path / "e" / ("a" * 32)
    abandoned.mkdir()

    assert folder(tmp_path).adopt() == 0

    assert (run / "run.json").exists()
    assert not abandoned.exists()


def test_what_only_fits_compressed_is_kept_on_disk(tmp_path: Path, play: Playing) -> None:
    batch = play.play()
    plain, packed = (
        SpoolFolder(tmp_path / codec, "e", "r", STAGE, 1 << 20, codec) for codec in ("none", "lz4")
    )
    plain.write(batch)
    packed.write(batch)
    sizes = [
        sum(f.stat().st_size for f in (tmp_path / c).rglob("*.session")) for c in ("none", "lz4")
    ]
    assert sizes[1] < sizes[0]
    taken = packed.take()
    assert taken is not None
    assert taken.rewards.tolist() == batch.rewards.tolist()
