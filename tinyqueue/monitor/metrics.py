"""The name, unit and meaning of every number that a run writes; ``docs/metrics.md`` repeats them.

A member is a ``str``: it serves as a JSON key as it is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Name(StrEnum):
    """A name with its unit and a one-line meaning."""

    unit: str
    meaning: str

    def __new__(cls, value: str, unit: str, meaning: str) -> Self:
        """A member that is its name, and carries unit and meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.unit = unit
        member.meaning = meaning
        return member


class Metric(Name):
    """Keys of a line of ``metrics.jsonl``, one line every ``learner.log_every_s``."""

    TIME_S = "time_s", "s", "Time trained since the first batch, over all starts of the run."
    ENV_STEPS = "env_steps", "env steps", "Valid ticks accepted: the clock of every schedule."
    UPDATES = "updates", "updates", "Updates made: one optimiser step each, in `ppo` several."
    POLICY_VERSION = "policy_version", "version", "Newest weight version published."
    EPISODES = "episodes", "episodes", "Episodes finished since the learner started."
    ENVIRONMENT_FAULTS = (
        "environment_faults",
        "failures",
        "Of environments in training, each built again, since the learner started.",
    )
    RETURN_MEAN = (
        "return_mean",
        "reward",
        "Mean return of the last 100 training episodes, each the sum of its rewards.",
    )
    LENGTH_MEAN = "length_mean", "env steps", "Mean length of the last 100 training episodes."
    ENV_STEPS_PER_S = (
        "env_steps_per_s",
        "env steps/s",
        "Env steps trained on, over the last 5 s or, where that is longer, from rise to rise.",
    )
    UPDATES_PER_S = (
        "updates_per_s",
        "updates/s",
        "Updates, over the last 5 s or, where that is longer, from one to the next.",
    )
    POLICY_LAG_MEAN = (
        "policy_lag_mean",
        "versions",
        "Versions published between playing a batch and training on it; a running mean.",
    )
    QUEUE_DEPTH = "queue_depth", "batches", "Session batches that wait in the experience queue."
    PLAYERS = "players", "players", "Players of which a session batch came within 30 s."
    TASKS_OUTSTANDING = (
        "tasks_outstanding",
        "tasks",
        "Play tasks neither ended nor expired.",
    )
    BATCHES_ATTEMPTED = (
        "batches_attempted",
        "batches",
        "Session batches that players numbered: accepted + set aside + dropped + missing.",
    )
    BATCHES_ACCEPTED = (
        "batches_accepted",
        "batches",
        "Trained on, or stored for replay; each exactly once.",
    )
    BATCHES_SET_ASIDE = "batches_set_aside", "batches", "Refused and kept in the dead-letter queue."
    BATCHES_DROPPED = (
        "batches_dropped",
        "batches",
        "Left out by a stated policy: too stale, of another run, no learner, queue full, "
        "broker unreachable, spool full.",
    )
    BATCHES_MISSING = (
        "batches_missing",
        "batches",
        "In flight, or lost together with a player; one message adds at most 1,024.",
    )
    LOSS = "loss", "–", "What the optimiser minimises: the weighted sum of the losses below."
    POLICY_LOSS = "policy_loss", "–", "Policy-gradient term, before its weight."
    VALUE_LOSS = "value_loss", "–", "Error of the value estimate, before its weight."
    Q_MEAN = "q_mean", "–", "Mean Q of the sampled states and actions; h(Q) where it is rescaled."
    TARGET_MEAN = "target_mean", "–", "Mean of what those Q values should be."
    TD_ERROR_MEAN = "td_error_mean", "–", "Mean distance between the two, δ without its sign."
    ENTROPY = "entropy", "nats", "Mean entropy of the policy; ln(actions) when uniform."
    TEMPERATURE = "temperature", "–", "Weight of the entropy in what the policy maximises."
    GRAD_NORM = "grad_norm", "–", "Global norm of the gradient before clipping."
    MEAN_RHO = "mean_rho", "–", "Mean importance ratio π/μ before clipping; 1 when on-policy."
    CLIP_FRACTION = "clip_fraction", "share", "Of ticks, those whose ratio π/μ is beyond the clip."
    APPROX_KL = (
        "approx_kl",
        "nats",
        "Mean KL(μ‖π): how far the policy is from the one that played.",
    )
    EXPLAINED_VARIANCE = (
        "explained_variance",
        "–",
        "1 − Var(target − value) / Var(target); 1 is a perfect value estimate.",
    )
    LEARNING_RATE = "learning_rate", "–", "Of this update."
    OBSERVATION_MEAN = (
        "observation_mean",
        "–",
        "Running mean of normalised observations before that, averaged over their elements.",
    )
    OBSERVATION_DEVIATION = (
        "observation_deviation",
        "–",
        "Running standard deviation of the same, averaged likewise.",
    )
    REWARD_SCALE = (
        "reward_scale",
        "–",
        "Factor on normalised rewards: 1 / standard deviation of the discounted return.",
    )
    REPLAY_ITEMS = "replay_items", "items", "Transitions or sequences that can be drawn."
    REPLAY_ENV_STEPS = "replay_env_steps", "env steps", "Held in memory and in the session log."
    REPLAY_STALE_PRIORITIES = (
        "replay_stale_priorities",
        "items",
        "Evicted before their new priority was written back, since the start.",
    )
    REPLAY_UNFINISHED_SEQUENCES = (
        "replay_unfinished_sequences",
        "items",
        "Given up at a gap, or because they were evicted before they were complete.",
    )
    REPLAY_GAPS = (
        "replay_gaps",
        "gaps",
        "In the batches of stages, at which items were cut short, since the start.",
    )
    SAMPLES_PER_INSERT = (
        "samples_per_insert",
        "samples/env step",
        "Times that each env step beyond the minimum has been trained on.",
    )
    SAMPLING_WAIT_SHARE = (
        "sampling_wait_share",
        "share",
        "Of all time since the start, spent waiting for a sample that was being drawn.",
    )
    PLAYERS_WAIT_SHARE = (
        "players_wait_share",
        "share",
        "Of all time since the start, spent waiting for players.",
    )
    ACTION_MS_P50 = (
        "action_ms_p50",
        "ms",
        "From a realtime environment's observation to the action: the median of a session batch, "
        "averaged over the last 100.",
    )
    ACTION_MS_P99 = "action_ms_p99", "ms", "The same, its 99th percentile."
    ACTION_MS_WORST = "action_ms_worst", "ms", "The same, the longest since the learner started."
    MISSED_TICKS = (
        "missed_ticks",
        "ticks",
        'Without an action by the environment\'s own count, `info["missed_ticks"]`, since the '
        "learner started.",
    )
    LATE_TICKS = (
        "late_ticks",
        "ticks",
        "Without an action as measured with `environment.tick_s`, since the learner started.",
    )


