"""What is trained: one frozen, typed schema, read from TOML; and its half that players need.

An :class:`Experiment` is what a person writes. A :class:`PlaySpec` is what the learner
makes of it for the players, kept as JSON in the store.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.data.spaces import Space, space_from_json
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig, Scalar
from tinyqueue.experiment.sections import (
    EvaluationConfig,
    LearnerConfig,
    ReplayConfig,
    Section,
    SessionConfig,
    StopConfig,
)

S = TypeVar("S", bound="Section")
ConfigTable = Mapping[str, type[Any]]
"""Name → frozen dataclass with that component's fields."""


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

    def document(self) -> dict[str, Any]:
        """The effective experiment as plain tables, from which an equal one can be parsed."""
        return {
            "name": self.name,
            "seed": self.seed,
            "environment": self.environment.model_dump(exclude_none=True),
            "algorithm": {"name": self.algorithm_name, **_plain(self.algorithm)},
            "model": {"name": self.model_name, **_plain(self.model)},
            "session": self.session.model_dump(),
            "learner": self.learner.model_dump(),
            **({"replay": self.replay.model_dump()} if self.replay else {}),
            "evaluation": self.evaluation.model_dump(),
            "stop": self.stop.model_dump(exclude_none=True),
        }


class PlaySpec(Section):
    """Everything that a player needs to play for one run. JSON in the store."""

    experiment: str
    run: str
    environment: EnvironmentConfig
    observation_space: dict[str, dict[str, Any]]
    action_space: dict[str, dict[str, Any]]
    head: str = Field(description="Name of the action head in tinyqueue.policy.heads.")
    head_config: dict[str, Scalar] = Field(default_factory=dict)
    state: dict[str, list[int]] = Field(
        default_factory=dict, description="Recurrent state: path → shape of one slot's array."
    )
    ticks: int = Field(gt=0, le=4096)
    slots: int = Field(gt=0, le=4096)
    codec: str = Field("none", pattern="^(none|lz4|zstd)$")
    task_budget_s: float = Field(2.0, gt=0, le=600)
    queue_batches: int = Field(2, gt=0)
    graph_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    seed: int = 0

    @field_validator("observation_space", "action_space")
    @classmethod
    def _is_space(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        try:
            space_from_json(value)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not a space ({type(error).__name__}: {error})") from None
        return value

    @property
    def version(self) -> int:
        """A number that is equal exactly when the content is: 48 bits of its sha256."""
        return int(hashlib.sha256(self.to_json().encode()).hexdigest()[:12], 16)

    @property
    def observations(self) -> Space:
        return space_from_json(self.observation_space)

    @property
    def actions(self) -> Space:
        return space_from_json(self.action_space)

    def to_json(self) -> str:
        """Keys stay in their order: that of a space is part of what it says."""
        return json.dumps(self.model_dump())

    @classmethod
    def from_json(cls, text: str | bytes) -> PlaySpec:
        """Raises ConfigError when the text is not a spec of this schema."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(
                "the experiment spec in the store is not one this version can play: "
                f"{_said(error, cls)} Run the same tinyqueue version on players and learner."
            ) from None


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
             "replay", "evaluation", "stop")  # fmt: skip
    for key in document:
        if key not in known:
            raise UnknownNameError("key", key, known)
    environment = _section(EnvironmentConfig, document, "environment")
    algorithm_name, algorithm = _component("algorithm", document, algorithms, "impala")
    model_name, model = _component("model", document, models, "mlp")
    name = document.get("name", default_name(environment.id, algorithm_name))
    if not isinstance(name, str) or not EXPERIMENT_PATTERN.match(name):
        raise ConfigError(
            f"name = {name!r} is not an experiment name: 1–48 of a–z, 0–9, '-' and '_', "
            "beginning with a letter or digit."
        )
    seed = document.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"seed = {seed!r} must be a whole number from 0.")
    return Experiment(
        name=name,
        environment=environment,
        algorithm_name=algorithm_name,
        algorithm=algorithm,
        model_name=model_name,
        model=model,
        session=_section(SessionConfig, document, "session"),
        learner=_section(LearnerConfig, document, "learner"),
        evaluation=_section(EvaluationConfig, document, "evaluation"),
        stop=_section(StopConfig, document, "stop"),
        replay=_replay(document, algorithm_name, algorithm),
        seed=seed,
    )


def default_name(environment_id: str, algorithm: str) -> str:
    """``ALE/Pong-v5`` played by ``impala`` is ``pong-impala``."""
    game = environment_id.rpartition("/")[2].lower()
    base, _, version = game.rpartition("-v")
    game = base if base and version.isdigit() else game
    cleaned = re.sub("[^a-z0-9_-]", "-", f"{game}-{algorithm}".lower())
    return cleaned.lstrip("_-")[:48].rstrip("-") or "experiment"


def _component(
    kind: str, document: Mapping[str, Any], table: ConfigTable, default: str
) -> tuple[str, Any]:
    values = dict(_table(document, kind))
    name = values.pop("name", default)
    if not isinstance(name, str) or name not in table:
        raise UnknownNameError(kind, str(name), table)
    return name, _validated(table[name], values, kind)


def _replay(document: Mapping[str, Any], name: str, algorithm: Any) -> ReplayConfig | None:
    if getattr(algorithm, "uses_replay", False):
        return _section(ReplayConfig, document, "replay")
    if "replay" in document:
        raise ConfigError(
            f"[replay] has no effect: {name} trains on every session batch once, as it comes. "
            "Remove the table, or choose an algorithm with a replay, such as dqn."
        )
    return None


def _section(cls: type[S], document: Mapping[str, Any], key: str) -> S:
    result: S = _validated(cls, _table(document, key), key)
    return result


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, Mapping):
        raise ConfigError(f"{key} must be a table ([{key}]), not {table!r}.")
    return table


def _validated(cls: type[Any], values: Mapping[str, Any], where: str) -> Any:
    names = _field_names(cls)
    for key in values:
        if key not in names:
            raise UnknownNameError(f"key in [{where}]", key, names)
    try:
        return TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError(_said(error, cls, where)) from None


def _field_names(cls: type[Any]) -> list[str]:
    if is_dataclass(cls):
        return [field.name for field in fields(cls)]
    return list(cls.model_fields)


def _said(error: ValidationError, cls: type[Any], where: str = "") -> str:
    parts = []
    for item in error.errors():
        key = ".".join([where, *(str(part) for part in item["loc"])]).strip(".")
        names = _field_names(_table_of(cls, item["loc"]))
        near = difflib.get_close_matches(key.rpartition(".")[2], names, n=1)
        hint = f"; did you mean {near[0]!r}?" if item["type"] == "extra_forbidden" and near else ""
        value = "" if item["type"] == "missing" else f" = {item['input']!r}"[:120]
        parts.append(f"{key}{value}: {item['msg']}{hint}")
    return "; ".join(parts) + "."


def _table_of(cls: type[Any], place: tuple[int | str, ...]) -> type[Any]:
    """The section in which a key stands; Atari's protocol is a table within a table."""
    within_atari = cls is EnvironmentConfig and len(place) > 1 and place[0] == "atari"
    return AtariConfig if within_atari else cls


def _plain(config: Any) -> dict[str, Any]:
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v is not None}
