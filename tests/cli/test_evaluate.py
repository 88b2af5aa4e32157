"""``tinyqueue evaluate``."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from balancing import BALANCES, FALLS, checkpoint, spec, trained_run
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from tinyqueue.cli import games as cli_games
from tinyqueue.evaluation import games
from tinyqueue.evaluation.games import Games
from tinyqueue.experiment.environment import EnvironmentConfig


def test_the_newest_version_plays_greedy_games(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs")

    said = tinyqueue("evaluate", run, "-n", 7)

    assert said.code == 0
    assert "CartPole-v1, version 10 at 1,000 env steps" in said.out
    assert "return 500.0 ± 0.0 over 7 games" in said.out


def test_json_is_one_object(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs")

    result = json.loads(tinyqueue("evaluate", run, "-n", 5, "--json").out)

    assert result["run"] == str(run)
    assert result["environment"] == "CartPole-v1"
    assert (result["count"], result["mean"], result["minimum"]) == (5, 500.0, 500.0)
    assert (result["policy"], result["policy_version"]) == ("greedy", 10)


@pytest.mark.parametrize(
    ("alone", "slots"), [({}, 7), ({"entangled": True}, 1), ({"single": True}, 1)]
)
def test_games_of_what_a_process_may_have_one_of_are_played_in_turn(
    tinyqueue, tmp_path, monkeypatch, alone, slots
):
    balances = checkpoint(1000, BALANCES)
    environment = {**balances.spec["environment"], **alone}
    run = trained_run(
        tmp_path / "runs", replace(balances, spec={**balances.spec, "environment": environment})
    )
    played = []

    def play_games(*args, **kwargs):
        played.append(kwargs["slots"])
        return games.play_games(*args, **kwargs)

    monkeypatch.setattr(cli_games, "play_games", play_games)
    assert tinyqueue("evaluate", run, "-n", 7).code == 0

    assert played == [slots]


@pytest.mark.parametrize(
    ("options", "env_steps"),
    [((), 2000), (("--best",), 1000), (("--checkpoint", "000000001000"), 1000)],
)
def test_a_checkpoint_can_be_chosen(tinyqueue, tmp_path, options, env_steps):
    run = trained_run(
        tmp_path / "runs", checkpoint(1000, BALANCES, score=480.0), checkpoint(2000, FALLS)
    )
    chosen = [run / "checkpoints" / word if word.isdigit() else word for word in options]

    result = json.loads(tinyqueue("evaluate", run, "-n", 3, "--json", *chosen).out)

    assert result["env_steps"] == env_steps
    assert (result["mean"] == 500.0) is (env_steps == 1000)


def test_the_seed_decides_the_games(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    means = [
        json.loads(tinyqueue("evaluate", run, "-n", 50, "--json", "--seed", seed).out)["mean"]
        for seed in (1, 1, 2)
    ]

    assert means[0] == means[1] != means[2]


def test_sampling_plays_as_training_does(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    greedy, sampled = (
        json.loads(tinyqueue("evaluate", run, "-n", 50, "--json", *options).out)
        for options in ((), ("--sample",))
    )

    # Equal logits: always left against both ways at random.
    assert greedy["maximum"] < 15 < sampled["mean"]
    assert sampled["policy"] == "sampled"


def test_a_policy_of_q_values_plays_as_much_at_random_as_it_is_told(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, BALANCES, head="epsilon-greedy"))

    greedy, now_and_then, at_random = (
        json.loads(tinyqueue("evaluate", run, "-n", 50, "--json", *options).out)
        for options in ((), ("--epsilon", 0.001), ("--epsilon", 1))
    )

    assert greedy["minimum"] == 500.0
    assert at_random["mean"] < 50 < now_and_then["mean"]
    assert [result["policy"] for result in (greedy, now_and_then, at_random)] == [
        "greedy",
        "epsilon 0.001",
        "epsilon 1",
    ]


@pytest.mark.parametrize(
    ("head", "option", "said"),
    [
        ("categorical", ("--epsilon", 0.1), "has no ε. Leave --epsilon out, or give --sample."),
        ("epsilon-greedy", ("--sample",), "no probabilities to sample from. Leave --sample out"),
    ],
)
def test_the_other_kind_of_policy_is_refused(tinyqueue, tmp_path, head, option, said):
    run = trained_run(tmp_path / "runs", checkpoint(1000, BALANCES, head=head))

    refused = tinyqueue("evaluate", run, *option)

    assert refused.code == 1
    assert f"trained with {head} actions" in refused.err
    assert said in refused.err


def test_a_folder_that_is_no_run_is_named(tinyqueue, tmp_path):
    (tmp_path / "nothing").mkdir()

    said = tinyqueue("evaluate", tmp_path / "nothing")

    assert said.code == 1
    assert "nothing is not a run directory" in said.err


def test_random_play_is_said_beside_the_policys(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs")

    said = tinyqueue("evaluate", run, "-n", 50, "--random")
    result = json.loads(tinyqueue("evaluate", run, "-n", 50, "--random", "--json").out)

    assert "return 500.0 ± 0.0 over 50 games" in said.out
    assert f"random policy {result['random']['mean']:.1f} ± " in said.out
    # 22.2 on average, with a standard deviation of 12 (10,000 games).
    assert 14 < result["random"]["mean"] < 31
    assert result["random"]["count"] == 50
    assert "human_normalised" not in result
    assert "mean_max_q" not in result
    assert "protocol" not in result


def test_a_value_policy_says_what_it_expected(tinyqueue, tmp_path):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS, head="epsilon-greedy"))

    said = tinyqueue("evaluate", run, "-n", 5)
    result = json.loads(tinyqueue("evaluate", run, "-n", 5, "--json").out)

    assert result["mean_max_q"] == 0.0
    assert result["states"] == 5 * result["mean_length"]
    assert f"mean max Q 0.000 in the {result['states']} states played" in said.out


def test_atari_has_a_human_normalised_score(tinyqueue, tmp_path, monkeypatch):
    # Given a run of Pong, of which the games are not what is tested
    pong = spec().model_copy(update={"environment": EnvironmentConfig(id="ALE/Pong-v5")})
    of_pong = replace(checkpoint(1000, BALANCES), spec=pong.model_dump())
    run = trained_run(tmp_path / "runs", of_pong)
    games = Games(np.array([17, 19], np.float32), np.array([1800, 1700], np.int32), 1.0)
    monkeypatch.setattr("tinyqueue.cli.games.play_games", lambda *_, **__: games)

    said = tinyqueue("evaluate", run, "-n", 2)
    result = json.loads(tinyqueue("evaluate", run, "-n", 2, "--json").out)

    assert result["mean"] == 18.0
    assert result["human_normalised"] == pytest.approx(38.7 / 35.3)
    assert result["human_reference"] == {"random": -20.7, "human": 14.6}
    assert said.out.partition("ALE/")[2].startswith("Pong-v5 (sticky 0.25, frame skip 4), version ")
    assert result["protocol"] == "sticky 0.25, frame skip 4"
    pair = "random -20.7, human 14.6: Wang et al. 2016, without sticky actions"
    assert f"human-normalised 1.096 ({pair})" in said.out


@pytest.fixture
def break_off(monkeypatch):
    """CartPole fails for good, or Ctrl-C comes, in the third wave of a policy that falls."""

    def after(error, steps=24):
        step, counts = CartPoleVectorEnv.step, itertools.count()

        def failing(self, actions):
            if next(counts) >= steps:
                raise error
            return step(self, actions)

        monkeypatch.setattr(CartPoleVectorEnv, "step", failing)

    return after


@pytest.mark.parametrize(
    ("error", "code", "why"),
    [(KeyboardInterrupt(), 130, "Ctrl-C"), (OSError("no simulator"), 1, "OSError: no simulator")],
)
def test_what_finished_is_kept_and_said(tinyqueue, tmp_path, break_off, error, code, why):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    break_off(error)
    plain = tinyqueue("evaluate", run, "-n", 300)

    assert plain.code == code
    assert "200 of 300 games were played" in plain.out
    assert "not all games were played; those that end early are over-represented" in plain.err
    assert why in plain.err


def test_json_says_how_many_of_how_many(tinyqueue, tmp_path, break_off):
    run = trained_run(tmp_path / "runs", checkpoint(1000, FALLS))

    break_off(KeyboardInterrupt())
    found = json.loads(tinyqueue("evaluate", run, "-n", 300, "--json").out)

    assert (found["count"], found["asked"], found["ended_by"]) == (200, 300, "Ctrl-C")


def test_where_no_game_finished_the_reason_alone_is_said(tinyqueue, tmp_path, break_off):
    run = trained_run(tmp_path / "runs", checkpoint(1000, BALANCES))

    break_off(OSError("no simulator"))
    said = tinyqueue("evaluate", run, "-n", 5)

    assert said.code == 1
    assert "CartPole-v1 failed in step: OSError: no simulator" in said.err


def test_how_soon_an_environment_with_a_clock_got_its_actions_is_said(tinyqueue, tmp_path):
    learned = checkpoint(1000, FALLS)
    clock = {**learned.spec["environment"], "realtime": True, "tick_s": 10.0}
    run = trained_run(tmp_path, replace(learned, spec={**learned.spec, "environment": clock}))

    said = tinyqueue("evaluate", run, "-n", 3)
    result = json.loads(tinyqueue("evaluate", run, "-n", 3, "--json").out)

    assert "worst" in said.out
    assert "0 ticks missed, 0 late" in said.out
    assert result["pace"]["steps"] == sum((result["count"] * result["mean_length"],))
