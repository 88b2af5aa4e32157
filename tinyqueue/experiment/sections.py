"""The sections of an experiment file, except for the environment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from tinyqueue.data.info_values import MOST_KEYS
from tinyqueue.experiment.plain_data import plain_table
from tinyqueue.experiment.scripted import ScriptedConfig
from tinyqueue.experiment.wrappers import Wrappers


class Section(BaseModel):
    """A table of an experiment file. It is frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SessionConfig(Section):
    """The shape of a session batch: T ticks of B environments side by side."""

    ticks: int = Field(32, gt=0, le=4096, description="T, ticks per session batch.")
    slots: int = Field(32, gt=0, le=4096, description="B, environments per player.")
    codec: str = Field(
        "none",
        pattern="^(none|lz4|zstd)$",
        description="Compression on the wire; zstd pays off for images.",
    )
    task_budget_s: float = Field(2.0, gt=0, le=600, description="Length of a play task in seconds.")
    task_limit_s: float | None = Field(
        None,
        gt=0,
        le=3600,
        description="Seconds after which a play task is ended because its environments hang. "
        "Default: three times the budget or a batch, whichever is longer, at least 30, plus time "
        "for building, as measured at start.",
    )
    queue: str = Field("play", description="The queue that play tasks are sent to.")
    record_entropy: bool = Field(
        False,
        description="Record the policy's entropy at every tick, for `tinyqueue sessions show`; "
        "only for policies with probabilities.",
    )
    policy: ScriptedConfig | None = Field(
        None,
        description='"module:Class", or { policy = "module:Class", argument = 1 }: a class of your '
        "own that chooses every action of the sessions, instead of the policy that is trained; "
        "only for algorithms with a replay. Players import its module only if it is listed in "
        "their TINYQUEUE_ENVIRONMENT_MODULES.",
    )


class LearnerConfig(Section):
    """How the learner takes in session batches, and how often it publishes, saves and logs."""

    batches_per_update: int = Field(1, gt=0, le=1024, description="Session batches per update.")
    queue_batches: int = Field(
        2,
        gt=0,
        description="Session batches that may wait in the experience queue; more are refused.",
    )
    lag: int | None = Field(
        None,
        ge=0,
        le=100,
        description="Updates between playing a session batch and training on it, by credits that "
        "players wait for. With 0 each update has what its own policy played, as published for ppo "
        "and pqn. Default: queue_batches alone bounds it. For algorithms without a replay.",
    )
    max_policy_lag: int = Field(
        100,
        gt=0,
        description="Batches that lag more weight versions than this are dropped as stale, except "
        "by algorithms with a replay.",
    )
    threads: int = Field(
        1,
        gt=0,
        le=256,
        description="TensorFlow's threads, both within an operation and between operations; more "
        "than one pays off for convolutions on idle cores.",
    )
    publish_every_updates: int = Field(1, gt=0, description="Updates between weight versions.")
    checkpoint_every_s: float = Field(
        10.0,
        gt=0,
        description="Seconds between checkpoints. From 10 on they are stretched, to 60 at most, "
        "where writing checkpoints would take more than a hundredth of the time.",
    )
    keep_checkpoints: int = Field(
        3, gt=0, description="Newest checkpoints to keep; the best is kept too."
    )
    keep_between: int = Field(
        8,
        ge=0,
        description="Older checkpoints to keep as well, about equally spaced in env steps, for a "
        "film of successive checkpoints.",
    )
    log_every_s: float = Field(2.0, gt=0, description="Seconds between lines of metrics.")
    log_sessions_every_s: float = Field(
        60.0,
        gt=0,
        description="Seconds between session batches kept for `tinyqueue sessions`, where no "
        "replay keeps them all.",
    )
    max_abs_reward: float = Field(
        1e6, gt=0, description="Largest magnitude of a reward that is trained on unchanged."
    )
    beyond_max_reward: Literal["clip", "set aside"] = Field(
        "clip",
        description="What happens to larger rewards: they are clipped and counted, or their whole "
        "batch is set aside. NaN and infinity are always set aside.",
    )
    give_up_after_s: float = Field(
        60.0,
        gt=0,
        description="End a run in which, for this many seconds, every task has failed and no "
        "session batch was accepted, or most batches were set aside.",
    )


