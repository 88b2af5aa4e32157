"""Faults of players and learners: killed, frozen, ended, wrong, or one too many."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from fault_campaign.fault import Acting, Fault
from fault_campaign.kept import Kept, signal_if_alive
from fault_campaign.poison import lethal_task
from fault_campaign.world import STREAM, WRONG

START_S = 120.0
"""How long a command may take to start on a busy machine."""


def kill_child(acting: Acting) -> str:
    player = acting.rng.choice(acting.world.players)
    children = player.process.children
    acting.world.endings.excused.update(children)
    for pid in children:
        signal_if_alive(pid, signal.SIGKILL)
    return player.name


def kill_worker(acting: Acting) -> str:
    player = acting.rng.choice(acting.world.players)
    player.kill()
    player.start()
    return player.name


def end_worker(acting: Acting) -> str:
    player = acting.rng.choice(acting.world.players)
    wrong = player.end()
    player.start()
    assert not wrong, wrong
    return player.name


def freeze_player(acting: Acting) -> str:
    player = acting.rng.choice(acting.world.players)
    return _frozen(player, acting)


def freeze_learner(acting: Acting) -> str:
    return _frozen(_some_learner(acting), acting)


def kill_learner(acting: Acting) -> str:
    learner = _some_learner(acting)
    learner.kill()
    acting.wait()
    learner.start()
    return learner.name


def end_learner(acting: Acting) -> str:
    learner = _some_learner(acting)
    wrong = learner.end()
    learner.start()
    assert not wrong, wrong
    return learner.name


def tear_checkpoint(acting: Acting) -> str:
    name = acting.rng.choice(sorted(acting.world.learners))
    learner = acting.world.learners[name]
    learner.kill()
    run = acting.world.progress[name].run
    assert run is not None
    folders = sorted(p for p in (run / "checkpoints").glob("[0-9]*") if p.is_dir())
    what = "too few checkpoints to damage one"
    if len(folders) > 1:
        file = acting.rng.choice(sorted(p for p in folders[-1].iterdir() if p.is_file()))
        damage = acting.rng.choice(DAMAGES)
        damage(file, acting.rng.random())
        what = f"{damage.__name__} of {folders[-1].name}/{file.name}"
    learner.start()
    return f"{learner.name}: {what}"


def truncation(file: Path, where: float) -> None:
    os.truncate(file, int(file.stat().st_size * where))


def bit_flip(file: Path, where: float) -> None:
    data = bytearray(file.read_bytes())
    if data:
        data[int(len(data) * where)] ^= 1 << int(where * 997) % 8
    file.write_bytes(data)


def removal(file: Path, where: float) -> None:
    file.unlink()


DAMAGES: tuple[Callable[[Path, float], None], ...] = (truncation, bit_flip, removal)


def second_learner(acting: Acting) -> str:
    """Of the same run, whose folder is locked; or of another run, which the lease refuses."""
    world = acting.world
    name = acting.rng.choice(sorted(world.learners))
    label = f"second-{acting.rng.randrange(10**6)}"
    if acting.rng.random() < 0.5:
        elsewhere = world.folder / "other-runs"
        other = world.learner(name, "--new", label=label, TINYQUEUE_RUNS_DIR=str(elsewhere))
    else:
        other = world.learner(name, label=label)
    other.start()
    try:
        code = other.process.wait(START_S)
        assert code != 0, f"a second learner of {name} ended with 0: {other.log}"
    finally:
        other.kill()
    return f"{name}: refused"


def misconfigured_worker(acting: Acting) -> str:
    worker = acting.world.worker(WRONG, TINYQUEUE_ENVIRONMENT_MODULES="no_such_module")
    worker.starts = acting.rng.randrange(10**6)
    worker.start()
    deadline_s = time.monotonic() + START_S
    while "ready" not in worker.process.printed and time.monotonic() < deadline_s:
        time.sleep(0.1)
    acting.wait()
    if worker.process.is_running:
        worker.process.terminate()
        try:
            worker.process.wait(START_S)
        finally:
            worker.kill()
    refused = worker.process.printed.count("play task refused")
    return f"it refused {refused} tasks"


def poison_task(acting: Acting) -> str:
    """Kills a pool child at each delivery, until it is put aside."""
    world = acting.world
    world.endings.excuses_all = True
    try:
        urls = (world.broker.url("learner"), world.redis.url("learner"))
        with lethal_task(*urls, like=STREAM) as task:
            deadline_s = time.monotonic() + START_S
            while time.monotonic() < deadline_s:
                if any(_put_aside(player, task) for player in world.players):
                    return "put aside"
                time.sleep(0.2)
        raise AssertionError(f"task {task} was not put aside within {START_S:g} s")
    finally:
        # What died in the last moment is noticed a moment later.
        time.sleep(0.5)
        world.endings.excuses_all = False


def _put_aside(player: Kept, task: str) -> bool:
    lines = player.process.printed.splitlines()
    return any("delivered too often" in line and task in line for line in lines)


def _some_learner(acting: Acting) -> Kept:
    return acting.world.learners[acting.rng.choice(sorted(acting.world.learners))]


def _frozen(kept: Kept, acting: Acting) -> str:
    kept.freeze()
    try:
        acting.wait()
    finally:
        kept.thaw()
    return kept.name


FAULTS = (
    Fault("child-kill", "player", "kill -9 of a pool child", kill_child),
    Fault("worker-kill", "player", "kill -9 of a worker with its child", kill_worker),
    Fault("worker-term", "player", "SIGTERM of a worker under load", end_worker),
    Fault("player-stop", "player", "SIGSTOP of a worker with its child", freeze_player, 1, 60),
    Fault(
        "misconfigured-worker",
        "player",
        "a worker that cannot build environments comes and goes",
        misconfigured_worker,
        *(2, 15),
    ),
    Fault("poison-task", "player", "a task that kills every child that plays it", poison_task),
    Fault("learner-kill", "learner", "kill -9 of a learner", kill_learner, 0.1, 5),
    Fault("learner-term", "learner", "SIGTERM of a learner", end_learner),
    Fault("learner-stop", "learner", "SIGSTOP of a learner", freeze_learner, 1, 60),
    Fault(
        "torn-checkpoint",
        "learner",
        "the newest checkpoint is damaged while its learner is dead",
        tear_checkpoint,
    ),
    Fault("second-learner", "learner", "another learner of the same experiment", second_learner),
)
