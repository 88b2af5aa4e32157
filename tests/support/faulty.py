"""An environment that does wrong what its plan says: a kind of fault at a place, once or always."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


@dataclass(frozen=True)
class Fault:
    """What goes wrong, where, in which slot, and at which call of that place."""

    kind: str
    place: str
    slot: int
    call: int
    always: bool = False


@dataclass
class World:
    """What all environments of a test have in common."""

    faults: list[Fault] = field(default_factory=list)
    calls: dict[tuple[str, int], int] = field(default_factory=dict)
    built: int = 0
    open: int = 0
    done: int = 0

    def kind(self, place: str, slot: int) -> str:
        """What is to go wrong in this call."""
        call = self.calls[place, slot] = self.calls.get((place, slot), 0) + 1
        for fault in self.faults:
            hit = fault.call == call or (fault.always and call > fault.call)
            if (fault.place, fault.slot) == (place, slot) and hit:
                self.done += 1
                return fault.kind
        return ""


WORLD = World()
"""The one of the test at hand; tests put a new one in its place."""

RAISED: dict[str, type[BaseException]] = {
    "error": RuntimeError, "exit": SystemExit, "os": OSError, "value": ValueError
}  # fmt: skip
GIVEN = ("nan", "shape", "text", "none", "reward", "few", "flag", "hang")


class Nameless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


RAISED["nameless"] = Nameless


class Faulty(gymnasium.Env[Any, Any]):
    """Episodes of 4 steps; observes (building, step + 1) and rewards the number of the step."""

    observation_space = spaces.Box(0, 1e6, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, slot: int = 0, world: World | None = None) -> None:
        self.world = WORLD if world is None else world
        self.slot, self.at = slot, 0
        self.fail("init")
        self.world.built += 1
        self.world.open += 1
        self.name = self.world.built

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.at = 0
        kind = self.fail("reset")
        return self.given(kind), {}

    def step(self, action: Any) -> Any:
        self.at += 1
        kind = self.fail("step")
        observed = self.given(kind)
        if kind == "few":
            return observed, 0.0, False, {}
        reward = "much" if kind == "reward" else float(self.at)
        return observed, reward, "no" if kind == "flag" else self.at == 4, False, {"odd": [kind]}

    def close(self) -> None:
        self.world.open -= 1
        self.fail("close")

    def fail(self, place: str) -> str:
        kind = self.world.kind(place, self.slot)
        if kind in RAISED:
            raise RAISED[kind](f"{kind} in {place}")
        if kind == "hang":
            time.sleep(60)
        return kind

    def given(self, kind: str) -> Any:
        seen = np.array([self.name, self.at], np.float32)
        bad = {"nan": seen * np.nan, "shape": seen[:1], "text": "a frame", "none": None}
        return bad.get(kind, seen)
