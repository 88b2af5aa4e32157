"""How fast the replay is, and how much memory a million frames need.

    python benchmarks/replay.py --json
    python benchmarks/replay.py sample_512_ms insert_per_s

Prints one line per key, or with ``--json`` one object. Times are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle

import numpy as np
from session_log import log_mb_per_s, restart_s

from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.replay.replay import Replay

TICKS, SLOTS = 32, 32
"""The defaults of a session."""

STEPS = 1_000_000
PRIORITISED = Prioritisation(0.6, 0.4, 0.4, 0)
SMALL: Space = {"": Leaf("float32", (4,))}
ATARI: Space = {"": Leaf("uint8", (84, 84))}
ACTIONS: Space = {"": Leaf("uint8", (), n=4)}


def session_batches(space: Space, count: int, episode_steps: int) -> Iterator[SessionBatch]:
    """Batches of one stage, whose episodes all have the same length."""
    rng = np.random.default_rng(1)
    (leaf,) = space.values()
    frames = rng.integers(0, 255, (TICKS + 1, SLOTS, *leaf.shape)).astype(leaf.dtype)
    actions = rng.integers(0, 4, (TICKS, SLOTS)).astype(np.uint8)
    values = rng.random((TICKS, SLOTS), np.float32)
    period = episode_steps + 1
    for n in range(count):
        place = (np.arange(TICKS)[:, None] + n * TICKS + np.arange(SLOTS)) % period
        yield SessionBatch(
            header=Header("e", "r", "0" * 32, n, "u", "p", 1, 1),
            observations={"": frames},
            actions={"": actions},
            rewards=values,
            terminated=place == episode_steps - 1,
            truncated=np.zeros((TICKS, SLOTS), bool),
            valid=place != episode_steps,
            extras={"q_taken": values, "q_max": values},
            carry={"episode_steps": (place[0] % episode_steps).astype(np.int32)},
        )


def filled(space: Space, batch_size: int, stack: int) -> tuple[Replay, float]:
    """A replay of a million rows, a quarter of them overwritten, and its inserts per second."""
    plan = ReplayPlan(batch_size, 3, 0.99, PRIORITISED)
    replay = Replay(
        plan,
        space,
        ACTIONS,
        {},
        ticks=TICKS,
        slots=SLOTS,
        capacity_steps=STEPS,
        capacity_bytes=2**40,
        stack=stack,
    )
    count = STEPS // (TICKS * SLOTS)
    seconds = 0.0
    for number, batch in enumerate(session_batches(space, count + count // 4, 200)):
        start_s = time.perf_counter()
        replay.add(number, batch)
        seconds += time.perf_counter() - start_s
    return replay, (count + count // 4) * TICKS * SLOTS / seconds


@cache
def small() -> tuple[Replay, float]:
    """A replay of small observations, and its inserts per second."""
    return filled(SMALL, 512, 1)


@cache
def atari() -> tuple[Replay, float]:
    """A replay of Atari frames, and by how many GB (10⁹ bytes) this process grew."""
    before = resident_bytes()
    replay, _ = filled(ATARI, 64, 4)
    return replay, (resident_bytes() - before) / 1e9


def resident_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def median_ms(call: Callable[[], object], repeats: int = 200) -> float:
    """Median wall time of a call in milliseconds."""
    taken = []
    for _ in range(repeats):
        start_s = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start_s)
    return statistics.median(taken) * 1e3


def sample_512_ms() -> float:
    """A prioritised sample of 512 transitions, gathered, at a million items."""
    replay, rng = small()[0], np.random.default_rng(2)
    return median_ms(lambda: replay.sample(rng, 0))


def update_512_ms() -> float:
    """Writing back the priorities of 512 items."""
    replay, rng = small()[0], np.random.default_rng(3)
    samples = cycle([replay.sample(rng, 0) for _ in range(50)])

    def update() -> None:
        sample = next(samples)
        replay.update_priorities(sample.rows, sample.births, rng.random(512))

    return median_ms(update)


def insert_per_s() -> float:
    """Transitions per second through the 3-step adder, evicting."""
    return small()[1]


def atari_stacks_64_ms() -> float:
    """64 transitions of 84×84×4, with the stack of the next observation: 128 stacks."""
    replay, rng = atari()[0], np.random.default_rng(4)
    return median_ms(lambda: replay.sample(rng, 0))


def atari_1m_gb() -> float:
    """Growth of resident memory in GB after writing a million 84×84 frames."""
    return atari()[1]


MEASURES: dict[str, Callable[[], float]] = {
    measure.__name__: measure
    for measure in (
        sample_512_ms,
        update_512_ms,
        insert_per_s,
        atari_stacks_64_ms,
        atari_1m_gb,
        log_mb_per_s,
        restart_s,
    )
}


def main() -> None:
    """Prints the requested measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", choices=[*MEASURES, []], help="all when none is named")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {key: round(MEASURES[key](), 4) for key in arguments.keys or MEASURES}
    print(json.dumps(found) if arguments.json else "\n".join(f"{k} {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
