"""Given what players claim of episodes: what their rewards add up to counts."""

from dataclasses import replace

import numpy as np
import pytest

from tinyqueue.data.episodes import EpisodeAccumulator, Episodes
from tinyqueue.data.names import EPISODE_STEPS
from tinyqueue.data.seen_episodes import SeenEpisodes
from tinyqueue.data.session import Header, SessionBatch

TICKS, SLOTS = 4, 2


def batch(n, ends=(), rewards=None, episodes=None, stage="a" * 32, carry=None, first_valid=None):
    """A batch of four ticks in two slots, with a reward of 1 per tick; ends are (tick, slot)."""
    terminated = np.zeros((TICKS, SLOTS), bool)
    for tick, slot in ends:
        terminated[tick, slot] = True
    valid = np.ones((TICKS, SLOTS), bool)
    valid[1:] = ~terminated[:-1]
    if first_valid is not None:
        valid[0] = first_valid
    rewards = np.ones((TICKS, SLOTS), np.float32) if rewards is None else rewards
    return SessionBatch(
        header=Header("e", "r", stage, n, "guest", "p", 0, 0),
        observations={},
        actions={},
        rewards=np.asarray(rewards, np.float32),
        terminated=terminated,
        truncated=np.zeros_like(terminated),
        valid=valid,
        carry={} if carry is None else {EPISODE_STEPS: np.array(carry, np.int32)},
        episodes=Episodes.none() if episodes is None else episodes,
    )


def claims(*episodes):
    """Slot, return and length of each."""
    slots, returns, lengths = zip(*episodes, strict=True)
    return Episodes.of(slots, returns, lengths, [0.5] * len(slots))


def told(seen):
    found = seen.episodes
    return list(
        zip(found.slots.tolist(), found.returns.tolist(), found.lengths.tolist(), strict=True)
    )


def test_a_claim_that_is_true_is_left_alone():
    seen = SeenEpisodes().of(batch(0, [(2, 1)], episodes=claims((1, 3.0, 3))))

    assert told(seen) == [(1, 3.0, 3)]
    assert (seen.contradicted, seen.uncounted, seen.text) == (0, 0, "")


def test_a_false_return_is_replaced_by_the_sum_of_the_rewards_and_told():
    seen = SeenEpisodes().of(batch(0, [(2, 1)], episodes=claims((1, 3e6, 3))))

    assert told(seen) == [(1, 3.0, 3)]
    assert seen.contradicted == 1
    assert seen.text == (
        "an episode in slot 1 is said to have a return of 3e+06 in 3 steps, and its rewards add "
        "up to 3 in 3"
    )


def test_a_false_length_is_replaced_too():
    seen = SeenEpisodes().of(batch(0, [(2, 1)], episodes=claims((1, 3.0, 1))))

    assert told(seen) == [(1, 3.0, 3)]
    assert seen.contradicted == 1


def test_an_episode_adds_up_over_batches():
    seen = SeenEpisodes()
    seen.of(batch(0, carry=[0, 0]))
    found = seen.of(batch(1, [(0, 0)], carry=[4, 4], episodes=claims((0, 1e6, 5))))

    assert told(found) == [(0, 5.0, 5)]
    assert found.contradicted == 1


def test_two_episodes_of_a_slot_that_end_in_one_batch_are_apart():
    ended = [(0, 0), (2, 0)]
    found = SeenEpisodes().of(batch(0, ended, episodes=claims((0, 9.0, 1), (0, 9.0, 1))))

    assert told(found) == [(0, 1.0, 1), (0, 1.0, 1)]


def test_after_a_gap_a_claim_counts_that_at_least_half_was_seen_of():
    seen = SeenEpisodes()
    seen.of(batch(0))
    honest = seen.of(batch(3, [(3, 0), (3, 1)], episodes=claims((0, 8.0, 8), (1, 9.0, 9))))

    assert told(honest) == [(0, 8.0, 8)]
    assert (honest.contradicted, honest.uncounted) == (0, 1)


def test_after_a_gap_no_claim_exceeds_what_rewards_have_shown():
    seen = SeenEpisodes()
    seen.of(batch(0))
    ended = [(3, 0), (3, 1)]
    found = seen.of(batch(3, ended, episodes=claims((0, 9.0, 8), (1, -1.0, 8))))

    assert told(found) == []
    assert (found.contradicted, found.uncounted) == (0, 2)


