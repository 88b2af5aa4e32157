"""Episodes that a command plays: their seed, and a bar that shows how many have ended."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from tinyqueue.cli.allowed import allowing
from tinyqueue.cli.output import print_text
from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.evaluation.games import Games, Limits, Score, Watch, play_games
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.heads import Head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.printable import printable
from tinyqueue.settings import load_settings

SEED = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the games."
)
_MOST_SLOTS, _MOST_ATARI_SLOTS = 100, 16
# An Atari game takes 0.3 s to start, and all slots play on until the last episode of a wave ends.


def play(
    spec: PlaySpec,
    runner: PolicyRunner,
    head: Head,
    label: str,
    *,
    episodes: int,
    seed: int,
    is_hidden: bool = False,
    watch: Watch | None = None,
    score: Score | None = None,
) -> Games:
    """Plays whole episodes in a policy's evaluation environment.

    Args:
        spec: The experiment spec.
        runner, head: The policy, and how it acts.
        label: Text of the bar.
        episodes: Number of episodes.
        seed: Seed of the episodes.
        is_hidden: Show no bar.
        watch: Sees every tick.
        score: Counts episodes as they finish.

    Raises:
        EnvironmentFailedError: It failed several times in a row.
        TinyqueueError: The environment cannot be built here, or has other spaces.
    """
    most = _MOST_ATARI_SLOTS if spec.environment.atari else _MOST_SLOTS
    most = 1 if spec.evaluated.is_alone else most
    with _progress(episodes, label, is_hidden=is_hidden) as on_progress:
        return play_games(
            spec.evaluated,
            runner,
            head,
            episodes=episodes,
            slots=min(episodes, most),
            seed=seed,
            modules=allowing(load_settings(), spec.environment.id).environment_modules,
            spaces=(spec.observations, spec.actions),
            on_progress=on_progress,
            watch=watch,
            # No time limit: a waiting person can interrupt.
            limits=Limits(timeout_s=math.inf),
            score=score,
        )


def play_what_finishes(
    spec: PlaySpec,
    runner: PolicyRunner,
    head: Head,
    label: str,
    *,
    episodes: int,
    seed: int,
    is_hidden: bool = False,
    watch: Watch | None = None,
) -> tuple[Games, str]:
    """Like :func:`play`, but keeps finished episodes if the environment fails or on Ctrl-C.

    Returns:
        The episodes, and what ended them early; empty if nothing did.

    Raises:
        EnvironmentFailedError, KeyboardInterrupt: No episode has finished.
        TinyqueueError: As :func:`play`.
    """
    score = Score()
    try:
        games = play(
            spec,
            runner,
            head,
            label,
            episodes=episodes,
            seed=seed,
            is_hidden=is_hidden,
            watch=watch,
            score=score,
        )
    except (EnvironmentFailedError, KeyboardInterrupt) as error:
        try:
            games = score.games(with_unfinished_wave=True)
        except EnvironmentFailedError:
            raise error from None
        return games, str(error) or INTERRUPTED
    return games, ""


INTERRUPTED = "Ctrl-C"
_TELL_EVERY_S = 5.0


@contextmanager
def _progress(episodes: int, label: str, *, is_hidden: bool) -> Iterator[Callable[[int], None]]:
    """On standard error, a bar on a terminal; elsewhere a line every few seconds."""
    label = printable(label)
    if is_hidden or sys.stderr.isatty():
        with click.progressbar(
            length=episodes, label=label, hidden=is_hidden, file=sys.stderr
        ) as bar:
            yield lambda done: bar.update(done - bar.pos)
        return
    print_text(label, err=True)
    next_s = time.monotonic() + _TELL_EVERY_S

    def tell(done: int) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _TELL_EVERY_S
            print_text(f"{label}: {done:,} of {episodes:,} games are over", err=True)

    yield tell
