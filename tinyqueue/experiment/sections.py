"""What a section is, and those of an experiment file that are not the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Section(BaseModel):
    """A table of an experiment file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SessionConfig(Section):
    """The shape of a session batch: T ticks of B environments side by side."""

    ticks: int = Field(32, gt=0, le=4096, description="T, ticks per session batch.")
    slots: int = Field(32, gt=0, le=4096, description="B, environments per player.")
    codec: str = Field(
        "none",
        pattern="^(none|lz4|zstd)$",
        description="Compression on the wire; zstd pays for images.",
    )
    task_budget_s: float = Field(2.0, gt=0, le=600, description="Seconds that one play task lasts.")
    task_limit_s: float | None = Field(
        None,
        gt=0,
        le=3600,
        description="Seconds after which a play task is ended: its environments hang. Default: "
        "three times the budget, or a batch, whichever is longer, at least 30, and room for "
        "building, as measured at start.",
    )
    queue: str = Field("play", description="The queue that play tasks are sent to.")
    record_entropy: bool = Field(
        False,
        description="Record the entropy of every choice, for `tinyqueue sessions show`; "
        "for policies with probabilities.",
    )


class LearnerConfig(Section):
    """How the learner takes in session batches and how often it lets others see its work."""

    batches_per_update: int = Field(1, gt=0, le=1024, description="Session batches per update.")
    queue_batches: int = Field(
        2,
        gt=0,
        description="Session batches that may wait in the experience queue; more are refused.",
    )
    max_policy_lag: int = Field(
        100,
        gt=0,
        description="Batches older than this many weight versions are dropped as stale; "
        "not by algorithms with a replay.",
    )
    threads: int = Field(
        1,
        gt=0,
        le=256,
        description="Threads of TensorFlow, for one operation and for operations side by side; "
        "more pay for convolutions on free cores.",
    )
    publish_every_updates: int = Field(1, gt=0, description="Updates between weight versions.")
    checkpoint_every_s: float = Field(60.0, gt=0, description="Seconds between checkpoints.")
    keep_checkpoints: int = Field(
        3, gt=0, description="Newest checkpoints kept; the best stays too."
    )
    keep_between: int = Field(
        8,
        ge=0,
        description="Older checkpoints kept besides, at about equal distances in env steps: what "
        "a film of successive checkpoints shows.",
    )
    log_every_s: float = Field(2.0, gt=0, description="Seconds between lines of metrics.")
    log_sessions_every_s: float = Field(
        60.0,
        gt=0,
        description="Seconds between session batches that are kept for `tinyqueue sessions`, "
        "where there is no replay that keeps them all.",
    )
    max_abs_reward: float = Field(
        1e6, gt=0, description="Largest reward, either sign, that is trained on as it is."
    )
    beyond_max_reward: Literal["clip", "set aside"] = Field(
        "clip",
        description="What becomes of a larger one: it is clipped and counted, or its whole batch "
        "is set aside. NaN and infinity are set aside in any case.",
    )
    give_up_after_s: float = Field(
        60.0,
        gt=0,
        description="End a run in which every task has failed and no session batch was accepted "
        "for so many seconds, or most batches were set aside.",
    )


class ReplayConfig(Section):
    """What is kept to learn from more than once, and how often. For algorithms with a replay."""

    capacity_steps: int = Field(
        100_000, gt=0, description="Env steps held in memory and in the session log."
    )
    capacity_bytes: int = Field(
        4 << 30, gt=0, description="Bytes of memory for them; the smaller of the two limits counts."
    )
    minimum_steps: int = Field(1_000, gt=0, description="Env steps before the first update.")
    samples_per_insert: float = Field(
        8.0,
        gt=0,
        description="Times that each env step is trained on, on average. Players wait for the "
        "learner, and the learner for players, to keep it.",
    )
    tolerance_steps: int = Field(
        0,
        ge=0,
        description="Env steps that players may be ahead of training, or behind it; 0: four "
        "session batches. At least one sample in any case.",
    )


class StopConfig(Section):
    """When training is over. The first that is met ends it."""

    at_return: float | None = Field(
        None,
        description="Mean return of greedy games; the environment's own threshold when absent.",
    )
    max_env_steps: int | None = Field(None, gt=0, description="Env steps trained on.")


class EvaluationConfig(Section):
    """The games that decide whether the level is reached."""

    episodes: int = Field(100, gt=0, le=10_000, description="Greedy games per evaluation.")
    slots: int = Field(100, gt=0, le=4096, description="Games played side by side.")
    near: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Evaluate once the training mean has come this share of the way from the "
        "first mean to the level; sampling plays worse than the greedy policy does.",
    )
    every_env_steps: int = Field(
        20_000, gt=0, description="Least env steps between two evaluations."
    )
    actions: str = Field(
        "auto",
        pattern="^(auto|greedy|sample)$",
        description="How actions are chosen: the best one, or drawn from the policy's "
        "probabilities. auto: the best one, and drawn where the training mean has reached the "
        "level while greedy games stand clearly below it.",
    )
    max_steps_per_game: int = Field(
        10_000,
        gt=0,
        description="Env steps at which a game is ended and counts with its return so far, where "
        "the environment has no limit of its own.",
    )
    timeout_s: float = Field(
        900.0,
        gt=0,
        le=1_500,
        description="Seconds of one evaluation. Games that are still on then are ended, and what "
        "they came to cannot reach the level.",
    )
    here_after_s: float = Field(
        10.0,
        ge=0,
        description="Seconds without a word of an evaluating worker, which tells every two seconds "
        "that it plays, after which the learner plays these games itself; 0: it plays all of them, "
        "as it does in any case beside a single player on services of its own.",
    )

    @field_validator("here_after_s")
    @classmethod
    def _longer_than_between_two_words(cls, value: float) -> float:
        if 0 < value < 4:
            raise ValueError(
                "a worker tells every two seconds that it plays, so this is 0 or at least 4"
            )
        return value