def test_after_a_gap_a_claim_of_fewer_steps_than_were_seen_does_not_count():
    found = SeenEpisodes().of(batch(3, [(3, 0)], episodes=claims((0, 4.0, 3))))

    assert told(found) == []


def test_the_episode_after_one_with_a_gap_is_seen_from_its_start():
    seen = SeenEpisodes()
    found = seen.of(batch(3, [(0, 0), (3, 0)], episodes=claims((0, 500.0, 500), (0, 500.0, 2))))

    assert told(found) == [(0, 2.0, 2)]
    assert (found.contradicted, found.uncounted) == (1, 1)


@pytest.mark.parametrize(
    "known", [{"carry": [0, 0]}, {"first_valid": [False, False]}], ids=["no steps", "autoreset"]
)
def test_an_episode_that_begins_with_a_batch_needs_no_batch_before_it(known):
    steps = 4 if "carry" in known else 3
    given = batch(7, [(3, 0)], episodes=claims((0, 99.0, 99)), **known)
    found = SeenEpisodes().of(given)

    assert told(found) == [(0, float(steps), steps)]


def test_claims_may_be_listed_in_another_order_within_a_tick():
    given = batch(0, [(2, 0), (2, 1)], episodes=claims((1, 3.0, 3), (0, 3.0, 3)))
    info = np.array([[10.0], [20.0]], np.float32)
    given = replace(given, episodes=replace(given.episodes, info_last=info, info_mean=info))
    found = SeenEpisodes().of(given)

    assert told(found) == [(0, 3.0, 3), (1, 3.0, 3)]
    assert found.episodes.info_last.tolist() == [[20.0], [10.0]]
    assert found.contradicted == 0


def test_claims_about_other_slots_than_those_that_ended_say_nothing():
    found = SeenEpisodes().of(batch(0, [(2, 1)], episodes=claims((0, 7.0, 3))))

    assert told(found) == [(1, 3.0, 3)]
    assert found.contradicted == 1


def test_numbers_of_info_go_with_the_episodes_that_count():
    given = batch(3, [(0, 0), (2, 0)], episodes=claims((0, 500.0, 500), (0, 1.0, 1)))
    info = np.array([[10.0], [20.0]], np.float32)
    given = replace(given, episodes=replace(given.episodes, info_last=info, info_mean=info))
    found = SeenEpisodes().of(given)

    assert found.episodes.info_last.tolist() == found.episodes.info_mean.tolist() == [[20.0]]


def test_rewards_before_they_are_clipped_add_up_and_huge_ones_stay_finite():
    given = batch(0, [(3, 0)], episodes=claims((0, 4.0, 4)))
    large = np.full((TICKS, SLOTS), 3e38, np.float32)

    assert told(SeenEpisodes().of(given, given.rewards * 5)) == [(0, 20.0, 4)]
    assert np.isfinite(SeenEpisodes().of(given, large).episodes.returns).all()


def test_what_honest_players_claim_is_what_is_seen():
    rng = np.random.default_rng(3)
    accumulator, seen, ended_last = EpisodeAccumulator(SLOTS), SeenEpisodes(), np.zeros(SLOTS, bool)
    for n in range(50):
        ends = [(t, s) for t in range(TICKS) for s in range(SLOTS) if rng.random() < 0.1]
        ends = [
            (t, s) for t, s in ends if (t - 1, s) not in ends and not (t == 0 and ended_last[s])
        ]
        given = batch(n, ends, rng.normal(size=(TICKS, SLOTS)), first_valid=~ended_last)
        ended_last = given.terminated[-1]
        honest = accumulator.add(given.rewards, given.terminated, given.valid, 0.0, 1.0)
        found = seen.of(replace(given, episodes=honest))
        assert (found.contradicted, found.uncounted) == (0, 0)
        for name in ("slots", "returns", "lengths", "seconds"):
            np.testing.assert_array_equal(getattr(found.episodes, name), getattr(honest, name))


def test_the_stage_that_was_silent_longest_is_forgotten():
    seen = SeenEpisodes(most_slots=2 * SLOTS)
    for stage in ("a", "b", "c"):
        seen.of(batch(0, stage=stage * 32))

    lost = seen.of(batch(1, [(3, 0)], stage="a" * 32, episodes=claims((0, 88.0, 80))))
    kept = seen.of(batch(1, [(3, 0)], stage="c" * 32, episodes=claims((0, 8.0, 8))))
    assert (told(lost), told(kept)) == ([], [(0, 8.0, 8)])
