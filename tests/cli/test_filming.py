"""What is shown while a film is made."""

import io

import pytest
from rich.console import Console

from tinyqueue.cli.filming import filming


def shown(**console):
    """What a film of 1,234 steps shows."""
    file = io.StringIO()
    terminal = Console(file=file, width=80, **console)
    with filming("game 1 of 3", console=terminal, every_s=0.0) as film:
        for _ in range(1234):
            film.tick()
        counted = film.text
        film.writes()
    return file.getvalue(), counted


def test_a_terminal_is_told_of_the_steps_and_of_the_file():
    text, counted = shown(force_terminal=True)

    assert counted == "filming game 1 of 3: 1,234 steps"
    assert "writing the film of game 1 of 3" in text


def test_elsewhere_one_line_says_what_is_filmed():
    assert shown(force_terminal=False)[0] == "filming game 1 of 3\n"


@pytest.mark.parametrize("is_hidden", [True, False])
def test_it_can_be_hidden(is_hidden, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")

    with filming("game 1 of 3", is_hidden=is_hidden) as film:
        film.tick()

    assert (capsys.readouterr().err == "") == is_hidden
