"""What the learner derives from an experiment for its players, kept as JSON in the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import Field, ValidationError, field_validator

from tinyqueue.data.info_values import MOST_KEYS
from tinyqueue.data.spaces import Space, space_from_json
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import EnvironmentConfig, Scalar
from tinyqueue.experiment.older import known_environment
from tinyqueue.experiment.scripted import ScriptedConfig
from tinyqueue.experiment.sections import Section
from tinyqueue.experiment.validation import explained


def of_today(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec from disk, perhaps of another version, with the keys of this version.

    Missing settings get their defaults, and settings that no longer exist are left out. If its
    environment is no longer valid, that part is returned unchanged.
    """
    known = {key: value for key, value in spec.items() if key in PlaySpec.model_fields}
    for key in ("environment", "evaluation_environment"):
        if isinstance(known.get(key), Mapping):
            with suppress(ValidationError):
                known[key] = known_environment(known[key])
    return known


class PlaySpec(Section):
    """Everything that a player needs to play for one run."""

    experiment: str
    run: str
    environment: EnvironmentConfig
    evaluation_environment: EnvironmentConfig | None = Field(
        None, description="What evaluation episodes are played in, if that is another one."
    )
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
    task_limit_s: float = Field(30.0, gt=0)
    queue_batches: int = Field(2, gt=0)
    credits: bool = Field(
        False, description="Whether players take a credit for each session batch (learner.lag)."
    )
    graph_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    seed: int = 0
    info: tuple[str, ...] = Field(
        (), max_length=MOST_KEYS, description="Keys of infos whose numbers players record."
    )

    policy: ScriptedConfig | None = Field(
        None, description="What plays instead of the graph; nothing is then recorded by a head."
    )

    @field_validator("observation_space", "action_space")
    @classmethod
    def _is_space(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        try:
            space_from_json(value)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"not a space ({type(error).__name__}: {error})") from None
        return value

    @property
    def evaluated(self) -> EnvironmentConfig:
        """The environment of evaluation episodes."""
        return self.evaluation_environment or self.environment

    @property
    def version(self) -> int:
        """A number that identifies the content: 48 bits of its sha256."""
        return int(hashlib.sha256(self.to_json().encode()).hexdigest()[:12], 16)

    @property
    def observations(self) -> Space:
        """The observation space of one slot: single frames."""
        return space_from_json(self.observation_space)

    @property
    def actions(self) -> Space:
        """The action space of one slot."""
        return space_from_json(self.action_space)

    def to_json(self) -> str:
        """The spec as JSON. Keys keep their order, which has a meaning in a space."""
        return json.dumps(self.model_dump())

    @classmethod
    def from_json(cls, text: str | bytes) -> PlaySpec:
        """The spec that :meth:`to_json` wrote.

        Raises:
            ConfigError: The text is not a spec of this schema.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ConfigError(
                "the experiment spec in the store is not one that this version can play: "
                f"{explained(error, cls)} Run the same tinyqueue version on players and learner."
            ) from None
