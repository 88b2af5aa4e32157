"""``tinyqueue sessions``."""

import json

import numpy as np
import pytest

from tinyqueue.cli.session_table import tick_rows
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.wire.sessions import encode_session

STAGE = "a" * 32


def session(n: int) -> SessionBatch:
    """Six ticks of two slots; slot 1 goes on from step 7, ends at tick 1 and begins anew."""
    ended = np.zeros((6, 2), bool)
    ended[1, 1] = True
    valid = np.ones((6, 2), bool)
    valid[2, 1] = False
    return SessionBatch(
        header=Header("pole", "1", STAGE, n, "user", "host 77", 40 + n, 1, epsilons=(0.4, 0.01)),
        observations={"": np.full((7, 2, 3), n, np.float32)},
        actions={"": np.arange(12, dtype=np.int8).reshape(6, 2)},
        rewards=np.full((6, 2), 1.5, np.float32),
        terminated=ended,
        truncated=np.zeros((6, 2), bool),
        valid=valid,
        extras={"q_taken": np.full((6, 2), -0.25, np.float32)},
        carry={"episode_steps": np.array([0, 7], np.int32)},
    )


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "pole" / "1"
    folder.mkdir(parents=True)
    with Ledger(folder / "sessions.db", experiment="pole", run="1") as ledger:
        for n in range(5):
            batch = session(n)
            encoded = encode_session(batch)
            body = StoredBody(encoded.body, encoded.headers)
            ledger.record([Mark(f"{STAGE}:{n}", "accepted", env_steps=11, body=body)])
        ledger.trim(before=2)
        ledger.record([Mark(f"{STAGE}:9", "dropped", "stale")])
    return folder


def damage(run, value: int) -> None:
    path = run / "sessions.db"
    data = bytearray(path.read_bytes())
    data[data.index(np.full(12, value, np.float32).tobytes())] ^= 1
    path.write_bytes(data)


def test_what_a_checkpoint_does_not_say_is_none_in_the_table():
    batch = session(0)
    said = np.where(batch.valid, np.float32(0.5), np.float32(np.nan))

    rows = tick_rows(batch, 1, range(4), {"value": said})

    assert [row["checkpoint_value"] for row in rows] == [0.5, 0.5, None, 0.5]


def test_the_newest_are_listed_with_what_they_are(tinyqueue, run):
    found = json.loads(tinyqueue("sessions", "list", run, "--last", 3, "--json").out)

    assert found["held"] == 4
    assert [entry["number"] for entry in found["sessions"]] == [3, 4, 5]
    newest = found["sessions"][-1]
    assert newest["batch_id"] == f"{STAGE}:4"
    assert (newest["policy_version"], newest["ticks"], newest["slots"]) == (44, 6, 2)
    assert (newest["env_steps"], newest["player"]) == (11, "host 77")
    assert "4 session batches are held" in tinyqueue("sessions", "list", run).out


def test_one_session_batch_is_held_and_several_are(tinyqueue, tmp_path):
    encoded = encode_session(session(0))
    with Ledger(tmp_path / "sessions.db", experiment="pole", run="1") as ledger:
        body = StoredBody(encoded.body, encoded.headers)
        ledger.record([Mark(f"{STAGE}:0", "accepted", env_steps=11, body=body)])

    assert "1 session batch is held" in tinyqueue("sessions", "list", tmp_path).out


@pytest.mark.parametrize(
    ("document", "is_said"),
    [
        ("[learner]\nlog_sessions_every_s = 5.0", True),
        ("[learner]\nlog_sessions_every_s = 5.0\n[replay]", False),
        ("[learner", False),
    ],
)
def test_that_a_run_without_a_replay_keeps_little_is_said(tinyqueue, run, document, is_said):
    (run / "experiment.toml").write_text(document)

    listed = tinyqueue("sessions", "list", run)

    assert listed.code == 0
    assert ("one session batch in 5 s is kept" in listed.out) is is_said


def test_every_tick_of_a_slot_is_shown(tinyqueue, run):
    shown = json.loads(tinyqueue("sessions", "show", run, "--slot", 1, "--json").out)

    assert (shown["number"], shown["policy_version"], shown["epsilon"]) == (5, 44, 0.01)
    ticks = shown["ticks"]
    assert [row["episode_step"] for row in ticks] == [7, 8, None, 0, 1, 2]
    assert [row["end"] for row in ticks] == ["", "terminated", "autoreset", "", "", ""]
    assert [row["action"] for row in ticks] == [1, 3, 5, 7, 9, 11]
    assert (ticks[0]["reward"], ticks[0]["q_taken"]) == (1.5, -0.25)


