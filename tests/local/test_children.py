"""Processes that a player's environments start end with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PLAYER = """
import multiprocessing, os, subprocess, sys, time
from tinyqueue.local.children import allow_children, bind_children, end_children

multiprocessing.current_process()._config["daemon"] = True
allow_children()
bind_children()
forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
forked.start()
started = subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
print(forked.pid, started.pid, flush=True)
sys.stdin.readline()
end_children()
print("ended", flush=True)
os._exit(0)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel")


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid):
    deadline_s = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return not is_alive(pid)


@pytest.fixture
def player():
    with subprocess.Popen(
        [sys.executable, "-c", PLAYER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        yield process, pids
        process.kill()
        for pid in filter(is_alive, pids):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.integration
def test_all_of_them_end_as_the_player_ends(player):
    process, pids = player
    assert all(map(is_alive, pids))
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ended\n"
    assert all(map(wait_until_gone, pids))


@pytest.mark.integration
def test_forked_ones_end_when_the_player_is_killed(player):
    process, (forked, _) = player
    process.kill()
    assert wait_until_gone(forked)
