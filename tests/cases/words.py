"""The commands that most cases give, with what is right of them."""

from __future__ import annotations

from collections.abc import Mapping

from case import TRAINS, Case, Command

NO_ADVICE = (r"--resume",)
"""Nobody is told to go on with what cannot work."""


def train(environment: str, *more: str, steps: int = 4000) -> tuple[str, ...]:
    """``tinyqueue train`` of so many env steps, to a level that is never reached."""
    limits = () if "--stop-at-return" in more else ("--stop-at-return", "1e9")
    return ("tinyqueue", "train", environment, "--max-env-steps", str(steps), *limits, *more)


def plays(
    kind: str,
    name: str,
    environment: str,
    module: str,
    *more: str,
    facts: tuple[str, ...] = (TRAINS,),
    steps: int = 4000,
    within_s: float = 120.0,
    is_quick: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Case:
    """It trains to its last env step.

    Args:
        kind, name, is_quick: Of the case.
        environment, module: Class of environments/<module>.py.
        more: Further words of the command.
        facts, within_s: Of the command.
        steps: Env steps.
        variables: More environment variables.
    """
    words = train(f"{environment}-v0", *more, steps=steps)
    command = Command(words, facts, within_s=within_s, environment=variables or {})
    return Case(kind, name, (module,), (command,), is_quick=is_quick)


def refused(
    kind: str,
    name: str,
    environment: str,
    module: str,
    *facts: str,
    more: tuple[str, ...] = (),
    within_s: float = 30.0,
    is_quick: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Case:
    """It is refused at the start, with these facts, and leaves no run."""
    words = train(f"{environment}-v0", *more)
    command = Command(
        words, facts, NO_ADVICE, (1,), within_s, keeps_run=False, environment=variables or {}
    )
    return Case(kind, name, (module,), (command,), is_quick=is_quick)


def fails(
    kind: str,
    name: str,
    environment: str,
    module: str,
    *facts: str,
    more: tuple[str, ...] = (),
    within_s: float = 110.0,
    steps: int = 200_000,
) -> Case:
    """It ends by itself with exit code 1 and these facts, at the start or later."""
    words = train(f"{environment}-v0", *more, steps=steps)
    command = Command(words, facts, NO_ADVICE, (1,), within_s, keeps_run=None)
    return Case(kind, name, (module,), (command,))


def told(
    kind: str,
    name: str,
    environment: str,
    module: str,
    *facts: str,
    more: tuple[str, ...] = (),
    steps: int = 60_000,
    within_s: float = 150.0,
) -> Case:
    """It trains in spite of these facts or ends because of them, and says them either way."""
    words = train(f"{environment}-v0", *more, steps=steps)
    command = Command(words, facts, (), (0, 1), within_s, keeps_run=None)
    return Case(kind, name, (module,), (command,))
