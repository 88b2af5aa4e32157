"""``tinyqueue new``: a working file of one's own to begin with, and its test."""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import os
import re
import shlex
from importlib.resources import files
from pathlib import Path

import click

from tinyqueue.cli.output import print_text
from tinyqueue.errors import ConfigError

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,47}")
_USED = ("features", "observation_inputs", "import_keras")
# Names that a starter uses itself.


@click.command(name="new")
@click.argument("kind", type=click.Choice(["environment", "algorithm", "model"]))
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    help="Where to write; made if missing. Default: the working folder.",
)
def new(kind: str, name: str, folder: Path) -> None:
    """Write an environment, algorithm or model to begin with, and its test.

    Both files work as they are, and nothing is overwritten. NAME may be like ThisName or this_name:
    the file has the one, the class the other.

    \b
    tinyqueue new environment SnowMaze
    tinyqueue new algorithm MyLearner --folder agents
    """
    words = _words(kind, name)
    module = words["NAME"]
    path, test = folder / f"{module}.py", folder / f"test_{module}.py"
    _require_free(kind, module, path, test)
    command = _command(kind, words, path)
    words["COMMAND"] = command
    _write({path: _filled(f"{kind}.py", words), test: _filled(f"test_{kind}.py", words)})
    print_text(f"written: {path} and {test}", "next:", f"  {command}")
    print_text(f"  {shlex.join(['python', '-m', 'pytest', str(test)])}")


def _words(kind: str, name: str) -> dict[str, str]:
    """What stands in a starter → what is written in its place."""
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    class_name = "".join(part[:1].upper() + part[1:] for part in re.split("_+", name))
    is_word = keyword.iskeyword(module) or keyword.iskeyword(class_name)
    if not _NAME.fullmatch(name) or is_word or module in _USED:
        known = re.sub("[^A-Za-z0-9_]+", "_", name).strip("_0123456789")
        raise ConfigError(
            f"{name!r} cannot name a Python module and a class in it: use 1–48 letters, digits and "
            "'_', beginning with a letter, and no word of the language.",
            wrote=name,
            instead=[known] if _NAME.fullmatch(known) and not keyword.iskeyword(known) else [],
        )
    return {"NAME": module, "CLASS": class_name, "ENVIRONMENT": f"{class_name}-v0"}


def _require_free(kind: str, module: str, *paths: Path) -> None:
    """Returns if nothing would be overwritten, and no other module goes by this name.

    Raises:
        ConfigError: A file exists, or an environment would be hidden by an installed module.
    """
    for path in paths:
        if os.path.lexists(path):
            raise ConfigError(
                f"{path} exists, and is not overwritten. Choose another name or --folder."
            )
    if importlib.util.find_spec(module) is not None:
        raise ConfigError(
            f"there is a module {module} already, and Python could import it in place of this "
            f"{kind}. Choose another name, such as my_{module}."
        )


def _command(kind: str, words: dict[str, str], path: Path) -> str:
    """The command that trains with what was written."""
    if kind == "environment":
        place = shlex.quote(str(path.parent))
        variables = f"TINYQUEUE_ENVIRONMENT_MODULES={words['NAME']} PYTHONPATH={place}"
        return f"{variables} tinyqueue train {words['ENVIRONMENT']}"
    name = words["CLASS"] if kind == "algorithm" else words["NAME"]
    return shlex.join(["tinyqueue", "train", "CartPole-v1", "--set", f"{kind}.name={path}:{name}"])


def _filled(starter: str, words: dict[str, str]) -> str:
    text = (files("tinyqueue.cli") / "starters" / f"{starter}.txt").read_text(encoding="utf-8")
    return re.sub("|".join(words), lambda found: words[found[0]], text)


def _write(texts: dict[Path, str]) -> None:
    """Writes all files, or none.

    Raises:
        ConfigError: One cannot be written.
    """
    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        raise ConfigError(f"nothing was written: {error.strerror} ({error.filename}).") from error
