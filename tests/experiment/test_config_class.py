from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.config_class import require_config


@dataclass(frozen=True)
class Sound:
    uses_replay: ClassVar[bool] = True
    gamma: float = 0.9
    widths: tuple[int, ...] = (64, 64)
    clip: float | None = None


@dataclass
class Thawed:
    gamma: float = 0.9


@dataclass(frozen=True)
class Bare:
    gamma: float
    rate: float
    clip: float = 1.0


@dataclass(frozen=True)
class Odd:
    inner: Sound = field(default_factory=Sound)


@dataclass(frozen=True)
class Unknown:
    gamma: Nothing = 1.0  # type: ignore[name-defined]  # noqa: F821


@dataclass(frozen=True)
class Raising:
    def __post_init__(self) -> None:
        raise ValueError("rate is missing")


def test_a_frozen_dataclass_of_plain_defaults_will_do() -> None:
    require_config(Sound, "own.py:Mine")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (int, "its config must be a class with @dataclass(frozen=True), not <class 'int'>"),
        (Sound(), "its config must be a class"),
        (Thawed, "Thawed must be frozen"),
        (Bare, "Bare has no default for gamma, rate"),
        (Odd, "Odd.inner cannot be written in TOML"),
        (Unknown, "Unknown cannot be read from a table: "),
        (Raising, "Raising cannot be read from a table: rate is missing"),
    ],
)
def test_another_class_is_refused_with_what_is_wrong(config: object, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_config(config, "own.py:Mine")

    assert str(refused.value).startswith("own.py:Mine: ")
    assert said in str(refused.value)
