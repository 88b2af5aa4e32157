"""``tinyqueue export``."""

from __future__ import annotations

import datetime
import secrets
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from tinyqueue.cli.games import SEED, play
from tinyqueue.cli.output import print_result, results_apart
from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.policy_options import Choice, chooses_policy
from tinyqueue.errors import CheckpointError, ConfigError
from tinyqueue.evaluation.summary import GamesSummary
from tinyqueue.experiment.components import chosen
from tinyqueue.experiment.documents import read_document
from tinyqueue.experiment.file_names import label
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.sample import Result, Sample, is_sample, rounded, write_sample


@click.command()
@click.option(
    "--out",
    type=UserPath(path_type=Path),
    required=True,
    help="Folder for the sample, such as samples/my-pong. It must not exist yet.",
)
@click.option(
    "-n",
    "--episodes",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Episodes to play for its results.",
)
@chooses_policy
@SEED
@results_apart
def export(run: Path, choice: Choice, out: Path, episodes: int, seed: int) -> None:
    """Make a sample of what RUN has learned: graph, weights and results, at most 4 MB.

    Weights are rounded to half precision and then play the episodes for the results: greedy ones,
    and as many with --sample or --epsilon if given. evaluate, record and tinyqueue.load accept
    the folder in place of a run directory.

    \b
    tinyqueue export runs/pong-ppo/1 --out samples/my-pong --sample
    """
    if is_sample(run):
        raise CheckpointError(f"{run} is already a sample. Give a run directory.")
    if out.exists():
        raise ConfigError(f"{out} already exists. Remove it, or give another --out.")
    checkpoint, names = choice.load_checkpoint(run), _names(run)
    weights = rounded(checkpoint.weights)
    spec = PlaySpec.model_validate(checkpoint.spec)
    runner = PolicyRunner(checkpoint.graph, weights, checkpoint.version, checkpoint.env_steps)
    greedy = Choice(None, None, False, False, None)
    ways = [greedy] if choice.policy == greedy.policy else [greedy, choice]
    results = [_result(way, spec, runner, episodes, seed) for way in ways]
    sample = Sample(
        graph=checkpoint.graph,
        weights=weights,
        spec=spec.model_dump(mode="json"),
        version=checkpoint.version,
        env_steps=checkpoint.env_steps,
        algorithm=names["algorithm"],
        model=names["model"],
        made=datetime.datetime.now(datetime.UTC).date().isoformat(),
        tinyqueue=version("tinyqueue"),
        results=tuple(results),
    )
    size = _write(out, sample)
    print_result(f"{out}: {spec.environment.id} at {sample.env_steps:,} env steps, {size:,} bytes")


def _result(
    choice: Choice, spec: PlaySpec, runner: PolicyRunner, episodes: int, seed: int
) -> Result:
    label = f"playing {choice.policy} games"
    games = play(spec, runner, choice.head(spec), label, episodes=episodes, seed=seed)
    summary = GamesSummary.of(games.returns, games.lengths)
    print_result(f"{choice.policy}: return {summary}")
    return Result(
        policy=choice.policy,
        seed=seed,
        returns=tuple(games.returns.tolist()),
        mean=summary.mean,
        standard_error=summary.standard_error,
        mean_length=summary.mean_length,
    )


def _names(run: Path) -> dict[str, str]:
    """Names of the algorithm and the model in a run's experiment, which names defaults too."""
    document: dict[str, Any] = read_document(run / "experiment.toml")
    return {kind: label(chosen(document, kind)) for kind in ("algorithm", "model")}


def _write(out: Path, sample: Sample) -> int:
    draft = out.with_name(f".{out.name}-{secrets.token_hex(4)}")
    try:
        draft.mkdir(parents=True)
        size = write_sample(draft, sample)
        draft.rename(out)
    except OSError as error:
        raise ConfigError(
            f"the sample cannot be written to {out}: {error.strerror}. Give another --out."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return size