def test_a_batch_is_found_by_number_or_id_and_ticks_are_chosen(tinyqueue, run):
    for which in (3, f"{STAGE}:2"):
        said = tinyqueue("sessions", "show", run, which, "--ticks", "-2:", "--json")
        shown = json.loads(said.out)
        assert (shown["number"], [row["tick"] for row in shown["ticks"]]) == (3, [4, 5])


def test_a_person_reads_a_table(tinyqueue, run):
    out = tinyqueue("sessions", "show", run, "--slot", 1).out

    assert "policy version 44" in out
    for word in ("step", "reward", "Q(s,a)", "terminated", "autoreset", "-0.25"):
        assert word in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "RUN", "77"], "holds numbers 2 to 5"),
        (["show", "RUN", "1"], "does not hold session batch 1"),
        (["show", "RUN", f"{STAGE}:0"], "does not hold"),
        (["show", "RUN", "--slot", "2"], "there is no slot 2"),
        (["show", "RUN", "--ticks", "3"], "is not A:B"),
        (["show", "RUN", "--ticks", "5:2"], "--ticks 5:2 leaves no tick"),
        (["show", "RUN", "--ticks", "6:", "--json"], "this batch has ticks 0 to 5"),
        (["show", "RUN", "--with-checkpoint"], "no checkpoint yet"),
        (["list", "nowhere"], "nowhere does not exist"),
        (["list", "."], "is not a run directory"),
        (["export", "RUN", "out.zip"], "does not end in .npz"),
        (["export", "RUN", "out.npz", "77"], "does not hold session batch 77"),
        (["export", "RUN", "absent/out.npz"], "No such file"),
    ],
)
def test_what_is_not_there_is_said(tinyqueue, run, tmp_path, words, said):
    found = tinyqueue("sessions", *[run if word == "RUN" else word for word in words])

    assert found.code == 1
    assert said in found.err
    assert not (tmp_path / "out.npz").exists()


def test_an_export_is_read_by_numpy_alone(tinyqueue, run, tmp_path):
    said = tinyqueue("sessions", "export", run, tmp_path / "out.npz")

    assert "with 4 session batches" in said.out
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert arrays["numbers"].tolist() == [2, 3, 4, 5]
        assert arrays["3/observations"].tolist() == np.full((7, 2, 3), 2.0).tolist()
        assert arrays["3/actions"].dtype == np.int8
        assert arrays["3/extras/q_taken"][0, 0] == -0.25
        assert arrays["3/carry/episode_steps"].tolist() == [0, 7]
        header = json.loads(str(arrays["3/header"]))
        assert (header["n"], header["policy_version"], header["epsilons"]) == (2, 42, [0.4, 0.01])


def test_chosen_batches_are_exported_and_no_file_is_overwritten(tinyqueue, run, tmp_path):
    file = tmp_path / "out.npz"
    assert tinyqueue("sessions", "export", run, file, 5, 3).code == 0
    before = file.read_bytes()

    again = tinyqueue("sessions", "export", run, file)

    assert again.code == 1
    assert "already exists" in again.err
    assert file.read_bytes() == before
    with np.load(file) as arrays:
        assert arrays["numbers"].tolist() == [3, 5]


def test_a_damaged_batch_is_left_out_and_named(tinyqueue, run, tmp_path):
    damage(run, value=3)

    said = tinyqueue("sessions", "export", run, tmp_path / "out.npz")
    assert "with 3 session batches" in said.out
    assert "session batch 4 is left out" in said.err
    assert "session batch 4" in tinyqueue("sessions", "show", run, 4).err


def test_it_is_read_while_its_learner_writes(tinyqueue, run):
    with Ledger(run / "sessions.db", experiment="pole", run="1") as ledger:
        encoded = encode_session(session(5))
        body = StoredBody(encoded.body, encoded.headers)
        ledger.record([Mark(f"{STAGE}:5", "accepted", env_steps=11, body=body)])
        shown = json.loads(tinyqueue("sessions", "show", run, "--json").out)
    assert shown["number"] == 6
