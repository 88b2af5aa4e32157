"""The whole learner but for TensorFlow: its algorithm guesses, so that a start takes no time.

As a program it trains the run directory that it is given, after a line on its standard input, and
notes in a file what it is doing: the file is read after it was killed.
"""

from __future__ import annotations

import hashlib
import mmap
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from playing import ACTIONS, OBSERVATIONS, STATE

from tinyqueue.algorithms.base import Update
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learner import reporter, service
from tinyqueue.learner.build import Built
from tinyqueue.learner.surroundings import Surroundings
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.ledger.ledger_file import LedgerFile
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.replay.replay import Replay
from tinyqueue.replay.samplers import PrioritisedSampler
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import load_settings
from tinyqueue.wire.contract import Contract, Extra

NAME = "guessing"
TICKS, SLOTS, BLOCKS = 8, 2, 24
# γ = ½ and α = 1: returns and priorities are exact, whoever works them out.
PLAN = ReplayPlan(16, 3, 0.5, Prioritisation(1.0, 0.4, 0.4, 0), reward_clip=30)
EXPERIMENT = make_experiment(
    {
        "name": NAME,
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"name": "dqn"},
        "session": {"ticks": TICKS, "slots": SLOTS},
        "replay": {
            "capacity_steps": BLOCKS * TICKS * SLOTS,
            "minimum_steps": 64,
            "samples_per_insert": 2,
        },
        "learner": {
            "queue_batches": 4,
            "checkpoint_every_s": 0.1,
            "log_every_s": 0.1,
            "max_policy_lag": 1_000_000,
            "publish_every_updates": 2,
        },
    }
)
STAGES = ("commit", "checkpoint", "restore", "ready")
"""What is noted, a byte each: 1 while it goes on; ``ready`` from the end of the restore."""


class Notes:
    """A few bytes that outlive the process that wrote them.

    Args:
        path: Made when absent.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(len(STAGES)))
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), len(STAGES))

    def __getitem__(self, name: str) -> int:
        return self._bytes[STAGES.index(name)]

    def __setitem__(self, name: str, value: int) -> None:
        self._bytes[STAGES.index(name)] = value

    def clear(self) -> None:
        self._bytes[:] = bytes(len(STAGES))

    def during(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, noted while it runs."""

        def noted(*args: Any, **kwargs: Any) -> Any:
            self[name] = 1
            try:
                return act(*args, **kwargs)
            finally:
                self[name] = 0

        return noted


class Guessing:
    """An algorithm whose weight is its number of updates, and whose priorities are random."""

    replay = PLAN

    def __init__(self) -> None:
        self.updates = np.zeros((), np.int64)
        self._rng = np.random.default_rng()

    def update(self, sample: Any, env_steps: int) -> Update:
        self.updates += 1
        return Update({"loss": 0.0}, self._rng.integers(1, 100, len(sample.rows)).astype("float32"))

    def prepare(self, ticks: int, slots: int) -> None:
        pass

    def state(self) -> dict[str, np.ndarray]:
        return {"updates": self.updates}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.updates = state["updates"].copy()


def built(run: str) -> Built:
    """What players would have to send, and what it is trained with."""
    algorithm: Any = Guessing()
    graph = b"an acting graph"
    state = {path: Leaf("float32", shape) for path, shape in STATE.items()}
    export: Any = SimpleNamespace(
        graph=graph,
        sha256=hashlib.sha256(graph).hexdigest(),
        arrays=lambda version: {"w": np.full(2, algorithm.updates, np.float32)},
    )
    spec = PlaySpec(
        experiment=NAME,
        run=run,
        environment=EnvironmentConfig(id="CartPole-v1"),
        observation_space=space_to_json(OBSERVATIONS),
        action_space=space_to_json(ACTIONS),
        head="epsilon-greedy",
        ticks=TICKS,
        slots=SLOTS,
        graph_sha256=export.sha256,
    )
    contract = Contract(
        experiment=NAME,
        run=run,
        observations=OBSERVATIONS,
        actions=ACTIONS,
        ticks=TICKS,
        slots=SLOTS,
        extras={name: Extra("float32") for name in ("q_taken", "q_max")},
        max_abs_reward=1e3,
        state=state,
        needs_carry=True,
    )
    return Built(algorithm, export, spec, contract, threshold=None)


def content(replay: Replay) -> dict[str, np.ndarray]:
    """Every item, in the order of the frames at which they begin."""
    sampler = replay._sampler
    assert isinstance(sampler, PrioritisedSampler)
    rows = np.arange(replay.capacity)
    rows = rows[sampler.is_live(rows)]
    sample: Any = replay._items.gather(rows, replay._ring.births(rows), np.ones(len(rows)))
    order = np.argsort(sample.observations[""])
    columns = {
        "frames": sample.observations[""],
        "next_frames": sample.next_observations[""],
        "actions": sample.actions,
        "returns": sample.returns,
        "discounts": sample.discounts,
        "priorities": sampler._tree.get(rows),
    }
    return {name: column[order] for name, column in columns.items()}


class _Quiet:
    """A view and a TensorBoard: messages are printed, numbers are not."""

    is_due = False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None

    def message(self, text: str) -> None:
        print(text, flush=True)


def main(path: Path, notes: Notes) -> None:
    restore = TrainingRun.restore

    def restore_and_tell(training: Any, ledger: Any) -> None:
        restore(training, ledger)
        columns: dict[str, Any] = content(training._source._memory.replay)
        np.savez(path / "restored.npz", **columns)
        notes["ready"] = 1

    replaced: list[tuple[Any, str, Any]] = [
        (TrainingRun, "restore", notes.during("restore", restore_and_tell)),
        (LedgerFile, "write", notes.during("commit", LedgerFile.write)),
        (Checkpoints, "save", notes.during("checkpoint", Checkpoints.save)),
        (service, "build", lambda experiment, info, run: built(run)),
        (reporter, "TensorBoard", lambda folder: _Quiet()),
    ]
    for owner, name, stand_in in replaced:
        setattr(owner, name, stand_in)
    if not sys.stdin.readline():
        return
    run = RunDirectory.open(path)
    unused: Any = None
    around = Surroundings(load_settings(), lambda: (EXPERIMENT, unused), _Quiet(), unused, _Quiet())
    learner = service.LearnerService(EXPERIMENT, run, around)
    signal.signal(signal.SIGTERM, lambda *_: learner.stop())
    try:
        learner.run()
    finally:
        run.close()
    assert not {"tensorflow", "keras"} & sys.modules.keys()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Notes(Path(sys.argv[2])))
