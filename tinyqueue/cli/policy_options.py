"""The options of commands that play what a run has learned: which run, which weights, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.runs import naming_modules, require_run
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learned import Learned, load, load_checkpoint
from tinyqueue.policy.heads import Head, evaluation_head
from tinyqueue.run.checkpoint import Checkpoint

_OPTIONS = (
    click.option(
        "--checkpoint",
        type=UserPath(path_type=Path),
        help="One of RUN/checkpoints, by path or name. Default: the newest.",
    ),
    click.option(
        "--version", type=click.IntRange(0), help="The checkpoint saved under this weight version."
    ),
    click.option("--best", is_flag=True, help="Use the checkpoint of the best evaluation."),
    click.option(
        "--sample",
        is_flag=True,
        help="Sample actions as in training, instead of greedy ones (impala, a3c, ppo).",
    ),
    click.option(
        "--epsilon",
        type=click.FloatRange(0, 1),
        help="Fraction of random actions, instead of only greedy ones (dqn, apex, r2d2, …). "
        "Atari: 0.001.",
    ),
)


@dataclass(frozen=True)
class Choice:
    """Which weights of a run play, and how they choose.

    Attributes:
        checkpoint, version, best: As for :func:`tinyqueue.load`.
        sample, epsilon: As for :func:`tinyqueue.policy.heads.evaluation_head`.
    """

    checkpoint: Path | None
    version: int | None
    best: bool
    sample: bool
    epsilon: float | None

    @property
    def names_checkpoint(self) -> bool:
        """Whether a particular checkpoint was asked for."""
        return self.checkpoint is not None or self.version is not None or self.best

    @property
    def policy(self) -> str:
        """``greedy``, ``sampled`` or ``epsilon 0.001``."""
        if self.sample:
            return "sampled"
        return "greedy" if self.epsilon is None else f"epsilon {self.epsilon:g}"

    def load(self, run: Path) -> Learned:
        """The policy to play; errors as for :func:`tinyqueue.load`."""
        return load(run, checkpoint=self.checkpoint, version=self.version, best=self.best)

    def load_checkpoint(self, run: Path) -> Checkpoint:
        """The whole checkpoint that :meth:`load` would load from a run directory; same errors."""
        return load_checkpoint(
            run, checkpoint=self.checkpoint, version=self.version, best=self.best
        )

    def head(self, spec: PlaySpec) -> Head:
        """The head that acts as chosen.

        Raises:
            ConfigError: This policy cannot act so.
        """
        return evaluation_head(spec.head, spec.actions, sample=self.sample, epsilon=self.epsilon)


def chooses_policy(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the argument RUN, which must exist, and the options, passed on as ``choice``."""

    @wraps(command)
    def wrapped(
        *,
        run: Path,
        checkpoint: Path | None,
        version: int | None,
        best: bool,
        sample: bool,
        epsilon: float | None,
        **others: Any,
    ) -> None:
        require_run(run)
        choice = Choice(checkpoint, version, best, sample, epsilon)
        with naming_modules(run):
            command(run=run, choice=choice, **others)

    argument = click.argument("run", type=UserPath(path_type=Path))
    for option in reversed((argument, *_OPTIONS)):
        wrapped = option(wrapped)
    return wrapped
