"""What the config dataclass of an algorithm or model must be, so that a table can be checked."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass

from pydantic import TypeAdapter

from tinyqueue.errors import ConfigError


def require_config(config: object, where: str) -> None:
    """Returns for a frozen dataclass with a default for every field.

    Args:
        config: The class.
        where: Whose it is, for the error.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(config, type) or not is_dataclass(config):
        raise ConfigError(
            f"{where}: its config must be a class with @dataclass(frozen=True), not {config!r}."
        )
    if not config.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise ConfigError(f"{where}: {config.__name__} must be frozen: @dataclass(frozen=True).")
    bare = [
        field.name
        for field in fields(config)
        if field.default is MISSING and field.default_factory is MISSING
    ]
    if bare:
        raise ConfigError(f"{where}: {config.__name__} has no default for {', '.join(bare)}.")
    try:
        TypeAdapter(config)
    except Exception as error:  # Pydantic's own, or a NameError of an annotation.
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{where}: {config.__name__} cannot be read from a table: {reason} "
            "Fields are bool, int, float, str, Literal, or tuples of these."
        ) from None
