"""Whole games of one policy: which episodes count, and what they cost."""

from collections import Counter
from typing import Any, ClassVar, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from memory_graphs import alternating_graph
from onnx import TensorProto, helper
from watching import Watcher

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import EnvironmentMismatchError, UnknownNameError
from tinyqueue.evaluation.games import play_games
from tinyqueue.evaluation.max_q import MaxQ
from tinyqueue.evaluation.table import make_table, table_of
from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig
from tinyqueue.policy.heads import Greedy, evaluation_head
from tinyqueue.policy.runner import PolicyRunner

ACTIONS = {"": Leaf("uint8", (), n=2)}

FLOAT = TensorProto.FLOAT
LEFT_RIGHT = Greedy(make_table(EnvironmentConfig(id="CartPole-v1"), 1).actions.space, "logits")


class Lengths(gymnasium.Env):
    """Its n-th building plays games of ``n`` steps, observes n, and rewards each step with 2."""

    observation_space = spaces.Box(0, 1000, (4,))
    action_space = spaces.Discrete(2)
    built = 0
    counts: ClassVar[Counter[tuple[int, str]]] = Counter()

    def __init__(self):
        Lengths.built += 1
        self.name, self.at = Lengths.built, 0

    def reset(self, *, seed=None, options=None):
        assert seed is not None
        Lengths.counts[self.name, "resets"] += 1
        self.at = 0
        return np.full(4, self.name, np.float32), {}

    def step(self, action):
        Lengths.counts[self.name, "steps"] += 1
        self.at += 1
        return np.full(4, self.name, np.float32), 2.0, self.at == self.name, False, {}


@pytest.fixture
def lengths():
    Lengths.built = 0
    Lengths.counts = Counter()
    gymnasium.register("Lengths-v0", cast(Any, Lengths))
    yield EnvironmentConfig(id="Lengths-v0")
    del gymnasium.registry["Lengths-v0"]


@pytest.fixture
def one_cart():
    """CartPole without a vectorised form."""
    gymnasium.register("OneCart-v0", cast(Any, CartPoleEnv))
    yield
    del gymnasium.registry["OneCart-v0"]


