"""``tinyqueue evaluate``."""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyqueue.cli.allowed import allowing
from tinyqueue.cli.games import INTERRUPTED, SEED, play_what_finishes
from tinyqueue.cli.output import json_option, print_json, print_result, print_text, results_apart
from tinyqueue.cli.policy_options import Choice, chooses_policy
from tinyqueue.errors import CheckpointError
from tinyqueue.evaluation.games import Games
from tinyqueue.evaluation.held_out import held_out_states
from tinyqueue.evaluation.human import SOURCE, human_reference
from tinyqueue.evaluation.max_q import MaxQ
from tinyqueue.evaluation.summary import GamesSummary
from tinyqueue.learned import Learned
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import Uniform
from tinyqueue.policy.sample import is_sample
from tinyqueue.run.json_text import json_line
from tinyqueue.settings import load_settings

if TYPE_CHECKING:
    from tinyqueue.evaluation.critic import Expected

_INTERRUPTED = 130


@click.command()
@click.option(
    "-n",
    "--episodes",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Episodes to play.",
)
@chooses_policy
@click.option(
    "--random",
    "compare_random",
    is_flag=True,
    help="Also play as many episodes with uniformly random actions, to compare.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="Add the mean value, or max Q, over states from random play, the same for every "
    "checkpoint and run. Needs TensorFlow.",
)
@SEED
@json_option()
@results_apart
def evaluate(
    run: Path,
    choice: Choice,
    episodes: int,
    compare_random: bool,
    held_out: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Play episodes with what RUN has learned. Needs no broker and no TensorFlow.

    RUN is a run directory, or a sample that `tinyqueue export` made.

    \b
    tinyqueue evaluate runs/cartpole-impala/1 -n 100
    """
    learned, expected = _load_and_judge(run, choice) if held_out else (choice.load(run), None)
    spec = learned.spec
    atari = spec.environment.atari
    head, policy = choice.head(spec), choice.policy
    max_q = MaxQ(spec.actions) if MaxQ.OUTPUT in head.outputs else None
    played = partial(
        play_what_finishes, spec, learned.runner, episodes=episodes, seed=seed, is_hidden=as_json
    )
    games, ended_by = played(head, "playing", watch=max_q)
    random = None
    if compare_random and not ended_by:
        random, ended_by = played(Uniform(spec.actions), "playing at random")
    found = _findings(spec.environment.id, games, random, max_q)
    found |= _ends(games, ended_by)
    if expected is not None:
        found["held_out"] = {expected.of: expected.mean, "states": expected.states}
    if as_json:
        about = {
            "run": str(run),
            "environment": spec.environment.id,
            **({"protocol": atari.brief} if atari else {}),
            "policy_version": learned.version,
            "env_steps": learned.env_steps,
            "policy": policy,
            "seconds": round(games.seconds, 3),
            **found,
        }
        print_json(json_line(about))
        _leave(ended_by)
        return
    print_result(
        f"{spec.environment.id}{f' ({atari.brief})' if atari else ''}, "
        f"version {learned.version} at {learned.env_steps:,} env steps"
    )
    _say(games, found)
    if expected is not None:
        print_result(str(expected))
    _leave(ended_by)


def _load_and_judge(run: Path, choice: Choice) -> tuple[Learned, Expected]:
    """A checkpoint's policy, and what its whole network expects in held-out states.

    Raises:
        CheckpointError: ``run`` is a sample, or there is no such checkpoint.
        MissingExtraError: TensorFlow, or what the environment needs, is not installed.
        TinyqueueError: The experiment cannot be read, or the environment cannot be built here.
    """
    # These import TensorFlow, which the command needs for nothing else.
    from tinyqueue.catalogue import of_run
    from tinyqueue.evaluation.critic import Critic, expected

    if is_sample(run):
        raise CheckpointError(
            f"{run} is a sample: it holds only the acting half of the network, and --held-out "
            "needs the whole. Give the run directory that it was exported from, or leave out "
            "--held-out."
        )
    checkpoint = choice.load_checkpoint(run)
    critic = Critic(of_run(run), checkpoint)
    learned = Learned(checkpoint)
    settings = allowing(load_settings(), learned.spec.environment.id)
    states = held_out_states(learned.spec, Stage, modules=settings.environment_modules)
    return learned, expected(critic, states)


def _ends(games: Games, ended_by: str) -> dict[str, Any]:
    """How episodes ended, for the JSON output."""
    return {
        "asked": games.asked,
        "capped": games.capped,
        "max_steps": games.max_steps,
        "failures": games.failures,
        "ended_by": ended_by or None,
        **({} if games.pace is None else {"pace": asdict(games.pace)}),
    }


def _leave(ended_by: str) -> None:
    """Exits with an error code if not all episodes were played."""
    if ended_by:
        message = (
            f"not all games were played; those that end early are over-represented: {ended_by}"
        )
        print_text(message, err=True)
        raise SystemExit(_INTERRUPTED if ended_by == INTERRUPTED else 1)


def _findings(
    environment_id: str, games: Games, random: Games | None, max_q: MaxQ | None
) -> dict[str, Any]:
    """What was measured, for the JSON output; scores and comparisons are included if possible."""
    summary = GamesSummary.of(games.returns, games.lengths)
    found: dict[str, Any] = asdict(summary)
    reference = human_reference(environment_id)
    if reference is not None:
        found["human_normalised"] = reference.normalised(summary.mean)
        found["human_reference"] = asdict(reference)
    if random is not None:
        found["random"] = asdict(GamesSummary.of(random.returns, random.lengths))
    if max_q is not None:
        found["mean_max_q"], found["states"] = max_q.mean, max_q.states
    return found


def _say(games: Games, found: dict[str, Any]) -> None:
    summary = GamesSummary(**{each.name: found[each.name] for each in fields(GamesSummary)})
    print_result(f"return {summary}, mean length {summary.mean_length:.0f}, {games.seconds:.1f} s")
    for remark in games.remarks:
        print_result(remark)
    if games.pace is not None:
        print_result(str(games.pace))
    if "human_normalised" in found:
        pair = found["human_reference"]
        print_result(
            f"human-normalised {found['human_normalised']:.3f} "
            f"(random {pair['random']:g}, human {pair['human']:g}: {SOURCE})"
        )
    if "random" in found:
        print_result(f"random policy {GamesSummary(**found['random'])}")
    if "mean_max_q" in found:
        mean, states = found["mean_max_q"], found["states"]
        print_result(f"mean max Q {mean:.3f} in the {states:,} states played")
