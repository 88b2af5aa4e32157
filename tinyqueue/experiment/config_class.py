"""What the config dataclass of an algorithm or model must be, so that a table can be checked."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass

from pydantic import TypeAdapter

from tinyqueue.errors import ConfigError

_FIELDS = "Fields are bool, int, float, str, Literal, None, or tuples of these."


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
        defaults = vars(config())
        TypeAdapter(config).validate_python({})
    except Exception as error:  # Pydantic's own, a NameError of an annotation, or the user's.
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{where}: {config.__name__} cannot be read from a table: {reason} {_FIELDS}"
        ) from None
    odd = [key for key, value in defaults.items() if not _is_plain(value)]
    if odd:
        raise ConfigError(
            f"{where}: {config.__name__}.{odd[0]} cannot be written in TOML. {_FIELDS}"
        )


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
