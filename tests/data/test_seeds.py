"""Given places in a run that draw random numbers."""

from __future__ import annotations

from tinyqueue.data.seeds import generator, seed32


def _draws(run_seed: int, *path: int) -> tuple[int, ...]:
    return tuple(generator(run_seed, *path).integers(2**60, size=4).tolist())


def test_the_same_place_draws_the_same_numbers() -> None:
    assert _draws(7, 1, 2) == _draws(7, 1, 2)


def test_different_places_and_runs_draw_different_numbers() -> None:
    places = [(7,), (7, 0), (7, 1), (7, 0, 0), (7, 0, 1), (7, 1, 0), (8,), (8, 1), (0,), (0, 0)]

    assert len({_draws(*place) for place in places}) == len(places)


def test_small_seeds_fit_31_bits_and_differ() -> None:
    seeds = [seed32(7, slot) for slot in range(1000)]

    assert all(0 <= seed < 2**31 for seed in seeds)
    assert len(set(seeds)) == 1000
    assert seeds[3] == seed32(7, 3)
