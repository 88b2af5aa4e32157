"""The command that is suggested for one with a wrong word."""

import shlex

import pytest

from tinyqueue.cli.corrected import corrected
from tinyqueue.errors import ConfigError, RunDirectoryError, UnknownNameError


def test_only_the_wrong_word_is_replaced():
    error = ConfigError("old", wrote="Pong-v4", instead=["ALE/Pong-v5", "--set", "a.b=0"])
    words = ["train", "Pong-v4", "--runs-dir", "my runs", "--players", "3"]

    assert shlex.split(corrected(error, words) or "") == [
        *("tinyqueue", "train", "ALE/Pong-v5", "--set", "a.b=0"),
        *("--runs-dir", "my runs", "--players", "3"),
    ]


@pytest.mark.parametrize(
    "error",
    [
        RunDirectoryError("no run"),
        ConfigError("a value"),
        UnknownNameError("environment", "zzz", ["CartPole-v1"]),
        UnknownNameError("environment", "CartPoel-v1", ["CartPole-v1"]),
    ],
)
def test_without_a_better_word_for_one_that_was_typed_there_is_none(error):
    assert corrected(error, ["train", "zzz"]) is None


def test_of_two_equal_words_none_is_replaced():
    error = ConfigError("unknown", wrote="pong", instead=["ALE/Pong-v5"])
    assert corrected(error, ["train", "--runs-dir", "pong", "pong"]) is None


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("train pong --players 1", "train ALE/Pong-v5 --players 1"),
        ("train CartPoel-v1 --seed 7", "train CartPole-v1 --seed 7"),
        ("train --seed 7 cartpole-impal", "train --seed 7 cartpole-impala"),
        ("evalute runs/pole/1 -n 3", "evaluate runs/pole/1 -n 3"),
    ],
)
def test_a_refused_command_is_answered_with_the_whole_one_to_write(tinyqueue, typed, suggested):
    refused = tinyqueue(*typed.split())

    assert refused.code == 1
    assert refused.err.endswith(f"?\nWrite instead:\n  tinyqueue {suggested}\n")


def test_an_old_id_is_answered_with_a_command_that_keeps_the_options(tinyqueue):
    refused = tinyqueue("train", "PongNoFrameskip-v4", "--max-env-steps", 1000)

    program, *words = shlex.split(refused.err.splitlines()[-1])
    assert program == "tinyqueue"
    assert words[:4] == ["train", "ALE/Pong-v5", "--set", "environment.atari.sticky=0.0"]
    assert words[-2:] == ["--max-env-steps", "1000"]
