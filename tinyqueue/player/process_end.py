"""The end of a player's process in the middle of a task, as another process of its worker tells it.

The process itself cannot: ``os._exit`` in an environment, a crash of native code and a kill leave
no exception behind. Its worker's main process learns how it ended, and from which task.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from tinyqueue.wire.failures import ENDED, TaskFailure

_CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"}
_HANDLERS = 256
# A handler of Celery's exits with the signal's number less this.


@dataclass(frozen=True)
class ProcessEnd:
    """How a process ended that was at work on a task.

    Attributes:
        task: Id of its task.
        experiment, run: What the task was for.
        player: The player's name.
        exit_code: Its exit code; a signal's number with a minus if one ended it.
    """

    task: str
    experiment: str
    run: str
    player: str
    exit_code: int

    def failure(self, environment: str, user: str) -> TaskFailure:
        """What the learner is told; the task itself is played again.

        Args:
            environment: Id of the environment that was played; empty if unknown.
            user: Broker login of the worker.
        """
        name = _signal(self.exit_code)
        how = name or f"exit code {self.exit_code}"
        said = f"was ended by {name}" if name else f"ended with {how}"
        played = f"a task in {environment}" if environment else "a task"
        return TaskFailure(
            self.task,
            self.experiment,
            self.run,
            kind=f"{ENDED}: {how}",
            text=f"its process {said} in the middle of {played}: {self._why(name)}",
            player=self.player,
            user=user,
            ended=False,
        )

    def _why(self, name: str) -> str:
        if name == "SIGKILL":
            return "it ran out of memory, or somebody killed it"
        if name in _CRASHES:
            return "native code of the environment, or of a package that it uses, crashed"
        if name:
            return "the environment, or somebody else, sent it this signal"
        hard = ", or it hung until the task's hard time limit" if self.exit_code == 1 else ""
        return f"the environment, or a package that it uses, ended it, as os._exit does{hard}"


def _signal(exit_code: int) -> str:
    """Name of the signal that ended a process; empty if none did."""
    number = -exit_code if exit_code > -_HANDLERS // 2 else exit_code + _HANDLERS
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