def linear(weight, sums=False):
    """Logits = observation · weight; with ``sums``, summed over all ticks so far."""
    nodes = [helper.make_node("MatMul", ["observation:", "weight:w"], ["x"])]
    inputs = [
        helper.make_tensor_value_info("observation:", FLOAT, ["B", 4]),
        helper.make_tensor_value_info("weight:w", FLOAT, [4, 2]),
    ]
    outputs = [helper.make_tensor_value_info("output:logits", FLOAT, ["B", 2])]
    if sums:
        inputs.append(helper.make_tensor_value_info("state:n", FLOAT, ["B", 2]))
        outputs.append(helper.make_tensor_value_info("next_state:n", FLOAT, ["B", 2]))
        nodes.append(helper.make_node("Add", ["state:n", "x"], ["next_state:n"]))
        nodes.append(helper.make_node("Identity", ["next_state:n"], ["output:logits"]))
    else:
        nodes.append(helper.make_node("Identity", ["x"], ["output:logits"]))
    graph = helper.make_graph(nodes, "policy", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return PolicyRunner(model.SerializeToString(), {"w": np.asarray(weight, np.float32)}, 1)


IDLE = np.zeros((4, 2))
BALANCES = np.outer([0.1, 0.5, 4.0, 1.0], [-1, 1])
"""Pushes to the side that the pole falls to: holds CartPole up to its limit."""


def play(config, policy, episodes, slots, seed=0, head=LEFT_RIGHT, **kwargs):
    return play_games(config, policy, head, episodes=episodes, slots=slots, seed=seed, **kwargs)


def test_a_policy_that_balances_reaches_the_limit_in_every_game():
    games = play(EnvironmentConfig(id="CartPole-v1"), linear(BALANCES), 12, 5)
    assert games.returns.tolist() == [500.0] * 12
    assert games.lengths.tolist() == [500] * 12
    assert games.returns.dtype == np.float32
    assert games.lengths.dtype == np.int32
    assert games.seconds > 0


def test_returns_of_a_vectorised_environment_stop_at_each_games_end():
    games = play(EnvironmentConfig(id="CartPole-v1"), linear(IDLE), 50, 20)
    assert len(set(games.lengths.tolist())) > 1
    assert games.lengths.max() < 15  # Always pushing left topples the pole at once.
    assert np.array_equal(games.returns, games.lengths)


def test_the_first_game_of_each_slot_counts_however_long(lengths):
    games = play(lengths, linear(IDLE), 4, 4)
    assert games.lengths.tolist() == [1, 2, 3, 4]
    assert games.returns.tolist() == [2.0, 4.0, 6.0, 8.0]


def test_a_slot_costs_nothing_after_its_game(lengths):
    play(lengths, linear(IDLE), 40, 40)
    assert [Lengths.counts[n, "steps"] for n in range(1, 41)] == list(range(1, 41))
    assert all(Lengths.counts[n, "resets"] == 1 for n in range(1, 41))


def test_the_last_wave_plays_only_the_games_that_are_missing(lengths):
    games = play(lengths, linear(IDLE), 5, 3)
    assert games.lengths.tolist() == [1, 2, 3, 1, 2]
    assert [Lengths.counts[n, "resets"] for n in (1, 2, 3)] == [2, 2, 1]


def test_no_more_environments_are_built_than_games(lengths):
    play(lengths, linear(IDLE), 2, 100)
    assert Lengths.built == 2


@pytest.mark.parametrize("name", ["CartPole-v1", "OneCart-v0"])
@pytest.mark.parametrize("sample", [False, True], ids=["greedy", "sampled"])
def test_the_same_seed_plays_the_same_games(one_cart, name, sample):
    config = EnvironmentConfig(id=name)
    head = evaluation_head("categorical", make_table(config, 1).actions.space, sample=sample)
    once, again, other = (
        play(config, linear(IDLE), 20, 8, seed=seed, head=head).lengths.tolist()
        for seed in (1, 1, 2)
    )
    assert once == again
    assert once != other


@pytest.mark.parametrize("name", ["CartPole-v1", "OneCart-v0"])
def test_waves_play_different_games(one_cart, name):
    games = play(EnvironmentConfig(id=name), linear(IDLE), 20, 10)
    assert games.lengths[:10].tolist() != games.lengths[10:].tolist()


def test_recurrent_state_begins_at_nought_in_every_wave_and_stays_with_its_slot(lengths):
    chosen = []

    class Watching(Greedy):
        def act(self, tick, outputs, mask=None):
            chosen.append(outputs["logits"][:, 0].tolist())
            return super().act(tick, outputs, mask)

    watching = Watching(make_table(lengths, 1).actions.space, "logits")
    Lengths.built = 15  # Games of 16, 17 and 18 steps; the shortest fills one stretch.
    play(lengths, linear(np.tile([0.25, 0], (4, 1)), sums=True), 4, 3, head=watching)
    all_three = [[16 * k, 17 * k, 18 * k] for k in range(1, 17)]
    two_left = [[17 * k, 18 * k] for k in (17, 18)]
    second_wave = [[16 * k] for k in range(1, 17)]
    assert chosen == [*all_three, *two_left, *second_wave]


def test_the_previous_action_and_reward_are_nought_at_first_and_stay_with_their_slot(lengths):
    seen = []

    class Watching(Greedy):
        def act(self, tick, outputs, mask=None):
            rewards = outputs["logits"][:, 1] * 1024 - 512
            seen.append([outputs["logits"][:, 0].tolist(), rewards.tolist()])
            return super().act(tick, outputs, mask)

    watching = Watching(make_table(lengths, 1).actions.space, "logits")
    policy = PolicyRunner(alternating_graph(), {"w": np.full(1, 1 / 1024, np.float32)}, 1)
    Lengths.built = 15  # Games of 16 and 17 steps; one stretch has 16 ticks.
    play(lengths, policy, 3, 2, head=watching)
    first, action_0, action_1 = ([[a] * 2, [r] * 2] for a, r in ((0, 0), (0, 2), (1, 2)))
    assert seen[:16] == [first, action_1, *[action_0, action_1] * 7]
    assert seen[16] == [[0.0], [2.0]]
    assert seen[17:19] == [[[0.0], [0.0]], [[1.0], [2.0]]]


def test_progress_is_told_as_games_finish(lengths):
    told = []
    play(lengths, linear(IDLE), 40, 40, on_progress=told.append)
    assert told == [16, 32, 40]


def test_what_progress_raises_ends_the_games(lengths):
    def lease_lost(done):
        raise TimeoutError("lease")

    with pytest.raises(TimeoutError, match="lease"):
        play(lengths, linear(IDLE), 40, 40, on_progress=lease_lost)


def test_an_unknown_environment_is_refused():
    with pytest.raises(UnknownNameError, match="CartPole-v1"):
        play(EnvironmentConfig(id="CartPole-v3"), linear(IDLE), 1, 1)


def test_a_given_environment_is_played_in_and_left_open(lengths):
    Lengths.built = 4
    environment = gymnasium.make("Lengths-v0", disable_env_checker=True)
    table = table_of(environment, lengths)

    for _ in range(2):
        games = play(lengths, linear(IDLE), 2, 9, table=table)
        assert games.lengths.tolist() == [5, 5]

    assert Lengths.built == 5
    assert environment.step(0)[1] == 2.0


def test_max_q_is_the_mean_over_the_states_of_games_that_are_still_on(lengths):
    watched = MaxQ(ACTIONS)
    # Q values (n, −n) in a game of n steps, which observes n: Σ n² / Σ n, whatever is watched
    # beside the games that are on.
    weight = np.array([[0.25, -0.25]] * 4)

    def as_q(outputs, on, mask):
        watched({"q": outputs["logits"]}, on, mask)

    games = play(lengths, linear(weight), 20, 20, watch=as_q)

    assert watched.states == games.lengths.sum() == 210
    assert watched.mean == pytest.approx(2870 / 210)


def test_max_q_of_no_state_is_no_number():
    assert np.isnan(MaxQ(ACTIONS).mean)


def test_max_q_is_that_of_valid_actions():
    watched = MaxQ(ACTIONS)
    q = np.array([[5, 1], [2, 3], [9, 9]], np.float32)
    mask = np.array([[False, True], [True, True], [True, True]])

    watched({"q": q}, np.array([True, True, False]), mask)

    assert watched.mean == (1 + 3) / 2


def test_a_stack_begins_anew_in_every_wave_and_stays_with_its_slot():
    gymnasium.register("Count-v0", cast(Any, Counting))
    try:
        watcher = Watcher(2)
        play(EnvironmentConfig(id="Count-v0", stack=3), watcher, 3, 2)
    finally:
        del gymnasium.registry["Count-v0"]

    stacks = [seen[""][..., 0].tolist() for seen in watcher.seen]
    first_wave = [[[max(t - 2, 0), max(t - 1, 0), t]] * 2 for t in range(20)]
    second_wave = [[stack] for (stack, _) in first_wave]
    assert stacks == first_wave + second_wave


class Counting(gymnasium.Env):
    """Games of 20 steps that observe their number."""

    observation_space = spaces.Box(0, 1000, (4,))
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.at = 0
        return np.zeros(4, np.float32), {}

    def step(self, action):
        self.at += 1
        return np.full(4, self.at, np.float32), 0.0, self.at == 20, False, {}


@pytest.mark.parametrize(
    "crop", [None, (0, 0, 0, 0)], ids=["in ale-py's vector environment", "in wrappers"]
)
def test_a_game_of_lives_is_played_to_its_end_and_each_life_begins_anew(crop):
    pytest.importorskip("ale_py")
    atari = AtariConfig(sticky=0, noop_max=0, life_loss=True, size=32, crop=crop)
    watcher = Watcher(4)

    (length,) = play(
        EnvironmentConfig(id="ALE/Breakout-v5", stack=2, atari=atari),
        watcher,
        1,
        1,
        head=Greedy({"": Leaf("uint8", (), n=4)}, "logits"),
    ).lengths

    assert 100 < length < 400  # An idle player loses five balls, each served by FIRE.
    begun = [tick for tick, (age,) in enumerate(watcher.ticks) if age == 0]
    assert len(begun) == 5
    stacks = [watcher.seen[tick][""][0] for tick in begun]
    assert all(np.array_equal(oldest, newest) for oldest, newest in stacks)


def test_games_of_another_environment_than_the_policys_are_refused_with_both():
    wider = {"": Leaf("float32", (6,))}, {"": Leaf("uint8", (), n=2)}
    with pytest.raises(EnvironmentMismatchError, match=r"observations of CartPole.*\[4\].*\[6\]"):
        play(EnvironmentConfig(id="CartPole-v1"), linear(IDLE), 1, 1, spaces=wider)

    table = make_table(EnvironmentConfig(id="CartPole-v1"), 1)
    more = table.observations.space, {"": Leaf("uint8", (), n=3)}
    with pytest.raises(EnvironmentMismatchError, match=r"actions of CartPole.*'n': 2.*'n': 3"):
        play(EnvironmentConfig(id="CartPole-v1"), linear(IDLE), 1, 1, spaces=more)


def test_an_environment_with_its_own_clock_plays_one_game_at_a_time():
    config = EnvironmentConfig(id="CartPole-v1", realtime=True, max_episode_steps=20)
    head = Greedy(make_table(config, 1).actions.space, "logits")
    runner = PolicyRunner(alternating_graph(), {"w": np.full(1, 1 / 1024, np.float32)}, 1)

    games = play_games(config, runner, head, episodes=4, slots=4, seed=1)
    held = play_games(
        config.model_copy(update={"realtime": False}), runner, head, episodes=4, slots=1, seed=1
    )

    np.testing.assert_array_equal(games.returns, held.returns)
    assert games.pace is not None
    assert games.pace.steps == games.lengths.sum()
    assert 0 < games.pace.p50_ms <= games.pace.worst_ms
    assert held.pace is None
