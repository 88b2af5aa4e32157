"""``tinyqueue record``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from tinyqueue.cli.allowed import allowing
from tinyqueue.cli.filming import filming
from tinyqueue.cli.games import SEED
from tinyqueue.cli.output import json_option, print_json, print_result, print_text, results_apart
from tinyqueue.cli.paths import UserPath
from tinyqueue.cli.policy_options import Choice, chooses_policy
from tinyqueue.data.pace import Pace
from tinyqueue.data.seeds import seed32
from tinyqueue.errors import ConfigError
from tinyqueue.evaluation.games import Games
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.film.files import draft_folder, publish
from tinyqueue.film.recorder import Recorder, Take, require_extra
from tinyqueue.learned import Learned, load_each
from tinyqueue.policy.sample import is_sample
from tinyqueue.settings import load_settings

_GAMES = 3


@click.command()
@click.option("-n", "--episodes", type=click.IntRange(1), help=f"Episodes; default: {_GAMES}.")
@click.option("--gif", is_flag=True, help="Also write a GIF next to each mp4.")
@click.option(
    "--out",
    type=UserPath(path_type=Path, file_okay=False),
    default=Path("records"),
    show_default=True,
    help="Folder for the films. Existing files are kept: numbers continue.",
)
@click.option(
    "--checkpoints",
    is_flag=True,
    help="One film with an episode per kept checkpoint, from the oldest to the newest, with env "
    "steps and return on the frames. learner.keep_between and keep_checkpoints set how many are "
    "kept.",
)
@chooses_policy
@SEED
@json_option()
@results_apart
def record(
    run: Path,
    choice: Choice,
    episodes: int | None,
    gif: bool,
    out: Path,
    checkpoints: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Film what RUN has learned. Needs no display, no broker and no TensorFlow.

    RUN is a run directory, or a sample that `tinyqueue export` made.

    \b
    tinyqueue record runs/cartpole-impala/1 -n 3 --gif
    """
    require_extra()
    films = _Films(choice, gif, out, seed, as_json)
    if not checkpoints:
        learned = choice.load(run)
        # People know a sample by its folder; its experiment's name may be anything.
        name = run.resolve().name if is_sample(run) else learned.spec.experiment
        games = films.games(learned, episodes or _GAMES, name)
    elif choice.names_checkpoint or episodes is not None:
        raise ConfigError(
            "--checkpoints films one episode of each kept checkpoint. Leave out -n, --checkpoint, "
            "--version and --best."
        )
    else:
        games = films.checkpoints(run)
    if as_json:
        print_json(json.dumps({"run": str(run), "policy": choice.policy, "games": games}))


@dataclass(frozen=True)
class _Films:
    """How films are made and reported."""

    choice: Choice
    gif: bool
    out: Path
    seed: int
    quiet: bool

    def games(self, learned: Learned, episodes: int, name: str) -> list[dict[str, Any]]:
        """One film per episode, named ``<name>-<number>``."""
        spec, games = learned.spec, []
        head = self.choice.head(spec)
        with (
            draft_folder(self.out) as draft,
            self._recorder(spec, draft) as recorder,
        ):
            for number in range(episodes):
                with filming(f"game {number + 1} of {episodes}", is_hidden=self.quiet) as shown:
                    played = recorder.play(
                        learned.runner, head, seed32(self.seed, number), on_tick=shown.tick
                    )
                    shown.writes()
                    take = recorder.end(gif=self.gif)
                games.append(_game(learned, played))
                files = publish(take.files, self.out, name)
                games[-1] |= _film(take, files)
                self._say(f"{_said(games[-1])}: {_names(files)}, {_length(take)}")
        return games

    def checkpoints(self, run: Path) -> list[dict[str, Any]]:
        """One film of all checkpoints, each playing an episode with the same seed."""
        all_learned = load_each(run, lambda text: print_text(f"skipped: {text}", err=True))
        first = next(all_learned)
        spec, games = first.spec, []
        head = self.choice.head(spec)
        with (
            draft_folder(self.out) as draft,
            self._recorder(spec, draft, captions=True) as recorder,
        ):
            learned: Learned | None = first
            while learned is not None:
                title = f"{learned.env_steps:,} env steps"
                with filming(f"the game of {title}", is_hidden=self.quiet) as shown:
                    played = recorder.play(
                        learned.runner, head, self.seed, title, on_tick=shown.tick
                    )
                games.append(_game(learned, played))
                self._say(f"{title}: {_said(games[-1])}")
                learned = next(all_learned, None)
            with filming("all checkpoints", is_hidden=self.quiet) as shown:
                shown.writes()
                take = recorder.end(gif=self.gif)
            files = publish(take.files, self.out, f"{spec.experiment}-checkpoints")
        self._say(f"{_names(files)}, {_length(take)}")
        return [game | _film(take, files) for game in games]

    @staticmethod
    def _recorder(spec: PlaySpec, draft: Path, *, captions: bool = False) -> Recorder:
        return Recorder(
            spec.evaluated,
            draft,
            modules=allowing(load_settings(), spec.environment.id).environment_modules,
            spaces=(spec.observations, spec.actions),
            captions=captions,
        )

    def _say(self, text: str) -> None:
        if not self.quiet:
            print_result(text)


def _game(learned: Learned, played: Games) -> dict[str, Any]:
    return {
        "environment": learned.spec.environment.id,
        "policy_version": learned.version,
        "env_steps": learned.env_steps,
        "return": float(played.returns[0]),
        "length": int(played.lengths[0]),
        **({} if played.pace is None else {"pace": asdict(played.pace)}),
    }


def _film(take: Take, files: list[Path]) -> dict[str, Any]:
    return {
        "files": [str(file) for file in files],
        "frames": take.frames,
        "seconds": round(take.seconds, 3),
    }


def _said(game: dict[str, Any]) -> str:
    pace = f"; {Pace(**game['pace'])}" if "pace" in game else ""
    return f"return {game['return']:.10g} in {game['length']:,} steps{pace}"


def _length(take: Take) -> str:
    return f"{take.seconds:.1f} s of film"


def _names(files: list[Path]) -> str:
    return " and ".join(str(file) for file in files)