class EpisodeColumn(Name):
    """Keys of a line of ``episodes.jsonl``: the episodes that finished since the line before."""

    ENV_STEPS = "env_steps", "env steps", "The clock when they were taken in."
    POLICY_VERSION = "policy_version", "version", "Newest weight version published by then."
    RETURNS = "returns", "reward", "List: undiscounted return of each, rewards as played."
    LENGTHS = "lengths", "env steps", "List: length of each."
    INFO = "info", "–", "Name → list: the numbers of `metrics.info` of each, if any are set."


class EvaluationField(Name):
    """Keys of a line of ``evaluations.jsonl``: games of one weight version."""

    ENV_STEPS = "env_steps", "env steps", "The clock when the version was published."
    TIME_S = "time_s", "s", "Time trained when the result came back."
    POLICY_VERSION = "policy_version", "version", "The version that played."
    EPISODES = "episodes", "episodes", "Games played."
    RETURN_MEAN = "return_mean", "reward", "Mean return."
    RETURN_MIN = "return_min", "reward", "The worst game."
    RETURN_MAX = "return_max", "reward", "The best game."
    LENGTH_MEAN = "length_mean", "env steps", "Mean length."
    SECONDS = "seconds", "s", "Wall time that the games took the player."
    LEVEL = "level", "reward", "The mean return that ends training; null when there is none."
    ACTIONS = "actions", "text", "How they were chosen: `greedy` or `sample`."
    CAPPED = "capped", "episodes", "Games that were ended at `max_steps`."
    MAX_STEPS = "max_steps", "env steps", "Where a game is ended."
    CUT = "cut", "episodes", "Games that were ended because the time was over."
    FAILURES = "failures", "failures", "Of the environment; such games were played anew."


FILES: dict[str, type[Name]] = {
    "metrics.jsonl": Metric,
    "episodes.jsonl": EpisodeColumn,
    "evaluations.jsonl": EvaluationField,
}
"""File of a run directory → the keys of its lines."""