class ReplayConfig(Section):
    """What the replay keeps, and how often it is sampled. For algorithms with a replay."""

    capacity_steps: int = Field(
        100_000, gt=0, description="Env steps held in memory and in the session log."
    )
    capacity_bytes: int = Field(
        4 << 30, gt=0, description="Memory for them, in bytes; the smaller of both limits applies."
    )
    minimum_steps: int = Field(1_000, gt=0, description="Env steps before the first update.")
    samples_per_insert: float = Field(
        8.0,
        gt=0,
        description="How often each env step is trained on, on average. Players wait for the "
        "learner, and the learner for players, to keep this ratio.",
    )
    tolerance_steps: int = Field(
        0,
        ge=0,
        description="Env steps by which players may be ahead of training, or behind it; 0 means "
        "four session batches. At least one sample is always allowed.",
    )


class MetricsConfig(Section):
    """What is recorded besides what tinyqueue measures itself."""

    info: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (),
        max_length=MOST_KEYS,
        description="Keys of the environment's info whose numbers are recorded for every training "
        'episode: the last value, and the mean over its steps. "agent/x" is key x of table agent.',
    )

    @field_validator("info")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [name for key in value for name in (key, f"{key}_mean")]
        if len({*names}) < len(names):
            raise ValueError("names a key twice, or a key and its own mean, key_mean")
        if not all(map(str.isprintable, value)):
            raise ValueError("holds a character that cannot be printed")
        return value


class StopConfig(Section):
    """When training ends: as soon as one condition is met."""

    at_return: float | None = Field(
        None,
        description="Mean return of evaluation episodes; default: the environment's own threshold.",
    )
    max_env_steps: int | None = Field(None, gt=0, description="Env steps trained on.")


class EvaluationEnvironment(Section):
    """What evaluation episodes are played in, where it differs from training."""

    kwargs: Annotated[dict[str, Any], BeforeValidator(plain_table)] = Field(
        default_factory=dict,
        description="Keyword arguments for evaluation; those of environment.kwargs that are not "
        "named here stay as they are.",
    )
    wrappers: Wrappers | None = Field(
        None,
        description="Wrappers for evaluation instead of environment.wrappers; [] for none.",
    )


class EvaluationConfig(Section):
    """The evaluation episodes that decide whether the threshold is reached."""

    episodes: int = Field(100, gt=0, le=10_000, description="Episodes per evaluation.")
    slots: int = Field(100, gt=0, le=4096, description="Environments played side by side.")
    near: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Evaluate once the training mean has covered this fraction of the way from the "
        "first mean to the threshold; sampling plays worse than the greedy policy does.",
    )
    every_env_steps: int = Field(
        20_000, gt=0, description="Minimum number of env steps between evaluations."
    )
    actions: str = Field(
        "auto",
        pattern="^(auto|greedy|sample)$",
        description="How actions are chosen. greedy: the best one; sample: drawn from the policy's "
        "probabilities; auto: greedy, but sample once the training mean has reached the threshold "
        "while greedy episodes stay clearly below it.",
    )
    max_steps_per_game: int = Field(
        10_000,
        gt=0,
        description="Env steps after which an evaluation episode is ended, with the return it has "
        "by then, if the environment has no limit of its own.",
    )
    timeout_s: float = Field(
        900.0,
        gt=0,
        le=1_500,
        description="Time limit of one evaluation in seconds. Episodes still running then are "
        "ended, and such an evaluation cannot reach the threshold.",
    )
    here_after_s: float = Field(
        10.0,
        ge=0,
        description="Seconds of silence from evaluating workers, which report every two seconds, "
        "after which the learner plays the episodes itself. 0: it plays all of them, as it always "
        "does with a single player on services of its own.",
    )

    environment: EvaluationEnvironment | None = Field(
        None,
        description="How the environment of evaluation episodes differs from that of training, "
        "such as wrappers = [] to judge by the environment's own rewards. Spaces must be equal.",
    )

    @field_validator("here_after_s")
    @classmethod
    def _longer_than_between_two_words(cls, value: float) -> float:
        if 0 < value < 4:
            raise ValueError("workers report every two seconds, so this must be 0 or at least 4")
        return value
