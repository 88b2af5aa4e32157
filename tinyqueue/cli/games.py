"""Games that a command plays: their seed, and a bar that shows how many have ended."""

from __future__ import annotations

import click

from tinyqueue.cli.allowing import allowing
from tinyqueue.evaluation.games import Games, Watch, play_games
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.heads import Head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.settings import load_settings

SEED = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the games."
)
_MOST_SLOTS, _MOST_ATARI_SLOTS = 100, 16
# An Atari game takes 0.3 s to begin, and its slots all play on until the last of a wave ends.


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
) -> Games:
    """Plays whole games in the environment that a policy was trained for.

    Args:
        label: What the bar says.
        is_hidden: No bar.
        watch: Sees every tick.

    Raises:
        TinyqueueError: The environment cannot be built here, or is another.
    """
    most = _MOST_ATARI_SLOTS if spec.environment.atari else _MOST_SLOTS
    with click.progressbar(length=episodes, label=label, hidden=is_hidden) as bar:
        return play_games(
            spec.environment,
            runner,
            head,
            episodes=episodes,
            slots=min(episodes, most),
            seed=seed,
            modules=allowing(load_settings(), spec.environment.id).environment_modules,
            spaces=(spec.observations, spec.actions),
            on_progress=lambda done: bar.update(done - bar.pos),
            watch=watch,
        )
