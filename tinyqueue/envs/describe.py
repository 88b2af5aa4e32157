"""Describing an environment by building it and trying it out.

:func:`describe_in_child` does so in a short-lived process, so an environment that crashes, leaks,
hangs or prints does not affect the learner.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import IO, Any, Self

import structlog

from tinyqueue.data.spaces import Space, space_from_json, space_to_json
from tinyqueue.envs.atari import limit_frames
from tinyqueue.envs.build import make_environment
from tinyqueue.envs.dropped import unsupported_parts
from tinyqueue.envs.names import find_environment, import_allowed, reward_threshold
from tinyqueue.envs.parent import end_with, ending
from tinyqueue.envs.random_steps import Telling
from tinyqueue.envs.spaces import are_equal
from tinyqueue.envs.trial import Trial, Tried, alone, try_out
from tinyqueue.errors import (
    ConfigError,
    EnvironmentFailedError,
    EnvironmentMismatchError,
    TinyqueueError,
)
from tinyqueue.experiment.environment import MOST_HANG_S, EnvironmentConfig
from tinyqueue.working_folder import python_of

_TIMEOUT_S = 60.0
"""Limit for each thing that is asked of an environment, unless environment.hang_s is longer."""
_SAY_S = 6.0
"""Anything that takes longer than this is reported."""
_MOST_OUTPUT = 500
"""Bytes of its output that are shown of a process that ended."""
_LOOK_S = 0.1


@dataclass(frozen=True)
class EnvironmentInfo:
    """A description of one environment.

    Attributes:
        id: Its Gymnasium id.
        observation_space, action_space: Spaces of one slot, as data.
        reward_threshold: The mean return at which its authors call it solved, if they say.
        max_episode_steps: The step at which episodes are truncated, if any.
        drop: The value of ``environment.drop`` for this observation space: the given one plus the
            parts that are not supported.
        trial: What was measured; None if nothing was tried.
    """

    id: str
    observation_space: Space
    action_space: Space
    reward_threshold: float | None
    max_episode_steps: int | None
    drop: tuple[str, ...] = ()
    trial: Trial | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that :meth:`from_json` turns back into an equal description."""
        return {
            "id": self.id,
            "observation_space": space_to_json(self.observation_space),
            "action_space": space_to_json(self.action_space),
            "reward_threshold": self.reward_threshold,
            "max_episode_steps": self.max_episode_steps,
            "drop": list(self.drop),
            "trial": self.trial.to_json() if self.trial else None,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> EnvironmentInfo:
        """The description that :meth:`to_json` wrote."""
        spaces = {key: space_from_json(value[key]) for key in ("observation_space", "action_space")}
        trial = Trial.from_json(value["trial"]) if value.get("trial") else None
        return cls(**{**value, **spaces, "drop": tuple(value["drop"]), "trial": trial})


def describe(
    config: EnvironmentConfig,
    modules: Sequence[str] = (),
    telling: Telling = lambda doing: None,
    evaluated: EnvironmentConfig | None = None,
) -> EnvironmentInfo:
    """Builds the environment in this process and tries it out.

    Args:
        config: The environment.
        modules: Modules that register environments, imported first.
        telling: Called before each thing that may take long, with what it is.
        evaluated: The environment of evaluation episodes, if it is another one.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: It cannot be built, or its spaces are
            not supported.
        EnvironmentFailedError: It raises, or returns values outside its own spaces.
        EnvironmentMismatchError: That of evaluation has other spaces than that of training.
    """
    telling(f"building the environment {config.id}")
    import_allowed(modules)
    spec = find_environment(config.id)
    dropped, tried = _tried(config, telling, modules)
    if evaluated is not None:
        there = evaluated.model_copy(update={"drop": dropped or None})
        _require_alike(config, tried, there, try_out(there, telling, modules))
    return EnvironmentInfo(
        id=config.id,
        observation_space=tried.observations,
        action_space=tried.actions,
        reward_threshold=reward_threshold(spec),
        max_episode_steps=_limit(config) or spec.max_episode_steps,
        drop=dropped,
        trial=tried.trial,
    )


def _tried(
    config: EnvironmentConfig, telling: Telling, modules: Sequence[str]
) -> tuple[tuple[str, ...], Tried]:
    """The environment tried out, without the parts of its observations that are not arrays."""
    dropped = config.drop or ()
    try:
        return dropped, try_out(config, telling, modules)
    except EnvironmentFailedError:
        raise
    except ConfigError:
        unsupported = _unsupported(config)
        if not unsupported:
            raise
    dropped = (*dropped, *unsupported)
    return dropped, try_out(config.model_copy(update={"drop": dropped}), telling, modules)


def _require_alike(
    training: EnvironmentConfig, tried: Tried, evaluation: EnvironmentConfig, there: Tried
) -> None:
    """Raises EnvironmentMismatchError if a policy of the one cannot play the other."""
    for what, here, other in (
        ("observations", tried.observations, there.observations),
        ("actions", tried.actions, there.actions),
    ):
        if not are_equal(other, here):
            raise EnvironmentMismatchError(
                f"evaluation.environment changes the {what}, so the policy cannot play in it. "
                f"{training.label} in training: {space_to_json(here)}. {evaluation.label} in "
                f"evaluation: {space_to_json(other)}. Repeat the wrappers and arguments that make "
                f"the {what} in evaluation.environment: only those that change rewards, or the "
                "course of episodes, may differ."
            )


def _unsupported(config: EnvironmentConfig) -> tuple[str, ...]:
    """Parts of the observations that could be dropped; empty if they are not the problem."""
    try:
        environment = make_environment(config)
    except TinyqueueError:
        return ()
    try:
        return unsupported_parts(environment.observation_space)
    finally:
        environment.close()


def describe_in_child(
    config: EnvironmentConfig,
    modules: Sequence[str] = (),
    *,
    evaluated: EnvironmentConfig | None = None,
    say: Callable[[str], None] = lambda text: None,
    stopping: Event | None = None,
) -> EnvironmentInfo:
    """:func:`describe` in a child process.

    Args:
        config, modules, evaluated: As for :func:`describe`.
        say: Called with a sentence when something takes long.
        stopping: Once set, the child is ended and KeyboardInterrupt raised.

    Raises:
        ConfigError: What :func:`describe` raises; or the child crashed; or one thing that was
            asked of the environment took over a minute.
    """
    with _Child(config, modules, evaluated) as child:
        answer = child.answer(say, stopping or Event())
    if "error" in answer:
        raise ConfigError(answer["error"])
    return EnvironmentInfo.from_json(answer["info"])


class _Child:
    """The child process, with every process that its environments start."""

    def __init__(
        self,
        config: EnvironmentConfig,
        modules: Sequence[str],
        evaluated: EnvironmentConfig | None,
    ) -> None:
        self._id, self._modules = config.id, modules
        self._most_s = max(_TIMEOUT_S, config.hang_s or 0.0)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            python_of("tinyqueue.envs.describe", str(os.getpid())),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            # Its own process group, which is killed as a whole: an environment may have children.
            start_new_session=True,
        )
        request = json.dumps(
            {
                "config": config.model_dump(),
                "modules": list(modules),
                "evaluated": evaluated and evaluated.model_dump(),
            }
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(request.encode())
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stderr.close()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def answer(self, say: Callable[[str], None], stopping: Event) -> dict[str, Any]:
        """The child's answer. Every line before it says what the child is doing."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        doing = f"starting the trial of {self._id}"
        since_s, said, unread = time.monotonic(), False, b""
        while not stopping.is_set():
            if select.select([pipe], [], [], _LOOK_S)[0]:
                read = os.read(pipe, 1 << 16)
                if not read:
                    raise self._gone(doing)
                *lines, unread = (unread + read).split(b"\n")
                for line in lines:
                    message: dict[str, Any] = json.loads(line)
                    if said and "error" not in message:
                        say(f"{doing} took {time.monotonic() - since_s:.0f} s")
                    if "doing" not in message:
                        return message
                    doing, since_s, said = message["doing"], time.monotonic(), False
            waited_s = time.monotonic() - since_s
            if waited_s > self._most_s:
                raise ConfigError(
                    f"{doing} has not ended within {self._most_s:.0f} s. Try it by itself: "
                    f"{alone(self._id, self._modules)}. If it needs longer, allow it: "
                    f"--set environment.hang_s={min(5 * self._most_s, MOST_HANG_S):.0f}"
                )
            if waited_s > _SAY_S and not said:
                said = True
                say(f"{doing} is taking long; it will be given up after {self._most_s:.0f} s")
        raise KeyboardInterrupt

    def _gone(self, doing: str) -> Exception:
        code = self._process.wait()
        self._stderr.seek(0)
        read = self._stderr.read()
        told = read[-_MOST_OUTPUT:].decode(errors="replace")
        if len(read) > _MOST_OUTPUT:
            # From the beginning of a line.
            told = told.partition("\n")[2].strip() or told
        return ConfigError(
            f"{doing} ended its process: {ending(code)}. Its output: {told.strip() or 'none'}"
        )


def _limit(config: EnvironmentConfig) -> int | None:
    if config.atari:
        return math.ceil(limit_frames(config) / config.atari.frame_skip)
    return config.max_episode_steps


def _answer_as_child(parent: int) -> None:
    """Reads a request from stdin and answers on stdout; the environment's prints go elsewhere."""
    end_with(parent)
    # The parent handles Ctrl-C, so any interrupt here was raised by the environment.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Standard output is watched for the environment's prints, so log lines must not go there.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    request = json.load(sys.stdin)
    out = os.dup(1)
    # A copy, so an environment that prints or closes its standard streams does not affect it.
    os.set_inheritable(out, False)
    with _closed_files_told(), os.fdopen(out, "w") as pipe, tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)

        def tell(message: dict[str, Any]) -> None:
            pipe.write(json.dumps(message) + "\n")
            pipe.flush()

        try:
            config = EnvironmentConfig.model_validate(request["config"])
            evaluated = request["evaluated"] and EnvironmentConfig.model_validate(
                request["evaluated"]
            )
            info = describe(
                config, request["modules"], lambda doing: tell({"doing": doing}), evaluated
            )
        except TinyqueueError as error:
            tell({"error": f"{str(error).removesuffix('.')}."})
        else:
            tell({"info": _with_prints(info, printed).to_json()})
    # An environment's threads and atexit functions could keep this process alive for ever.
    os._exit(0)


@contextlib.contextmanager
def _closed_files_told() -> Iterator[None]:
    """Says which defect keeps this process from answering, if an environment closed its files."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        told = (
            "it closes open files of its process that are not its own, as os.closerange does. A "
            "player would lose its connections: correct the environment"
        )
        with contextlib.suppress(OSError):
            os.write(2, told.encode())
        os._exit(1)


def _with_prints(info: EnvironmentInfo, printed: IO[bytes]) -> EnvironmentInfo:
    # An environment may have put anything in its place.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    printed.seek(0)
    first = printed.read(200).decode(errors="replace").strip().partition("\n")[0][:60]
    if not first or info.trial is None:
        return info
    remark = f"{info.id} prints to standard output ({first!r} …), which goes to players' logs"
    trial = replace(info.trial, remarks=(*info.trial.remarks, remark))
    return replace(info, trial=trial)


if __name__ == "__main__":
    _answer_as_child(int(sys.argv[1]))
