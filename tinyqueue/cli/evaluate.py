"""``tinyqueue evaluate``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from tinyqueue.evaluation.games import play_games
from tinyqueue.evaluation.summary import GamesSummary
from tinyqueue.learned import load
from tinyqueue.policy.heads import evaluation_head
from tinyqueue.settings import load_settings


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-n",
    "--episodes",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Games to play.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="A folder of RUN/checkpoints. Default: the newest.",
)
@click.option("--version", type=click.IntRange(0), help="The checkpoint of this weight version.")
@click.option("--best", is_flag=True, help="The checkpoint of the best evaluation instead.")
@click.option(
    "--sample",
    is_flag=True,
    help="Sample actions as in training instead of the greedy ones (impala, a3c).",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(0, 1),
    help="Share of actions at random instead of the greedy ones (dqn, apex, r2d2, …). "
    "Atari: 0.001.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the games."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    run: Path,
    episodes: int,
    checkpoint: Path | None,
    version: int | None,
    best: bool,
    sample: bool,
    epsilon: float | None,
    seed: int,
    as_json: bool,
) -> None:
    """Play greedy games of what RUN has learned. Needs no broker, and no TensorFlow.

    \b
    tinyqueue evaluate runs/cartpole-impala/1 -n 100
    """
    learned = load(run, checkpoint=checkpoint, version=version, best=best)
    spec = learned.spec
    head = evaluation_head(spec.head, spec.actions, sample=sample, epsilon=epsilon)
    with click.progressbar(length=episodes, label="playing", hidden=as_json) as bar:
        games = play_games(
            spec.environment,
            learned.runner,
            head,
            episodes=episodes,
            slots=min(episodes, 100),
            seed=seed,
            modules=load_settings().environment_modules,
            spaces=(spec.observations, spec.actions),
            on_progress=lambda done: bar.update(done - bar.pos),
        )
    policy = "sampled" if sample else "greedy" if epsilon is None else f"epsilon {epsilon:g}"
    summary = GamesSummary.of(games.returns, games.lengths)
    if as_json:
        about = {
            "run": str(run),
            "environment": spec.environment.id,
            "policy_version": learned.version,
            "env_steps": learned.env_steps,
            "policy": policy,
            "seconds": round(games.seconds, 3),
            **dataclasses.asdict(summary),
        }
        click.echo(json.dumps(about))
        return
    click.echo(
        f"{spec.environment.id}, version {learned.version} at {learned.env_steps:,} env steps"
    )
    click.echo(f"return {summary}, mean length {summary.mean_length:.0f}, {games.seconds:.1f} s")
