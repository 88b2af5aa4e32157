"""Sixteen kinds of things that users of such systems reported, each with its right result."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

from case import TRAINS, Case, Command
from terminal import Ended
from whole import runs_in
from words import fails, plays, refused, train

from tinyqueue.run.checkpoints import CheckpointReader

FITTED = (r"\d+ environments? per player", r"\d+ steps? per batch")
"""What was chosen where the user had left it open."""
ONE_OF_ALL = ("--players", "1", "--set", "session.slots=1", "--set", "evaluation.slots=1")
_LEAST_STARTS = 32


def _port() -> dict[str, str]:
    """Below the range from which the system gives ports itself."""
    return {"CASE_PORT": str(random.randrange(10_000, 30_000, 500))}


def _not_solved_by_luck(folder: Path, ended: Sequence[Ended]) -> list[str]:
    """A level that the fresh games contradict is not reached."""
    (run,) = runs_in(folder)
    outcome = json.loads((run / "outcome.json").read_text())
    fresh = outcome["fresh_mean"]
    if outcome["ended"] == "solved" and (fresh is None or fresh < 0):
        return [f"solved, and the fresh games have {fresh}"]
    return []


def _saved_at_the_end(folder: Path, ended: Sequence[Ended]) -> list[str]:
    (run,) = runs_in(folder)
    newest = CheckpointReader(run / "checkpoints").newest()
    if newest is None or newest.env_steps < 30_000:
        return [f"the newest checkpoint is {newest and newest.env_steps}"]
    return [] if newest.env_steps < 40_000 else [f"it went on to {newest.env_steps} env steps"]


def _starts(folder: Path, name: str) -> list[list[list[float]]]:
    """What every process drew that played more than a trial."""
    files = [path.read_text().splitlines() for path in (folder / "draws" / name).glob("*.txt")]
    return [[json.loads(row) for row in rows] for rows in files if len(rows) >= _LEAST_STARTS]


def _players_differ(folder: Path, ended: Sequence[Ended]) -> list[str]:
    starts = _starts(folder, "all")
    if len(starts) < 2:
        return [f"{len(starts)} players have played"]
    faults = []
    for column, generator in enumerate(("np.random", "random")):
        drawn = [{row[column] for row in rows} for rows in starts]
        same = max(len(one & other) for one, other in itertools.combinations(drawn, 2))
        # Of thousands of 32-bit numbers a few are equal by chance (the birthday problem).
        if same > min(map(len, drawn)) // 100:
            faults.append(f"two players drew {same} equal numbers from {generator}")
    return faults


def _repeats(folder: Path, ended: Sequence[Ended]) -> list[str]:
    first, second, other = (_starts(folder, name) for name in ("first", "second", "other"))
    faults = [] if first and first == second else ["one seed gave two different runs"]
    return [*faults, *(["two seeds gave the same run"] if first == other else [])]


def _serial(name: str, seed: int) -> Command:
    words = train("GlobalDraws-v0", "--serial", "--seed", str(seed), steps=2000)
    return Command(words, environment={"CASE_DRAWS": name})


def _script(name: str, command: Command, is_quick: bool = False) -> Case:
    return Case("11 script", name, (), (command,), is_quick=is_quick, copies=(command.words[1],))


GIVEN = (
    plays(
        "01 slow step", "40 ms, all left open", "SlowStep", "slow",
        facts=(r"\b[4-9]\d(\.\d+)? ms", *FITTED, TRAINS), steps=600,
    ),
    refused(
        "01 slow step", "64 × 64 steps asked for", "SlowStep", "slow",
        r"\b[4-9]\d(\.\d+)? ms", r"\b[1-3]\d\d(\.\d+)? s\b", r"session\.(slots|ticks)=\d+",
        more=("--set", "session.slots=64", "--set", "session.ticks=64"), is_quick=True,
    ),
    refused(
        "02 old API", "reset without seed", "OldReset", "calls", "reset", "seed", is_quick=True
    ),
    refused("02 old API", "step of four values", "OldStep", "calls", "step", r"\b(4|four)\b"),
    plays("03 types", "int64 for uint8", "IntForByte", "sights", is_quick=True),
    plays("03 types", "a float for Discrete", "FloatForDiscrete", "sights"),
    plays("04 reward", "an array of one", "RewardArray", "earnings"),
    plays("05 info", "arrays of changing length", "LegalMoves", "reports", is_quick=True),
    plays("05 info", "a number, then None", "Winner", "reports"),
    fails("06 bad reward", "NaN in each episode", "RewardNan", "earnings", "nan", r"slot \d+"),
    Case(
        "06 bad reward", "NaN at each end, later than a trial sees", ("earnings",),
        (
            Command(
                train("LateNan-v0", steps=20_000), ("nan", "reward", r"slot \d+", TRAINS),
                exit_codes=(1,),
            ),
        ),
    ),
    fails(
        "06 bad reward", "NaN always, later than a trial sees", "OnlyNan", "earnings",
        "nan", "reward", r"slot \d+",
    ),
    plays(
        "06 bad reward", "-1e9 for a mistake is clipped", "Fined", "earnings",
        facts=(r"[-−]1e\+?0?9|[-−]1,000,000,000", r"learner\.max_abs_reward", "clip", TRAINS),
    ),
    fails(
        "06 bad reward", "-1e9 is set aside, if so set", "Fined", "earnings",
        r"[-−]1e\+?0?9|[-−]1,000,000,000", r"learner\.max_abs_reward", "set aside",
        more=("--set", 'learner.beyond_max_reward="set aside"'),
    ),
    fails("06 bad reward", "-inf for a mistake", "Forbidden", "earnings", r"[-−]inf"),
    Case(
        "06 bad reward", "a rare fine is no luck", ("earnings",),
        (Command(train("RarelyFined-v0", "--stop-at-return", "38", steps=400_000), within_s=120),),
        _not_solved_by_luck,
    ),
    Case(
        "07 endless", "greedy games never end", ("ends",),
        (
            Command(
                train("Stay-v0", "--stop-at-return", "50", steps=30_000),
                (r"\bgames?\b.*\b(ended|capped|cut)\b.*\b\d[\d,]+ (env )?steps", TRAINS),
                within_s=120,
            ),
            Command(("tinyqueue", "evaluate", "runs/stay-impala/1", "-n", "5"), (r"\b5\b",)),
        ),
        _saved_at_the_end,
    ),
    Case(
        "08 flaky", "once in 4,000 steps", ("falls",),
        (
            Command(
                train("Flaky-v0", "--stop-at-return", "80", steps=100_000),
                ("lost the connection to the simulator", TRAINS), within_s=150,
            ),
            Command(
                ("tinyqueue", "evaluate", "runs/flaky-impala/1", "-n", "100"), (r"\b(9\d|100)\b",)
            ),
        ),
    ),
    plays(
        "09 big frames", "96 × 96 × 3, all left open", "Big", "sights",
        facts=(*FITTED, TRAINS), within_s=120,
    ),
    refused(
        "09 big frames", "32 × 32 of them asked for", "Big", "sights",
        r"\b2[789][\d.,]* ?(\d{3}|[KM]i?B|bytes)", r"\b15,?728,?640|\b1[56](\.\d)? Mi?B",
        r"session\.(slots|ticks)",
        more=("--set", "session.slots=32", "--set", "session.ticks=32"), is_quick=True,
    ),
    Case(
        "10 resume", "beyond the schedule", (),
        (
            Command(
                train(
                    "cartpole-ppo", "--set", "algorithm.anneal_steps=4000",
                    "--stop-at-return", "100000",
                ),
            ),
            Command(
                (
                    "tinyqueue", "train", "--resume", "runs/cartpole-ppo/1",
                    "--max-env-steps", "8000",
                ),
                (r"algorithm\.anneal_steps=\d+",),
            ),
        ),
    ),
    _script(
        "no main guard",
        Command(
            ("python", "unguarded.py"), (r"if __name__ == .__main__.",), ("TOO DEEP",), (1,), 40,
            keeps_run=None,
        ),
        is_quick=True,
    ),
    _script("a main guard", Command(("python", "guarded.py"))),
    _script(
        "a main guard, module not named",
        Command(
            ("python", "guarded.py"), (f"TINYQUEUE_ENVIRONMENT_MODULES|{TRAINS}",),
            exit_codes=(0, 1), keeps_run=None, environment={"CASE_UNNAMED": "1"},
        ),
    ),
    Case(
        "12 pool", "threads", (),
        (
            Command(
                ("celery", "-A", "tinyqueue", "worker", "-Q", "play", "--pool=threads", "-c", "4"),
                ("threads", "prefork"), exit_codes=(1, 2, 69, 70, 78), within_s=30, keeps_run=False,
                environment={"TINYQUEUE_BROKER_URL": "redis://127.0.0.1:1/0"},
            ),
        ),
        is_quick=True,
    ),
    Case(
        "13 chance", "np.random and random, two players", ("chance",),
        (Command(train("GlobalDraws-v0", "--players", "2", steps=30_000)),), _players_differ,
    ),
    Case(
        "13 chance", "the same, --serial", ("chance",),
        (_serial("first", 1), _serial("second", 1), _serial("other", 2)), _repeats,
    ),
    plays(
        "14 slow build", "1.2 s", "SlowBuild", "slow",
        facts=(r"\b1\.[2-6]\d* s", TRAINS), steps=3000, within_s=150,
    ),
    plays(
        "15 one of it", "a port, all left open", "FixedPort", "holders", within_s=120,
        facts=(
            "address already in use", r"session\.slots=1", r"players[= ]1", "evaluation", TRAINS,
        ),
        is_quick=True, variables=_port(),
    ),
    plays(
        "15 one of it", "a port, one of everything", "FixedPort", "holders",
        *ONE_OF_ALL, "--stop-at-return", "12", steps=60_000, within_s=120, variables=_port(),
    ),
    plays(
        "15 one of it", "a port for each", "FixedPort", "holders",
        "--set", 'environment.kwargs={number="{slot}"}', within_s=120, variables=_port(),
    ),
    plays("16 children", "a helper, waited for", "Helper", "parents", within_s=90),
    plays(
        "16 children", "a helper that stays", "LastingHelper", "parents",
        "--set", "session.slots=4", "--set", "evaluation.slots=4", within_s=90,
    ),
)  # fmt: skip
