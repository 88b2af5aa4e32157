"""Environments of the grammar of faults end in time, named and whole: a handful of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from grammar import MOMENTS, SLOTS, Sentence, grow, module_of
from hundred import sentences, try_sentence
from kinds import KINDS, Kind, Place

EACH_PLACE = [(kind, place) for kind in KINDS for place in kind.places]


@pytest.mark.cases
@pytest.mark.integration
@pytest.mark.parametrize("sentence", sentences(3, seed=11), ids=str)
def test_an_environment_of_the_grammar_ends_named_and_leaves_nothing(
    sentence: Sentence, tmp_path: Path
) -> None:
    outcome = try_sentence(sentence, tmp_path)

    assert not outcome.faults, outcome.said


@pytest.mark.parametrize(
    ("kind", "place"), EACH_PLACE, ids=lambda part: getattr(part, "name", part)
)
def test_every_fault_is_a_module_that_python_reads(kind: Kind, place: Place) -> None:
    for slot in SLOTS:
        for moment in MOMENTS:
            source = module_of(Sentence(kind, place, slot, moment, 20), "Grown")

            compile(source, "grown.py", "exec")
            assert kind.code.splitlines()[0] in source


def test_the_grammar_reaches_every_kind_in_every_place() -> None:
    dice = random.Random(0)

    grown = {(one.kind, one.place) for one in (grow(dice) for _ in range(5000))}

    assert grown == set(EACH_PLACE)


def test_a_seed_draws_the_same_environments_again_and_no_two_alike() -> None:
    drawn = sentences(100, seed=3)

    assert drawn == sentences(100, seed=3) != sentences(100, seed=4)
    assert len(set(drawn)) == 100
