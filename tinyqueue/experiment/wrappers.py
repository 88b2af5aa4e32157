"""Wrappers around an environment, as data: ``environment.wrappers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from tinyqueue.experiment.named_class import named_class

NAME = "wrapper"
"""The key of a wrapper's table that names it; every other key is an argument."""

MOST_WRAPPERS = 32

_EXAMPLE = '{ wrapper = "gymnasium.wrappers:ClipReward", min_reward = -1, max_reward = 1 }'


class WrapperConfig(BaseModel):
    """One wrapper: its class, and the arguments that follow the environment.

    A document has the name alone, ``"gymnasium.wrappers:ClipAction"``, or a table with the
    arguments: ``{ wrapper = "gymnasium.wrappers:ClipReward", min_reward = -1, max_reward = 1 }``.

    Attributes:
        wrapper: ``module:Class``.
        arguments: Keyword arguments: strings, numbers, booleans, lists and tables.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    wrapper: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_document(cls, value: object) -> object:
        if isinstance(value, WrapperConfig):
            return value
        name, arguments = named_class(value, NAME, _EXAMPLE)
        return {"wrapper": name, "arguments": arguments}

    @model_serializer
    def _to_document(self) -> str | dict[str, Any]:
        return {NAME: self.wrapper, **self.arguments} if self.arguments else self.wrapper

    @property
    def module(self) -> str:
        """The module that holds the class."""
        return self.wrapper.partition(":")[0]

    @property
    def class_name(self) -> str:
        """The name of the class in its module."""
        return self.wrapper.partition(":")[2]


Wrappers = Annotated[tuple[WrapperConfig, ...], Field(max_length=MOST_WRAPPERS)]
"""In the order in which they are applied: the last one is the outermost."""


def named(wrappers: Sequence[WrapperConfig]) -> str:
    """Wrappers for people: ``shaping:Progress, gymnasium.wrappers:ClipReward``."""
    return ", ".join(config.wrapper for config in wrappers)
