"""Evaluations in a process of their own: whatever an environment does ends no learner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from balancing import BALANCES, FALLS, graph, spec, version

from tinyqueue.errors import EnvironmentFailedError, TinyqueueError
from tinyqueue.evaluation.games_process import GamesProcess
from tinyqueue.evaluation.local_games import play_here
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.evaluations import EvaluationResult

pytestmark = pytest.mark.integration

EVALUATION = EvaluationConfig(episodes=5, slots=3)
MODULE = """
import ctypes, os, signal, sys, time
import gymnasium
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

class Strange(CartPoleEnv):
    def __init__(self, what="", where=""):
        super().__init__()
        self._what, self._where = what, where
    def _do(self, where):
        if where == self._where:
            exec(self._what)
    def reset(self, **given):
        self._do("reset")
        return super().reset(**given)
    def step(self, action):
        self._do("step")
        return super().step(action)
    def close(self):
        self._do("close")

gymnasium.register("Strange-v0", entry_point=Strange, max_episode_steps=500)
"""


@pytest.fixture
def over() -> threading.Event:
    return threading.Event()


@pytest.fixture
def process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: threading.Event
) -> Iterator[GamesProcess]:
    (tmp_path / "strange_games.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    yield GamesProcess(["strange_games"], over.is_set)
    over.set()


def play(
    process: GamesProcess, what: str = "", where: str = "", wanted_s: float = 60.0
) -> EvaluationResult:
    environment = EnvironmentConfig(id="Strange-v0", kwargs={"what": what, "where": where})
    asked = spec().model_copy(update={"environment": environment})
    until_s = time.monotonic() + wanted_s
    return process.play(
        EVALUATION, asked, version(7, BALANCES), graph(), "ask", 3, "greedy",
        lambda: time.monotonic() < until_s,
    )  # fmt: skip


def test_games_are_those_that_would_be_played_here(process: GamesProcess) -> None:
    for weights in (version(7, BALANCES), version(8, FALLS)):
        told = process.play(EVALUATION, spec(), weights, graph(), "ask", 3, "sample", lambda: True)
        here = play_here(EVALUATION, spec(), (), weights, graph(), "ask", 3, "sample")
        assert told.returns.tolist() == here.returns.tolist()
        assert told.lengths.tolist() == here.lengths.tolist()
        assert (told.request, told.player, told.actions) == ("ask", "learner", "sample")
        assert told.policy_version == weights.version


@pytest.mark.parametrize(
    ("what", "ended"),
    [
        ("os._exit(9)", "exit code 9"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
    ],
)
@pytest.mark.parametrize("where", ["reset", "step", "close"])
def test_an_environment_that_ends_its_process_is_named_and_the_next_games_are_played(
    process: GamesProcess, what: str, ended: str, where: str
) -> None:
    with pytest.raises(EnvironmentFailedError, match=f"Strange-v0 ended .*{ended}"):
        play(process, what, where)
    assert play(process).returns.tolist() == [500.0] * 5


@pytest.mark.parametrize("what", ["while True: pass", "time.sleep(600)"])
def test_games_that_hang_end_once_nobody_waits_for_them(process: GamesProcess, what: str) -> None:
    began_s = time.monotonic()
    with pytest.raises(TinyqueueError, match="no longer needed"):
        play(process, what, "step", wanted_s=4.0)
    assert time.monotonic() - began_s < 10.0
    assert play(process).returns.tolist() == [500.0] * 5


@pytest.mark.parametrize(
    "what",
    [
        "print('x' * 100_000); sys.stdout.flush()",
        "os.write(1, b'rubbish')",
        "os.close(0); os.close(1)",
        "sys.stdout.close()",
    ],
)
def test_what_an_environment_does_to_its_streams_changes_no_answer(
    process: GamesProcess, what: str
) -> None:
    quietly = f"\ntry:\n    {what}\nexcept (OSError, ValueError):\n    pass"
    assert play(process, quietly, "reset").returns.tolist() == [500.0] * 5


def test_an_exception_is_told_with_its_words(process: GamesProcess) -> None:
    with pytest.raises(EnvironmentFailedError, match="lost the simulator") as raised:
        play(process, "raise RuntimeError('lost the simulator')", "step")
    assert raised.value.kind == "RuntimeError"


def test_a_process_that_was_killed_between_two_evaluations_is_replaced(
    process: GamesProcess,
) -> None:
    before = children()
    play(process)
    (child,) = children() - before
    os.kill(child, signal.SIGKILL)
    time.sleep(0.5)

    assert play(process).returns.tolist() == [500.0] * 5

    threads = [t for t in threading.enumerate() if t.name == "games-process"]
    until_s = time.monotonic() + 5.0
    while sum(thread.is_alive() for thread in threads) > 1:
        assert time.monotonic() < until_s, "the former one is still held"
        time.sleep(0.05)


def test_the_process_ends_with_the_learner(process: GamesProcess, over: threading.Event) -> None:
    before = children()
    play(process)
    (child,) = children() - before
    over.set()
    until_s = time.monotonic() + 10.0
    while child in children():
        assert time.monotonic() < until_s, "it goes on"
        time.sleep(0.05)


def test_the_process_ends_with_a_learner_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "strange_games.py").write_text(MODULE)
    program = textwrap.dedent("""
        import os, time
        from balancing import BALANCES, graph, spec, version
        from tinyqueue.evaluation.games_process import GamesProcess
        from tinyqueue.experiment.sections import EvaluationConfig
        process = GamesProcess([], lambda: False)
        process.play(
            EvaluationConfig(episodes=1, slots=1), spec(), version(7, BALANCES), graph(), "ask", 3,
            "greedy", lambda: True,
        )
        print(*(p for p in os.popen(f"pgrep -P {os.getpid()} -f games_process")), flush=True)
        time.sleep(600)
    """)
    support = Path(__file__).parents[1] / "support"
    learner = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{support}:{os.environ.get('PYTHONPATH', '')}"},
    )
    assert learner.stdout is not None
    child = int(learner.stdout.readline())
    learner.send_signal(signal.SIGKILL)
    learner.wait()
    until_s = time.monotonic() + 10.0
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < until_s, "it goes on"
        time.sleep(0.05)
    learner.stdout.close()


def children() -> set[int]:
    task = Path(f"/proc/{os.getpid()}/task")
    found: set[int] = set()
    for thread in task.iterdir():
        with_children = thread / "children"
        if with_children.exists():
            found |= {int(pid) for pid in with_children.read_text().split()}
    return found
