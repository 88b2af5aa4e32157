"""Recorded messages are checked against a spec, and the first fault is named."""

from __future__ import annotations

from pathlib import Path

from pole import _batch

from tinyqueue.wire.recorded import recorded
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

SAMPLE = str(Path(__file__).parents[2] / "samples/pong")


def test_a_message_of_another_experiment_is_named_with_its_place(tinyqueue, tmp_path):
    file = tmp_path / "messages.bin"
    encoded = encode_session(_batch())
    properties = {"content_type": SESSION_TYPE}
    file.write_bytes(recorded(properties, encoded.headers, encoded.body))

    said = tinyqueue("conformance", str(file), "--run", SAMPLE)

    assert said.code == 1
    assert f"message 1 of {file} does not conform: experiment: 'pole' is not 'pong-try'" in said.err


def test_a_file_that_is_none_and_a_spec_that_is_not_given_are_refused(tinyqueue, tmp_path):
    file = tmp_path / "messages.bin"
    file.write_bytes(b"")
    assert "holds no message" in tinyqueue("conformance", str(file), "--run", SAMPLE).err
    file.write_bytes(b"\xff")
    assert "is no array" in tinyqueue("conformance", str(file), "--run", SAMPLE).err
    assert "give either --run RUN or --experiment" in tinyqueue("conformance", str(file)).err
