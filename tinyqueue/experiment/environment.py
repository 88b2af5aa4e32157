"""Which environment is played, and how an Atari screen becomes what a policy sees.

The defaults are the protocol of Machado et al. 2018, "Revisiting the Arcade Learning
Environment", except for life-loss and FIRE, whose reasons are given with them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.experiment.plain_data import plain_table
from tinyqueue.experiment.sections import Section
from tinyqueue.experiment.wrappers import Wrappers, named

Scalar = bool | int | float | str
Cut = Annotated[int, Field(ge=0)]

ATARI_NAMESPACE = "ALE/"
ATARI_STACK = 4
"""Frames in a policy's observation of an Atari game, unless set otherwise."""

MOST_HANG_S = 86_400.0
"""The longest environment.hang_s."""
_IN_INFO = "info:"
# Prefix of a key of info, in action_mask.


class AtariConfig(Section):
    """The protocol of an Atari game. A frame is 1/60 s of play; a tick is ``frame_skip`` frames.

    Rewards are the game's own; clipping and scaling are settings of the algorithm.
    """

    sticky: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Probability, at each frame, that the game repeats the previous frame's action "
        "instead (Machado et al. 2018); 0 is the protocol of the early papers.",
    )
    noop_max: int = Field(
        30,
        ge=0,
        description="Each episode begins with 0 to this many no-op frames, drawn at random; the "
        "FIRE frame counts as the first.",
    )
    fire_reset: bool = Field(
        True,
        description="Press FIRE once at the start of an episode, in games with that action: "
        "Breakout waits for it, and a greedy policy may never press it.",
    )
    life_loss: bool = Field(
        False,
        description="A lost life ends the episode for learning, while the game goes on. "
        "Evaluation always plays whole games.",
    )
    frame_skip: int = Field(4, gt=0, le=60, description="Frames for which each action is held.")
    max_frames: bool = Field(
        True,
        description="Observe the pixel-wise maximum of the last two frames: some games draw "
        "objects only in every other frame.",
    )
    size: int = Field(84, ge=8, le=256, description="Height and width of an observation.")
    colour: Literal["gray", "luminance", "rgb"] = Field(
        "gray",
        description="gray: the console's own gray palette; luminance: 0.2125 R + 0.7154 G + "
        "0.0721 B, as in the early papers; rgb: three values per pixel.",
    )
    crop: tuple[Cut, Cut, Cut, Cut] | None = Field(
        None,
        description="Pixels cropped from the 210 × 160 screen at top, bottom, left and right, "
        "before it is resized.",
    )
    stuck_ticks: int = Field(
        0,
        ge=0,
        description="After this many ticks without a changed pixel, play FIRE (or a random action "
        "in games without it) until one changes; 0: never.",
    )
    max_frames_per_episode: int = Field(
        108_000, gt=0, description="Frames after which an episode is truncated; 108,000 is 30 min."
    )

    @property
    def brief(self) -> str:
        """The settings that returns depend on most: ``sticky 0.25, frame skip 4``."""
        return f"sticky {self.sticky:g}, frame skip {self.frame_skip}"

    @model_validator(mode="after")
    def _something_is_left(self) -> AtariConfig:
        if self.crop and (self.crop[0] + self.crop[1] >= 210 or self.crop[2] + self.crop[3] >= 160):
            raise ValueError(f"crop {list(self.crop)} leaves nothing of the 210 × 160 screen")
        if self.max_frames_per_episode < self.frame_skip:
            raise ValueError("max_frames_per_episode is less than one tick's frame_skip")
        return self


_ATARI_KEYS = {
    "frameskip": "frame_skip",
    "repeat_action_probability": "sticky",
    "max_num_frames_per_episode": "max_frames_per_episode",
    "obs_type": "colour",
    "grayscale": "colour",
    "noop_max": "noop_max",
    "use_fire_reset": "fire_reset",
    "episodic_life": "life_loss",
    "maxpool": "max_frames",
    "img_height": "size",
    "img_width": "size",
}
# Argument of ale-py's environments → the setting that replaces it.


