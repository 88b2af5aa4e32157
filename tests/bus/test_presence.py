"""Given players of which one falls silent: it is named within ten seconds, and no other is."""

from __future__ import annotations

import pytest

from tinyqueue.bus.presence import MOST_PLAYERS, Presence


@pytest.fixture
def presence() -> Presence:
    return Presence(2.0)


def play(presence: Presence, players: list[str], since_s: float, until_s: float) -> None:
    """Each sends a batch that took 0.1 s, five times a second."""
    for fifth in range(int(5 * since_s), int(5 * until_s)):
        for player in players:
            presence.heard("ada", player, fifth / 5, 0.1)


def test_who_sends_nothing_while_others_play_has_fallen_silent_and_is_named_once(
    presence: Presence,
) -> None:
    play(presence, ["a", "b", "c"], 0, 2)
    play(presence, ["a", "c"], 2, 9)
    assert presence.fallen_silent(9.0) == []

    play(presence, ["a", "c"], 9, 10)
    (found,) = presence.fallen_silent(10.0)

    assert str(found) == "player b of login ada, 8 s after a batch of 0.1 s at most"
    assert presence.fallen_silent(11.0) == []


def test_who_is_heard_again_may_fall_silent_again(presence: Presence) -> None:
    play(presence, ["a", "b"], 0, 1)
    play(presence, ["a"], 1, 11)
    assert len(presence.fallen_silent(11.0)) == 1

    play(presence, ["b"], 11, 12)
    play(presence, ["a"], 12, 31)
    # It was silent for ten seconds before, and may be so again.
    assert presence.fallen_silent(31.0) == []
    play(presence, ["a"], 31, 33)
    assert len(presence.fallen_silent(33.0)) == 1


def test_what_came_before_an_evaluation_ended_does_not_count(presence: Presence) -> None:
    play(presence, ["a", "b"], 0, 1)
    play(presence, ["a"], 1, 30)

    assert presence.fallen_silent(30.0, since_s=25.0) == []
    assert len(presence.fallen_silent(33.0, since_s=25.0)) == 1


def test_nobody_is_named_while_all_wait(presence: Presence) -> None:
    play(presence, ["a", "b"], 0, 1)

    assert presence.fallen_silent(20.0) == []


def test_who_waits_for_room_while_others_get_little_of_it_is_not_named(presence: Presence) -> None:
    play(presence, ["a", "b", "c"], 0, 1)
    for second in range(1, 10):
        presence.heard("ada", "ac"[second % 2], float(second), 0.1)

    assert presence.fallen_silent(10.0) == []


def test_a_slow_player_has_the_time_of_five_of_its_batches(presence: Presence) -> None:
    presence.heard("ada", "b", 0.0, 3.0)
    play(presence, ["a"], 0, 16)

    assert presence.fallen_silent(14.0) == []
    assert [found.player for found in presence.fallen_silent(15.0)] == ["b"]


def test_players_that_a_login_invents_hide_no_other_login_s(presence: Presence) -> None:
    for n in range(2 * MOST_PLAYERS):
        presence.heard("mallory", f"ghost-{n}", n / 500, 0.1)
    presence.heard("bob", "b", 4.0, 0.1)
    play(presence, ["a"], 4, 12)
    for n in range(10 * MOST_PLAYERS):
        presence.heard("mallory", f"ghost-{n % 64}", 12.0, 0.1)

    found = presence.fallen_silent(12.5)
    assert len(found) > 2
    assert "bob" in [one.login for one in found[:2]]


def test_a_player_whose_process_has_ended_is_not_live_and_not_silent(presence: Presence) -> None:
    play(presence, ["a", "b"], 0.0, 2.0)
    presence.ended("ada", "a")
    presence.ended("ada", "nobody")
    presence.ended("nobody", "b")

    assert len(presence) == 1
    play(presence, ["b"], 2.0, 30.0)
    assert presence.fallen_silent(30.0) == []


def test_nobody_is_named_once_the_others_have_stopped_too(presence: Presence) -> None:
    """As when the broker is away, or all players have been ended."""
    play(presence, ["a", "b"], 0, 5)
    play(presence, ["a"], 5, 9)

    assert presence.fallen_silent(17.0) == []
