"""What is trained: an experiment as a person writes it, checked, with every default filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.file_names import label
from tinyqueue.experiment.sections import (
    EvaluationConfig,
    LearnerConfig,
    MetricsConfig,
    ReplayConfig,
    Section,
    SessionConfig,
    StopConfig,
)
from tinyqueue.experiment.validation import field_names, validated

S = TypeVar("S", bound=Section)
ConfigTable = Mapping[str, type[Any]]
"""Component name → the frozen dataclass of its settings."""


@dataclass(frozen=True)
class Experiment:
    """One experiment as its author wrote it, with every default filled in."""

    name: str
    environment: EnvironmentConfig
    algorithm_name: str
    algorithm: Any
    """The algorithm's own frozen config dataclass."""
    model_name: str
    model: Any
    """The model's own frozen config dataclass."""
    session: SessionConfig
    learner: LearnerConfig
    evaluation: EvaluationConfig
    stop: StopConfig
    replay: ReplayConfig | None = None
    """None for an algorithm that trains on the stream."""
    seed: int = 0
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    unnamed_model: Mapping[str, Any] | None = field(default=None, compare=False)
    """The settings of a model without a name: the environment's observations decide which it is.
    None if the experiment names its model."""
    unnamed_algorithm: Mapping[str, Any] | None = field(default=None, compare=False)
    """The settings of an algorithm without a name: the environment's actions decide which it is.
    None if the experiment names its algorithm."""
    has_own_name: bool = field(default=False, compare=False)
    """Whether its author named it; else its name follows from environment and algorithm."""
    has_model: bool = field(default=True, compare=False)
    """Whether the model is used: some algorithms bring their own network."""

    def has_setting(self, name: str) -> bool:
        """Whether a setting, such as ``algorithm.n_step``, exists and does something.

        It depends on the algorithm, the model, and whether there is a replay.
        """
        table, _, key = name.partition(".")
        section = getattr(self, table)
        if section is None or (table == "model" and not self.has_model):
            return False
        return key in field_names(type(section))

    def setting(self, name: str) -> Any:
        """The value of a setting, such as ``algorithm.n_step``; None where there is none."""
        table, _, key = name.partition(".")
        return getattr(getattr(self, table), key) if self.has_setting(name) else None

    @property
    def algorithm_label(self) -> str:
        """The algorithm's name for people: a file's without its folders."""
        return label(self.algorithm_name)

    @property
    def model_label(self) -> str:
        """The model's name for people: a file's without its folders."""
        return label(self.model_name)

    @property
    def evaluated(self) -> EnvironmentConfig | None:
        """The environment of evaluation episodes; None if it is that of training."""
        given = self.evaluation.environment
        if given is None:
            return None
        wrappers = self.environment.wrappers if given.wrappers is None else given.wrappers
        changes = {"kwargs": self.environment.kwargs | given.kwargs, "wrappers": wrappers}
        environment = self.environment.model_copy(update=changes)
        return None if environment == self.environment else environment

    def document(self) -> dict[str, Any]:
        """The effective experiment as plain tables, which parse to an equal one."""
        return {
            "name": self.name,
            "seed": self.seed,
            "environment": self.environment.model_dump(exclude_none=True),
            "algorithm": {"name": self.algorithm_name, **_plain(self.algorithm)},
            "model": {"name": self.model_name, **_plain(self.model)},
            "session": self.session.model_dump(exclude_none=True),
            "learner": self.learner.model_dump(exclude_none=True),
            **({"replay": self.replay.model_dump()} if self.replay else {}),
            "evaluation": self.evaluation.model_dump(exclude_none=True),
            "stop": self.stop.model_dump(exclude_none=True),
            **({"metrics": self.metrics.model_dump()} if self.metrics.info else {}),
        }


