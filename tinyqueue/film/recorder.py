"""Filming one environment while policies play in it, through Gymnasium's RecordVideo."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.error import DependencyNotInstalled
from gymnasium.wrappers import RecordVideo

from tinyqueue.data.spaces import Space
from tinyqueue.envs.build import make_environment
from tinyqueue.envs.names import FILMED_MODE, MINATAR_NAMESPACE, import_allowed
from tinyqueue.errors import EnvironmentFailedError, FilmError, MissingExtraError
from tinyqueue.evaluation.games import Games, play_games
from tinyqueue.evaluation.table import table_of
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.film.caption import Captioned
from tinyqueue.film.gif import write_gif
from tinyqueue.film.packed_frames import PackedFrames
from tinyqueue.policy.heads import Head
from tinyqueue.policy.runner import PolicyRunner

_NAME = "film"
_ATARI_PER_S = 60.0
_DRAWN_WITH = {MINATAR_NAMESPACE: ("matplotlib", "seaborn")}
# Namespace → packages that its games need only for rendering.


def require_extra() -> None:
    """Raises MissingExtraError if this machine cannot write films."""
    if any(importlib.util.find_spec(name) is None for name in ("moviepy", "imageio")):
        raise MissingExtraError("video", "filming")


@dataclass(frozen=True)
class Take:
    """One finished film.

    Attributes:
        files: The files written: an mp4, and a GIF if one was wanted.
        frames: Frames in the mp4: one for the first observation of each episode, one per env step.
        seconds: Its length.
    """

    files: list[Path]
    frames: int
    seconds: float


class Recorder:
    """One environment, filmed as it renders itself, which may differ from what the policy sees.

    Args:
        config: The environment.
        folder: The folder for films.
        modules: This machine's modules that register environments.
        spaces: As for :func:`play_games`.
        captions: Whether every frame shows how far training was, and the return so far.

    Raises:
        MissingExtraError: The extra ``video`` is not installed.
        FilmError: The environment cannot render images.
        UnknownNameError, ConfigError: It cannot be built here.
    """

    def __init__(
        self,
        config: EnvironmentConfig,
        folder: Path,
        *,
        modules: Sequence[str] = (),
        spaces: tuple[Space, Space] | None = None,
        captions: bool = False,
    ) -> None:
        require_extra()
        # SDL draws into memory with this driver: no display is needed.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        import_allowed(modules)
        self._config, self._spaces = config, spaces
        self._folder = folder
        environment = _drawing(config)
        self._captioned = Captioned(environment) if captions else None
        self._per_s = _frame_rate(environment)
        # Parts of Gymnasium's wrapper have no types.
        self._record: Any = _Recording(
            self._captioned or environment, folder / "record", _addable(self._per_s)
        )
        self._table = table_of(self._record, config)

    def play(
        self,
        runner: PolicyRunner,
        head: Head,
        seed: int,
        title: str = "",
        on_tick: Callable[[], None] = lambda: None,
    ) -> Games:
        """Plays one episode and adds its frames to the film in the making.

        Args:
            runner, head: The policy, and how it acts.
            seed: The seed of every draw in the episode.
            title: The caption next to the return.
            on_tick: Called on every env step.
        """
        if self._captioned:
            self._captioned.title = title
        with self._explained():
            if not self._record.recording:
                self._record.start_recording(_NAME)
            return play_games(
                self._config,
                runner,
                head,
                episodes=1,
                slots=1,
                seed=seed,
                spaces=self._spaces,
                table=self._table,
                watch=lambda *_: on_tick(),
            )

    def end(self, *, gif: bool = False) -> Take:
        """Writes the film of the episodes since the last one. The caller moves the files.

        Raises:
            FilmError: It cannot be written, or the environment drew nothing.
        """
        if not self._record.recording:
            # The wrapper gives up, with a warning, when a frame is no array.
            raise FilmError(
                f"{self._config.id} drew no pictures: with render_mode {FILMED_MODE!r}, render() "
                "must return an array of height × width × 3 bytes."
            )
        frames, per_s = self._record.recorded_frames, self._per_s
        files = [Path(self._record.video_folder) / f"{_NAME}.mp4"]
        with self._explained():
            self._record.stop_recording()
            if gif:
                files.append(self._folder / f"{_NAME}.gif")
                write_gif(files[1], frames, per_s)
        return Take(files, len(frames), len(frames) / per_s)

    def close(self) -> None:
        """Closes the environment. A film that was not ended is lost."""
        self._record.recording = False
        self._record.recorded_frames = []
        self._record.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (DependencyNotInstalled, EnvironmentFailedError) as error:
            if not any(isinstance(e, DependencyNotInstalled) for e in (error, error.__cause__)):
                raise
            raise MissingExtraError("video", f"drawing {self._config.id}") from error
        except OSError as error:
            # The writer puts what ffmpeg said into the text of an OSError without a number.
            raise FilmError(
                f"the film cannot be written to {self._folder}: {error.strerror or error}. "
                "Free disk space, or give another --out."
            ) from error


class _Recording(RecordVideo[Any, Any]):
    """Records from start to stop, over any number of games, into little memory."""

    def __init__(self, environment: gymnasium.Env[Any, Any], folder: Path, per_s: float) -> None:
        super().__init__(
            environment,
            str(folder),
            # A limit, even one that is never reached, keeps one film going over resets.
            video_length=sys.maxsize,
            episode_trigger=lambda episode: False,
            fps=per_s,  # type: ignore[arg-type]  # Fractions are passed on to the writer.
        )

    def start_recording(self, video_name: str) -> None:
        super().start_recording(video_name)
        self.recorded_frames = PackedFrames()


def _addable(per_s: float) -> float:
    """Nearly the same rate, such that 1 / rate has few enough bits to be summed exactly.

    MoviePy sums it over all frames, multiplies by the rate and truncates: rounding would often
    lose the last frame, the end of the episode. This loses none (tried for 1 to 30,000 frames at
    7.5 to 60 per second).
    """
    return 2.0**30 / round(2.0**30 / per_s)


def _drawing(config: EnvironmentConfig) -> gymnasium.Env[Any, Any]:
    """The environment in the render mode that gives images."""
    kwargs = {key: value for key, value in config.kwargs.items() if key != "render_mode"}
    config = config.model_copy(update={"kwargs": kwargs})
    plain = make_environment(config)
    modes = plain.metadata.get("render_modes") or []
    plain.close()
    if FILMED_MODE not in modes:
        raise FilmError(
            f"{config.id} draws no pictures: its render modes are {', '.join(modes) or 'none'}, "
            f"but a film needs {FILMED_MODE}. Episodes can be played with `tinyqueue evaluate`."
        )
    packages = _DRAWN_WITH.get(config.id.rpartition("/")[0], ())
    lacking = [name for name in packages if importlib.util.find_spec(name) is None]
    if lacking:
        raise FilmError(
            f"{config.id} is drawn with packages that are not installed. "
            f"Install them with: pip install {' '.join(lacking)}"
        )
    environment = make_environment(config, whole_games=True, render_mode=FILMED_MODE)
    if environment.render_mode != FILMED_MODE:
        environment.close()
        raise FilmError(
            f"{config.id} was asked for {FILMED_MODE}, one of its render modes, and its "
            f"render_mode is {environment.render_mode!r} all the same. Set self.render_mode = "
            "render_mode in its constructor."
        )
    return environment


def _frame_rate(environment: gymnasium.Env[Any, Any]) -> float:
    """Env steps per second at the environment's own pace.

    An Atari console shows 60 frames per second, of which an env step skips some; ale-py reports 30
    whatever the frame skip.
    """
    spec = environment.spec
    if spec is not None and spec.namespace == "ALE":
        skipped: float = spec.kwargs.get("frameskip", 1)
        if environment.has_wrapper_attr("frame_skip"):
            skipped *= environment.get_wrapper_attr("frame_skip")
        return _ATARI_PER_S / skipped
    return float(environment.metadata.get("render_fps") or 30)
