"""Where a schedule reaches 0: from there on, training has no effect."""

from __future__ import annotations

from dataclasses import dataclass

_STOPS_TRAINING = ("learning_rate", "clip")
"""Settings that go to their ``…_end`` over ``anneal_steps``: at 0 the weights stop changing."""


@dataclass(frozen=True)
class Horizon:
    """The env step from which nothing is learned.

    Attributes:
        env_steps: ``algorithm.anneal_steps``.
        settings: The settings that are 0 then: ``learning_rate``, ``clip``.
    """

    env_steps: int
    settings: tuple[str, ...]


def horizon(config: object) -> Horizon | None:
    """The horizon of an algorithm's config; None if it never stops learning."""
    env_steps = getattr(config, "anneal_steps", 0)
    ending = tuple(
        name
        for name in _STOPS_TRAINING
        if getattr(config, name, None) and getattr(config, f"{name}_end", None) == 0
    )
    return Horizon(env_steps, ending) if env_steps and ending else None


def beyond_horizon(config: object, max_env_steps: int | None) -> str:
    """The warning for a run that continues after its horizon; empty for any other.

    Args:
        config: The algorithm's.
        max_env_steps: Where the run ends; None: when it reaches its target score.
    """
    found = horizon(config)
    if found is None or (max_env_steps is not None and max_env_steps <= found.env_steps):
        return ""
    names = " and ".join(f"algorithm.{name}" for name in found.settings)
    falls = "falls" if len(found.settings) == 1 else "fall"
    if max_env_steps is None:
        goes = "this run has no last env step"
        write = f"--max-env-steps {found.env_steps}, or --set algorithm.anneal_steps=N"
    else:
        goes = f"this run goes to {max_env_steps:,}"
        write = f"--set algorithm.anneal_steps={max_env_steps}"
    return (
        f"{names} {falls} to 0 at {found.env_steps:,} env steps (algorithm.anneal_steps), and "
        f"{goes}: nothing is learned after that. Write {write}."
    )
