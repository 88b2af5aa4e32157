"""Evaluations of a learner in a process of their own, so that no environment ends the learner.

An environment may crash, end its process or hang where nothing interrupts it. One process plays
all evaluations of a learner, and is replaced when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgpack
import structlog

from tinyqueue.envs.parent import end_with, ending
from tinyqueue.errors import EnvironmentFailedError, TinyqueueError
from tinyqueue.evaluation.answers import NoAnswer
from tinyqueue.evaluation.local_games import play_here
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.evaluations import EvaluationResult, decode_evaluation, encode_evaluation
from tinyqueue.wire.weights import WeightVersion, decode_weights, encode_weights
from tinyqueue.working_folder import python_of

_LOOK_S = 0.1


class GamesProcess:
    """Plays one evaluation at a time. Its process starts with the first one.

    Args:
        modules: This machine's modules that register environments.
        is_over: Whether the learner has ended; the process ends then, and with this one.
    """

    def __init__(self, modules: Sequence[str], is_over: Callable[[], bool]) -> None:
        self._modules = list(modules)
        self._is_over = is_over
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def play(
        self,
        evaluation: EvaluationConfig,
        spec: PlaySpec,
        weights: WeightVersion,
        graph: bytes,
        request: str,
        seed: int,
        actions: str,
        is_wanted: Callable[[], bool],
    ) -> EvaluationResult:
        """Plays an evaluation, as long as its result is wanted.

        Arguments are those of :func:`~tinyqueue.evaluation.local_games.play_here`.

        Raises:
            EnvironmentFailedError: The environment failed several times in a row, or ended its
                process.
            TinyqueueError: The result is not wanted any more, or the environment cannot be built
                here.
        """
        asked = {
            "evaluation": evaluation.model_dump_json(),
            "spec": spec.to_json(),
            "modules": self._modules,
            "weights": encode_weights(weights),
            "graph": graph,
            "request": request,
            "seed": seed,
            "actions": actions,
        }
        with self._lock:
            if self._child is not None and self._child.has_ended:
                self._child.end()
                self._child = None
            if self._child is None:
                self._child = _Child(self._is_over)
            answer = self._child.answer(asked, lambda: is_wanted() and not self._is_over())
        name = spec.environment.id
        if answer is None:
            raise TinyqueueError(f"the games of evaluation {request} are no longer needed.")
        if isinstance(answer, int):
            raise EnvironmentFailedError(
                f"playing evaluation games of {name} ended their process: {ending(answer)}",
                kind="ended",
            )
        if "result" in answer:
            return decode_evaluation(answer["result"])
        if answer["is_environments"]:
            raise EnvironmentFailedError(answer["text"], kind=answer["kind"])
        raise TinyqueueError(answer["text"])


class _Child:
    """The process, with every process that its environments start."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)
        self._ended = threading.Event()
        self._pipes = threading.Lock()
        started: list[subprocess.Popen[bytes] | OSError] = []
        begun = threading.Event()

        def hold() -> None:
            # The kernel ends the child with the thread that started it, so that one stays.
            try:
                started.append(_start())
            except OSError as error:
                started.append(error)
                return
            finally:
                begun.set()
            while not self._ended.wait(_LOOK_S) and not is_over():
                pass
            self.end()

        threading.Thread(target=hold, name="games-process", daemon=True).start()
        begun.wait()
        (found,) = started
        if isinstance(found, OSError):
            raise found
        self._process = found

    @property
    def has_ended(self) -> bool:
        """Whether it plays no further evaluation."""
        return self._ended.is_set() or self._has_exited(os.WNOHANG)

    def end(self) -> None:
        """Kills it, with its environments' processes."""
        self._ended.set()
        self._kill_group()
        self._process.wait()
        # An answer that is waited for has ended with the process.
        with self._pipes:
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _kill_group(self) -> None:
        # As long as it is not reaped, the number of its group is nobody else's.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _has_exited(self, flags: int = 0) -> bool:
        """Whether it has exited. It is not reaped, and its exit code stays."""
        if self._process.returncode is not None:
            return True
        how = os.WEXITED | os.WNOWAIT | flags
        return os.waitid(os.P_PID, self._process.pid, how) is not None

    def answer(
        self, asked: dict[str, Any], is_wanted: Callable[[], bool]
    ) -> dict[str, Any] | int | None:
        """What it answers; its exit code if it has ended; None once no answer is wanted."""
        with self._pipes:
            answer = self._answer(asked, is_wanted)
        if not isinstance(answer, dict):
            self.end()
        return answer

    def _answer(
        self, asked: dict[str, Any], is_wanted: Callable[[], bool]
    ) -> dict[str, Any] | int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(cast(bytes, msgpack.packb(asked)))
            self._process.stdin.flush()
        pipe = self._process.stdout.fileno()
        while is_wanted():
            if not select.select([pipe], [], [], _LOOK_S)[0]:
                continue
            read = os.read(pipe, 1 << 16)
            if not read:
                self._has_exited()
                self._kill_group()
                return self._process.wait()
            self._unpacker.feed(read)
            for answer in self._unpacker:
                return cast(dict[str, Any], answer)
        return None


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        python_of("tinyqueue.evaluation.games_process", str(os.getpid())),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Its own process group, which is killed as a whole: an environment may have children.
        start_new_session=True,
    )


def _answer_as_child(parent: int) -> None:
    """Answers requests until the parent ends; the environment's prints go to standard error."""
    end_with(parent)
    # The parent handles Ctrl-C, so any interrupt here was raised by the environment.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    # Copies, so that an environment that closes its standard streams does not affect them.
    asking, answering = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(2, 1)
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    while read := os.read(asking, 1 << 20):
        unpacker.feed(read)
        for asked in unpacker:
            given = memoryview(cast(bytes, msgpack.packb(_played(asked))))
            while given:
                given = given[os.write(answering, given) :]
    # An environment's threads and atexit functions could keep this process alive for ever.
    os._exit(0)


def _played(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        result = play_here(
            EvaluationConfig.model_validate_json(asked["evaluation"]),
            PlaySpec.from_json(asked["spec"]),
            asked["modules"],
            decode_weights(asked["weights"]),
            asked["graph"],
            asked["request"],
            asked["seed"],
            asked["actions"],
        )
    except Exception as error:
        # Whatever an environment raises is an answer.
        said = NoAnswer.of(asked["request"], error)
        is_environments = not isinstance(error, TinyqueueError)
        return {
            "kind": said.kind,
            "text": said.text,
            "is_environments": is_environments or isinstance(error, EnvironmentFailedError),
        }
    return {"result": encode_evaluation(result)}


if __name__ == "__main__":
    _answer_as_child(int(sys.argv[1]))
