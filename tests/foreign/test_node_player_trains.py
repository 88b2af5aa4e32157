"""Given the real learner: the Node.js player of the examples trains CartPole, and ends cleanly."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import PRESET, Cluster, Process

EXAMPLE = Path(__file__).parents[2] / "examples" / "players" / "node"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example's folder, with its packages; a copy if they have to be installed first."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    if (EXAMPLE / "node_modules").exists():
        yield EXAMPLE
        return
    folder = tmp_path_factory.mktemp("node")
    for file in EXAMPLE.iterdir():
        shutil.copy(file, folder)
    # Without a registry it says so at once, instead of trying for minutes.
    command = ["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries=0"]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    except subprocess.TimeoutExpired:
        pytest.skip("its packages cannot be fetched: no answer for minutes")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"its packages cannot be installed: {error.stderr[-300:]}")
    yield folder
    # 300 MB: ONNX Runtime for every system.
    shutil.rmtree(folder)


def play(cluster: Cluster, folder: Path, name: str, *options: str) -> Process:
    services = {
        "TINYQUEUE_BROKER_URL": cluster.broker_url,
        "TINYQUEUE_REDIS_URL": cluster.redis_url,
    }
    command = ["node", str(folder / "player.mjs"), *options]
    process = Process(name, command, os.environ | services, cluster.folder / f"{name}.log")
    cluster._processes.append(process)
    return process


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_cartpole_is_learned_from_its_sessions_alone(cluster: Cluster, node: Path) -> None:
    """Every batch is accepted, what was recorded conforms, and SIGTERM ends it in order."""
    messages = cluster.folder / "messages.bin"
    learner = cluster.learner(
        "--json", "--stop-at-return", "150", "--set", "evaluation.here_after_s=0"
    )
    cluster.until(lambda: cluster.redis.exists(f"tinyqueue:{PRESET}:head"), "weights")
    player = play(cluster, node, "node", "--record", str(messages))

    assert learner.wait(240.0) == 0, learner.printed + player.printed
    player.terminate()
    assert player.wait(15.0) == 0, player.printed
    played = json.loads(player.printed.splitlines()[-1])

    outcome = json.loads(learner.printed.splitlines()[-1])
    assert outcome["ended"] == "solved", outcome
    assert outcome["fresh_mean"] >= 130
    run = cluster.run_path()
    count = json.loads(cluster.tinyqueue("info", str(run), "--json").stdout)[PRESET]["count"]
    assert not count["set_aside"], count
    assert count["accepted"] >= 10
    assert played["batches"] >= count["accepted"]
    for where in (("--run", str(run)), ("--experiment", PRESET)):
        said = cluster.tinyqueue("conformance", str(messages), *where)
        assert said.returncode == 0, said.stderr
        assert re.search(r"\d+ messages of 'cartpole-impala': all conform", said.stdout)