def parse_experiment(
    document: Mapping[str, Any], *, algorithms: ConfigTable, models: ConfigTable
) -> Experiment:
    """Checks an experiment and fills in its defaults.

    Args:
        document: The tables of an experiment file.
        algorithms, models: The config dataclass of each known name.

    Raises:
        ConfigError: A key or value is unknown, missing or out of range; the text names the
            key and suggests the nearest.
    """
    known = ("name", "seed", "environment", "algorithm", "model", "session", "learner",
             "replay", "evaluation", "stop", "metrics")  # fmt: skip
    for key in document:
        if key not in known:
            raise UnknownNameError("key", key, known)
    environment = _section(EnvironmentConfig, document, "environment")
    algorithm_name, algorithm = _component("algorithm", document, algorithms, "impala")
    model_name, model = _component("model", document, models, "mlp")
    name = document.get("name", default_name(environment.id, algorithm_name))
    if not isinstance(name, str) or not EXPERIMENT_PATTERN.fullmatch(name):
        raise ConfigError(
            f"name = {name!r} is not an experiment name: use 1–48 of a–z, 0–9, '-' and '_', "
            "beginning with a letter or digit."
        )
    seed = document.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"seed = {seed!r} must be a whole number, zero or more.")
    session = _slots_of(environment, SessionConfig, document, "session")
    replay = _replay(document, algorithm_name, algorithm)
    if session.policy is not None:
        _require_off_policy(session, algorithm_name, has_replay=replay is not None)
    return Experiment(
        name=name,
        environment=environment,
        algorithm_name=algorithm_name,
        algorithm=algorithm,
        model_name=model_name,
        model=model,
        session=session,
        learner=_section(LearnerConfig, document, "learner"),
        evaluation=_slots_of(environment, EvaluationConfig, document, "evaluation"),
        stop=_section(StopConfig, document, "stop"),
        replay=replay,
        seed=seed,
        metrics=_section(MetricsConfig, document, "metrics"),
        unnamed_model=_unnamed(document, "model"),
        unnamed_algorithm=_unnamed(document, "algorithm"),
        has_own_name="name" in document,
    )


def default_name(environment_id: str, algorithm: str) -> str:
    """The name of an experiment without one.

    ``ALE/Pong-v5`` with ``impala`` is ``pong-impala``, with ``own.py:Mine`` ``pong-mine``.
    """
    game = environment_id.rpartition("/")[2].lower()
    base, _, version = game.rpartition("-v")
    game = base if base and version.isdigit() else game
    own = algorithm.rpartition(":")[2]
    cleaned = re.sub("[^a-z0-9_-]", "-", f"{game}-{own}".lower())
    return cleaned.lstrip("_-")[:48].rstrip("-") or "experiment"


def _component(
    kind: str, document: Mapping[str, Any], table: ConfigTable, default: str
) -> tuple[str, Any]:
    values = dict(_table(document, kind))
    name = values.pop("name", default)
    if not isinstance(name, str) or name not in table:
        raise UnknownNameError(kind, str(name), table)
    return name, validated(table[name], values, kind)


def _unnamed(document: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    table = _table(document, kind)
    return None if "name" in table else dict(table)


def _replay(document: Mapping[str, Any], name: str, algorithm: Any) -> ReplayConfig | None:
    if getattr(algorithm, "uses_replay", False):
        if _table(document, "learner").get("lag") is not None:
            raise ConfigError(
                f"learner.lag has no effect: {label(name)} has a replay, and how far players are "
                "ahead is replay.samples_per_insert. Remove it."
            )
        return _section(ReplayConfig, document, "replay")
    if "replay" in document:
        raise ConfigError(
            f"[replay] has no effect: {label(name)} trains on each session batch once, as it "
            "arrives. Remove the table, or choose an algorithm with a replay, such as dqn."
        )
    return None


def _require_off_policy(session: SessionConfig, algorithm: str, *, has_replay: bool) -> None:
    assert session.policy is not None
    setting = f"session.policy = {session.policy.policy!r}"
    if not has_replay:
        raise ConfigError(
            f"{setting} plays every session, and {label(algorithm)} learns only from sessions of "
            "the policy that it trains. Remove it, or choose an algorithm with a replay, such as "
            "dqn."
        )
    if session.record_entropy:
        raise ConfigError(
            "session.record_entropy = true records the entropy of the policy that is trained, and "
            f"{setting} plays instead of it. Remove one of them."
        )


def _section(cls: type[S], document: Mapping[str, Any], key: str) -> S:
    return validated(cls, _table(document, key), key)


def _slots_of(
    environment: EnvironmentConfig, cls: type[S], document: Mapping[str, Any], key: str
) -> S:
    """A section with a number of slots: one if the environment owns its clock."""
    if not environment.realtime:
        return _section(cls, document, key)
    table = {"slots": 1, **_table(document, key)}
    if table["slots"] != 1:
        raise ConfigError(
            f"{key}.slots = {table['slots']!r} with environment.realtime: environments side by "
            "side are stepped one after another, and each would be held until all others have "
            f"moved. Remove {key}.slots; more players (--players, celery -c) play more of them."
        )
    return validated(cls, table, key)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{key} must be a table ([{key}]), not {table!r}.")
    return table


def _plain(config: Any) -> dict[str, Any]:
    values = {each.name: getattr(config, each.name) for each in fields(config)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v is not None}
