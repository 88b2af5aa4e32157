"""A policy that is no graph but a class of the players' own, as data: ``session.policy``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from tinyqueue.experiment.named_class import named_class

NAME = "policy"
"""The key of the table that names the class; every other key is an argument."""


class ScriptedConfig(BaseModel):
    """A class that chooses every action of the sessions, in place of the learner's policy.

    A document has the name alone, ``"rules:Balance"``, or a table with keyword arguments:
    ``{ policy = "rules:Balance", depth = 3 }``.

    Attributes:
        policy: ``module:Class``.
        arguments: Keyword arguments: strings, numbers, booleans, lists and tables.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    policy: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_document(cls, value: object) -> object:
        if isinstance(value, ScriptedConfig):
            return value
        name, arguments = named_class(value, NAME, '{ policy = "rules:Balance", depth = 3 }')
        return {"policy": name, "arguments": arguments}

    @model_serializer
    def _to_document(self) -> str | dict[str, Any]:
        return {NAME: self.policy, **self.arguments} if self.arguments else self.policy

    @property
    def module(self) -> str:
        """The module that holds the class."""
        return self.policy.partition(":")[0]

    @property
    def class_name(self) -> str:
        """The name of the class in its module."""
        return self.policy.partition(":")[2]
