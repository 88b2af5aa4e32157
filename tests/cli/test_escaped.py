"""Whichever command shows it, a terminal obeys nothing that others have sent."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import structlog
from balancing import graph, spec, version
from hostile import OBEYED, TEXTS, obeyed
from published_status import STATUS

import tinyqueue.cli
from tinyqueue.cli.logs import log_as_before, log_to_file, log_to_stderr
from tinyqueue.cli.main import cli
from tinyqueue.errors import TinyqueueError
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.printable import MOST_OF_TRACEBACK
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore

ALL = "]0;pwned ".join(OBEYED)
TEXTS = [*TEXTS, *(ALL[start : start + 900] for start in range(0, len(ALL), 900))]


@pytest.mark.parametrize("text", TEXTS)
def test_errors(tinyqueue, monkeypatch, text):
    @click.command()
    def fails():
        raise TinyqueueError(f"the player said {text}")

    monkeypatch.setitem(sys.modules, "of_a_test", SimpleNamespace(fails=fails))
    monkeypatch.setitem(cli._lazy, "fails", ("of_a_test:fails", ""))
    said = tinyqueue("fails")

    assert said.code == 1
    assert said.err.startswith("error: the player said")
    assert obeyed(said.err) == []
    assert len(said.err) < 5_000


def test_the_status_and_the_learner_in_redis(tinyqueue, monkeypatch, redis_url):
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", redis_url)
    with connect(redis_url) as store:
        SpecStore(store).publish(spec(), graph())
        WeightStore(store, "pole").publish(version(12))
        for text in TEXTS:
            status = {**STATUS, "environment": text, "run": text, "setbacks": {text: 3}}
            status |= {"remarks": [text], "count": {**STATUS["count"], "dropped": {text: 1}}}
            store.set(Keys("pole").status, json.dumps(status))
            sent = text[:1_000].encode(errors="replace").decode()
            lease = {"holder": sent, "host": sent, "run": sent, "epoch": 1, "since": 1}
            store.hset(Keys("pole").lease, mapping=lease)

            for words in (["info"], ["learner", "status"], ["learner", "stop", "pole"]):
                said = tinyqueue(*words)
                assert said.code == 0, said.err
                assert obeyed(said.out + said.err) == []
                assert len(said.out) < 150_000
            assert obeyed(tinyqueue("info", "--json").out) == []


def test_the_sessions_of_a_run(tinyqueue, tmp_path):
    folder = tmp_path / "pole" / "1"
    folder.mkdir(parents=True)
    with Ledger(folder / "sessions.db", experiment="pole", run="1") as ledger:
        for n, text in enumerate(TEXTS):
            sent = text[:1_000].encode(errors="replace").decode()
            headers = {"player": sent, "policy_version": sent, "ticks": sent, "slots": sent}
            body = StoredBody(b"no batch", headers)
            ledger.record([Mark(f"{'a' * 32}:{n}", "accepted", env_steps=1, body=body)])

    listed = tinyqueue("sessions", "list", folder, "--last", 100)
    shown = tinyqueue("sessions", "show", folder)

    assert listed.code == 0
    assert shown.code == 1
    assert obeyed(listed.out + listed.err + shown.out + shown.err) == []


@pytest.mark.parametrize("text", TEXTS)
def test_the_log_on_a_terminal_and_in_a_file(capsys, tmp_path, text):
    for configure in (log_to_stderr, lambda: log_to_file(tmp_path / "learner.log")):
        configure()
        structlog.get_logger("ours").warning("message set aside", message=text, reason=[text])
        logging.getLogger("library").warning("unknown message %s", text)
        try:
            raise ValueError(text)
        except ValueError:
            structlog.get_logger("ours").exception(text)

    said, kept = capsys.readouterr().err, (tmp_path / "learner.log").read_text()
    for output in (said, kept):
        assert output.count("message set aside") == 1
        assert output.count("unknown message") == 1
        assert obeyed(output) == []
        assert len(output) < 3 * MOST_OF_TRACEBACK


@pytest.mark.parametrize("text", TEXTS[:10])
def test_the_log_of_a_program_that_chose_none(capsys, text):
    log_as_before()
    structlog.get_logger("ours").warning("message set aside", message=text)

    said = capsys.readouterr().out
    assert "message set aside" in said
    assert obeyed(said) == []


CRASHES = """
import threading
import click
from tinyqueue.cli import main

@click.command()
def crashes():
    threading.Thread(target=fail).start()
    fail()

def fail():
    raise ValueError("\\x1b]0;pwned\\x07\\nerror: forged")

main.cli._lazy["crashes"] = ("__main__:crashes", "")
main.program()
"""


@pytest.mark.integration
def test_the_traceback_of_a_crash():
    done = subprocess.run(
        [sys.executable, "-c", CRASHES, "crashes"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.count(r"ValueError: \x1b]0;pwned\x07") == 2
    assert obeyed(done.stderr) == []
    assert "\nerror: forged" not in done.stderr


def test_no_command_prints_past_it():
    """Only one module may print: with ``click`` or ``rich`` another would not be escaped."""
    for file in Path(tinyqueue.cli.__file__).parent.glob("*.py"):
        text = file.read_text()
        if file.name not in ("output.py", "terminal.py", "main.py"):
            assert "click.echo" not in text, file
            assert "click.secho" not in text, file
        assert " Console(" not in text, file
