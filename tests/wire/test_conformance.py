"""Messages that conform pass; of those that do not, the first fault is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import MessageError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.stage import Stage
from tinyqueue.policy.spec_contract import contract_of
from tinyqueue.wire.conformance import Conformance
from tinyqueue.wire.recorded import Recorded, read_recorded, recorded
from tinyqueue.wire.sessions import SESSION_TYPE, decode_session, encode_session


class Leaning:
    """A runner that pushes left or right at random."""

    version, env_steps = 3, 0
    state_shapes: dict[str, tuple[int, ...]] = {}  # noqa: RUF012
    uses_previous = False

    def run(self, observations: Any, state: Any, previous: Any = None) -> Any:
        return {"logits": np.zeros((len(observations[""]), 2), np.float32)}, {}


@pytest.fixture(scope="module")
def spec() -> PlaySpec:
    return PlaySpec.model_validate(
        {
            "experiment": "pole",
            "run": "c" * 32,
            "environment": {"id": "CartPole-v1"},
            "observation_space": {
                "": {"dtype": "float32", "shape": [4], "n": 0, "low": None, "high": None}
            },
            "action_space": {
                "": {"dtype": "uint8", "shape": [], "n": 2, "low": None, "high": None}
            },
            "head": "categorical",
            "ticks": 12,
            "slots": 3,
            "graph_sha256": "0" * 64,
        }
    )


@pytest.fixture(scope="module")
def played(spec: PlaySpec) -> list[SessionBatch]:
    """Ten batches of one stage, in which episodes end, by the library's own player."""
    stage = Stage(spec, user="rack", player="host:1", seed=5)

    def copies(batch: SessionBatch) -> SessionBatch:
        message = encode_session(batch)
        return decode_session(message.body, message.headers)

    found = [copies(stage.play(Leaning(), "t1")) for _ in range(10)]
    stage.close()
    assert any((batch.terminated[-1]).any() for batch in found), "no episode ends at a border"
    return found


def message(batch: SessionBatch, headers: Any = None, **properties: Any) -> Recorded:
    encoded = encode_session(batch)
    known = {
        "content_type": SESSION_TYPE,
        "message_id": batch.header.batch_id,
        "correlation_id": batch.header.task,
        "user_id": batch.header.user,
    }
    return Recorded(known | properties, encoded.headers | (headers or {}), encoded.body)


@pytest.fixture
def checks(spec: PlaySpec) -> Conformance:
    return Conformance(contract_of(spec, needs_carry=True), spec.version)


def test_what_the_librarys_own_player_plays_conforms(checks, played):
    for batch in played:
        checks.check(message(batch))


def test_numbers_of_info_are_those_of_the_spec(spec):
    contract = contract_of(spec.model_copy(update={"info": ("x", "y")}), needs_carry=True)
    assert contract.info == 2


def test_a_batch_that_comes_again_and_one_after_a_gap_conform(checks, played):
    for n in (0, 1, 1, 4, 5):
        checks.check(message(played[n]))


def changed(batch: SessionBatch, name: str, change: Callable[[Any], Any]) -> SessionBatch:
    """The batch with one array changed: ``rewards``, ``carry/previous_reward``."""
    group, slash, path = name.partition("/")
    whole: Any = getattr(batch, group)
    whole = {**whole, path: change(whole[path].copy())} if slash else change(whole.copy())
    return replace(batch, **{group: whole})


def plus_one_in_slot_1(array: Any) -> Any:
    array[(..., 1) if array.ndim == 1 else (0, 1)] += 1
    return array


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("observations/", r"continuity: observations/, slot 1, between …:0 and …:1"),
        ("carry/episode_steps", "continuity: carry/episode_steps, slot 1"),
        ("carry/previous_reward", "continuity: carry/previous_reward, slot 1"),
    ],
)
def test_a_batch_that_does_not_go_on_where_the_last_one_ended_is_named(checks, played, name, said):
    checks.check(message(played[0]))
    with pytest.raises(MessageError, match=said):
        checks.check(message(changed(played[1], name, plus_one_in_slot_1)))


def test_a_tick_that_should_be_invalid_after_an_end_is_named(checks, played):
    at = next(n for n, batch in enumerate(played) if batch.terminated[-1].any())
    checks.check(message(played[at]))

    def all_valid(valid: Any) -> Any:
        valid[0] = True
        return valid

    with pytest.raises(MessageError, match="autoreset"):
        checks.check(message(changed(played[at + 1], "valid", all_valid)))


@pytest.mark.parametrize(
    ("headers", "properties", "said"),
    [
        ({"schema": 2}, {}, "schema: "),
        ({"ticks": "12"}, {}, "header: ticks = '12' is not a whole number"),
        ({"policy_version": 9}, {}, "header: policy_version = 9 in the headers, 3 in the body"),
        ({}, {"content_type": "text/plain"}, "type: content type 'text/plain'"),
        ({}, {"message_id": "x"}, "malformed: message_id = 'x', and the body says"),
        ({}, {"user_id": "other"}, "malformed: user_id = 'other'"),
        ({}, {"expiration": "1000"}, "expiration: "),
    ],
)
def test_wrong_headers_and_properties_are_named(checks, played, headers, properties, said):
    with pytest.raises(MessageError, match=said):
        checks.check(message(played[0], headers, **properties))


def test_a_header_that_is_missing_is_named(checks, played):
    sound = message(played[0])
    headers = {name: value for name, value in sound.headers.items() if name != "env_steps"}
    with pytest.raises(MessageError, match="header: env_steps is missing"):
        checks.check(replace(sound, headers=headers))


def test_another_spec_and_a_missing_carry_are_named(checks, played):
    other = replace(played[0], header=replace(played[0].header, spec_version=1))
    with pytest.raises(MessageError, match="spec: spec_version 1 is not"):
        checks.check(message(other))
    with pytest.raises(MessageError, match="missing: carry lacks episode_steps"):
        checks.check(message(replace(played[0], carry={})))


def test_a_file_gives_its_messages_and_says_where_it_breaks_off(played):
    messages = [message(batch) for batch in played[:3]]
    data = b"".join(recorded(m.properties, m.headers, m.body) for m in messages)

    assert list(read_recorded(data)) == messages
    assert list(read_recorded(b"")) == []
    for cut, said in ((data[:-1], "no message at byte"), (data + b"\x01", "is no array")):
        found: Iterator[Recorded] = read_recorded(cut)
        with pytest.raises(MessageError, match=said):
            list(found)