class EnvironmentConfig(Section):
    """Which environment is played."""

    id: str = Field(description="Gymnasium id, such as CartPole-v1.")
    kwargs: Annotated[dict[str, Any], BeforeValidator(plain_table)] = Field(
        default_factory=dict,
        description="Keyword arguments for the environment: strings, numbers, booleans, lists and "
        "tables. In a string, {slot} and {slot+5000} become a number unique to each environment.",
    )
    wrappers: Wrappers = Field(
        (),
        description="Wrappers around the environment, the first one innermost: "
        '"module:Class", or { wrapper = "module:Class", argument = 1 }. The module must be '
        "gymnasium.wrappers, or be listed in TINYQUEUE_ENVIRONMENT_MODULES.",
    )
    max_episode_steps: int | None = Field(
        None,
        gt=0,
        description="Steps after which episodes are truncated, instead of the environment's limit.",
    )
    keep: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        min_length=1,
        description="Indices of a vector observation that the policy sees; the rest is hidden.",
    )
    drop: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None,
        min_length=1,
        description="Parts of a Dict or Tuple observation to leave out, by path, such as "
        '"mission" or "arm/angle"; a run adds parts that are not supported.',
    )
    action_mask: str | None = Field(
        None,
        min_length=1,
        description="Where the environment gives the mask of valid actions: the path of a part of "
        'its Dict observation, which is then hidden from the policy, or "info:action_mask".',
    )
    stack: int = Field(
        1,
        gt=0,
        le=256,
        description="Observations that the policy sees at once, newest last; at the start of an "
        "episode the first one is repeated. Default for Atari: 4.",
    )
    normalise_observations: bool = Field(
        False,
        description="The policy sees numbers of Box observations less their running mean, divided "
        "by their running standard deviation and clipped to ±10. The learner counts what it trains "
        "on; every weight version carries the statistics.",
    )
    normalise_rewards: bool = Field(
        False,
        description="The learner divides rewards by the running standard deviation of the "
        "discounted return, and clips them to ±10. Reported returns stay as they are.",
    )
    single: bool = Field(
        False,
        description="Only one such environment can exist at a time on a machine: the player closes "
        "it before it plays evaluation episodes. Detected at start.",
    )
    entangled: bool = Field(
        False,
        description="Environments in one process change each other, as those of a C library with "
        "one world do: the player closes its own before it plays evaluation episodes. Detected at "
        "start.",
    )
    realtime: bool = Field(
        False,
        description="The environment owns its clock, as a robot or a live game does, and does not "
        "wait between two steps: nothing but the policy comes between an observation and its "
        "action. One slot per player, whole episodes per task.",
    )
    tick_s: float | None = Field(
        None,
        gt=0,
        le=60,
        description="Seconds between two ticks of the clock of a realtime environment. If it is "
        "set, ticks without an action in time are measured and counted.",
    )
    hang_s: float | None = Field(
        None,
        gt=0,
        le=MOST_HANG_S,
        description="Seconds after which a call of the environment that has not returned counts as "
        "failed; default: 30, and 60 for each step of the trial at the start.",
    )
    atari: AtariConfig | None = Field(
        None, description="The protocol of an Atari game; only for ids that begin with ALE/."
    )

    @property
    def label(self) -> str:
        """The environment for people: its id, and the wrappers around it."""
        return f"{self.id} in {named(self.wrappers)}" if self.wrappers else self.id

    @property
    def is_alone(self) -> bool:
        """Whether a process must not have two of them at a time."""
        return self.single or self.entangled

    @property
    def observes_ram(self) -> bool:
        """Whether an Atari game's observation is its 128 bytes of RAM: ``obs_type = "ram"``."""
        return self.atari is not None and self.kwargs.get("obs_type") == "ram"

    @property
    def mask_path(self) -> str | None:
        """The part of an observation that is the action mask; None if the mask is in the info."""
        mask = self.action_mask
        return None if mask is None or mask.startswith(_IN_INFO) else mask

    @property
    def mask_key(self) -> str:
        """The key of an info that holds the action mask, if there is one."""
        mask = self.action_mask or ""
        return mask.removeprefix(_IN_INFO) if mask.startswith(_IN_INFO) else ACTION_MASK

    @model_validator(mode="after")
    def _has_a_mask_of_its_own(self) -> EnvironmentConfig:
        if self.action_mask is None:
            return self
        if self.atari is not None:
            raise ValueError("action_mask is not for Atari games: all of their actions are valid")
        if self.action_mask == _IN_INFO:
            raise ValueError('action_mask = "info:" lacks a key, as in "info:action_mask"')
        if self.mask_path in (self.drop or ()):
            raise ValueError(
                f"action_mask and drop both name {self.action_mask!r}; remove it from drop"
            )
        return self

    @model_validator(mode="after")
    def _ticks_belong_to_a_clock(self) -> EnvironmentConfig:
        if self.tick_s is not None and not self.realtime:
            raise ValueError(
                "tick_s is the clock of an environment that does not wait; set realtime = true "
                "as well, or remove tick_s"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_in_atari(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not str(value.get("id")).startswith(ATARI_NAMESPACE):
            return value
        given = {key: inner for key, inner in value.items() if inner is not None}
        return {"stack": ATARI_STACK, "atari": {}} | given

    @model_validator(mode="after")
    def _atari_belongs_to_atari(self) -> EnvironmentConfig:
        if self.atari is None:
            return self
        if not self.id.startswith(ATARI_NAMESPACE):
            raise ValueError(
                f"[environment.atari] is for ids such as ALE/Pong-v5, but the id is {self.id}; "
                "remove the table, or use the id of an Atari game"
            )
        meant = {key: _ATARI_KEYS[key] for key in self.kwargs if key in _ATARI_KEYS}
        if self.observes_ram:
            del meant["obs_type"]
        if meant:
            said = ", ".join(f"{key} is environment.atari.{name}" for key, name in meant.items())
            raise ValueError(f"kwargs must not repeat settings of [environment.atari]: {said}")
        return self
