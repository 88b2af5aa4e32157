"""One rollout wherever a policy plays: stage, evaluation games and ``load(RUN).act``."""

import copy
from types import SimpleNamespace
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from balancing import BALANCES, graph
from gymnasium import spaces
from masked import ACTIONS, Doors
from memory_graphs import everything_graph, two_leaves_graph
from watching import Watcher

from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.envs.spaces import Layout
from tinyqueue.errors import EnvironmentMismatchError
from tinyqueue.evaluation.games import play_games
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learned import Learned
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import Greedy
from tinyqueue.policy.rollout import Rollout, Stacks
from tinyqueue.policy.runner import PolicyRunner

STACK, STATE, TURNS = 3, 5, 4
LENGTHS = (7, 11)


class Walk(gymnasium.Env):
    """A point on a circle; episodes of 7 and 11 steps in turn, the same whatever the seed."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(TURNS)
    actions: list[int] = []  # noqa: RUF012

    def __init__(self):
        self.episode = -1

    def reset(self, *, seed=None, options=None):
        self.episode += 1
        self.at, self.angle = 0, float(self.episode % 2)
        return self._seen(), {}

    def step(self, action):
        Walk.actions.append(int(action))
        self.at, self.angle = self.at + 1, self.angle * 1.3 + action - 1.5
        reward = float(np.sin(2 * self.angle))
        return self._seen(), reward, self.at == LENGTHS[self.episode % 2], False, {}

    def _seen(self):
        return np.array([np.cos(self.angle), np.sin(self.angle)], np.float32)


@pytest.fixture
def walk():
    gymnasium.register("Walk-v0", cast(Any, Walk))
    Walk.actions = []
    yield spec_of(EnvironmentConfig(id="Walk-v0", stack=STACK), Walk, state={"n": [STATE]})
    del gymnasium.registry["Walk-v0"]


def spec_of(config, environment, ticks=5, slots=1, state=None):
    return PlaySpec(
        experiment="walk",
        run="a-run",
        environment=config,
        observation_space=space_to_json(Layout(environment.observation_space, "o").space),
        action_space=space_to_json(Layout(environment.action_space, "a").space),
        head="categorical",
        state=state or {},
        ticks=ticks,
        slots=slots,
        graph_sha256="0" * 64,
    )


def policy():
    rng = np.random.default_rng(5)
    weights = {
        "w": rng.normal(size=(STACK * 2 + 2 + STATE, STATE)).astype(np.float32),
        "u": rng.normal(size=(STATE, TURNS)).astype(np.float32),
    }
    return everything_graph(2, STACK, STATE, TURNS), weights


def by_a_stage(spec):
    graph, weights = policy()
    stage = Stage(spec, user="u", player="p", seed=1, head=Greedy(spec.actions, "logits"))
    runner, actions = PolicyRunner(graph, weights, 1), []
    while len(actions) < sum(LENGTHS):
        # New weights between two batches change nothing that is remembered.
        runner = runner.with_weights(weights, 2)
        batch = stage.play(runner, "task")
        actions += batch.actions[""][:, 0][batch.valid[:, 0]].tolist()
    return actions[: sum(LENGTHS)]


def by_games(spec):
    graph, weights = policy()
    head, runner = Greedy(spec.actions, "logits"), PolicyRunner(graph, weights, 1)
    play_games(spec.environment, runner, head, episodes=2, slots=1, seed=1)
    return Walk.actions[:]


def learned_of(spec, graph, weights):
    """As of a checkpoint."""
    return Learned(
        SimpleNamespace(
            graph=graph, weights=weights, spec=spec.model_dump(), version=1, env_steps=0
        )
    )


def by_learned(spec):
    learned = learned_of(spec, *policy())
    environment, played = Walk(), []
    for _ in LENGTHS:
        observation, _ = environment.reset()
        state, reward, over = None, 0.0, False
        while not over:
            action, state = learned.act(observation, state, reward)
            played.append(action)
            observation, reward, over, _, _ = environment.step(action)
    return played


def test_a_policy_that_looks_back_plays_the_same_everywhere(walk):
    # Given a recurrent policy that sees three frames, its last action and its last reward
    by_all = [play(walk) for play in (by_games, by_learned, by_a_stage)]
    # Then two episodes are the same, action by action, and not all of one kind
    assert by_all[0] == by_all[1] == by_all[2]
    assert len(by_all[0]) == sum(LENGTHS)
    assert len(set(by_all[0])) > 1


class Crane(gymnasium.Env):
    """Acts in two leaves; counts its steps."""

    observation_space = spaces.Box(0, 100, (1,), np.float32)
    action_space = spaces.Dict(
        {"arm": spaces.Box(-np.inf, np.inf, (2,), np.float32), "gear": spaces.Discrete(9)}
    )

    def reset(self, *, seed=None, options=None):
        self.at = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.at += 1
        # Given an action as its own space has it
        assert action["arm"].tolist() == [self.at, -self.at]
        assert action["gear"] == self.at
        return np.array([self.at], np.float32), 0.5, self.at == 4, False, {}


class Counts:
    """Acts with the number of the step: a head of two leaves."""

    outputs, extras, epsilons = ("logits",), {}, ()

    def __init__(self):
        self.seen = []

    def begin(self, ticks, slots, rng, env_steps):
        self.slots = slots

    def act(self, tick, outputs, mask=None):
        self.seen.append(outputs["logits"][0].tolist())
        at = np.full(self.slots, 1 + int(outputs["logits"][0, 2]))
        arm = np.stack([at, -at], axis=1).astype(np.float32)
        return {"arm": arm, "gear": at.astype(np.uint8)}

    def recorded(self):
        return {}


@pytest.fixture
def crane():
    gymnasium.register("Crane-v0", cast(Any, Crane))
    yield spec_of(EnvironmentConfig(id="Crane-v0"), Crane, ticks=3, slots=2)
    del gymnasium.registry["Crane-v0"]


def test_every_leaf_of_an_action_is_played_recorded_and_seen_again(crane):
    head, runner = Counts(), PolicyRunner(two_leaves_graph(), {}, 1)
    stage = Stage(crane, user="u", player="p", seed=1, head=head)
    first, second = (copy.deepcopy(stage.play(runner, "task")) for _ in range(2))

    assert first.actions["arm"][:, 0].tolist() == [[1, -1], [2, -2], [3, -3]]
    assert first.actions["gear"].tolist() == [[1, 1], [2, 2], [3, 3]]
    assert second.carry["previous_action/arm"].tolist() == [[3, -3], [3, -3]]
    assert second.carry["previous_action/gear"].tolist() == [3, 3]
    # The fourth step ends the episode; its final row still sees it, the next episode nothing.
    assert head.seen[:6] == [[k, -k, k] for k in (0, 1, 2, 3, 4, 0)]
    stage.close()


def test_games_are_played_in_every_leaf_of_an_action(crane):
    head, runner = Counts(), PolicyRunner(two_leaves_graph(), {}, 1)
    games = play_games(crane.environment, runner, head, episodes=2, slots=2, seed=1)
    assert games.lengths.tolist() == [4, 4]


def test_an_action_of_several_leaves_is_returned_by_path(crane, monkeypatch):
    monkeypatch.setattr("tinyqueue.learned.greedy_head", lambda of, actions: Counts())
    learned = learned_of(crane, two_leaves_graph(), {})

    action, state = learned.act(np.zeros(1))
    again, _ = learned.act(np.ones(1), state, 0.5)

    assert (action["arm"].tolist(), action["gear"]) == ([1, -1], 1)
    assert state["previous:action/arm"].tolist() == [[1, -1]]
    assert again["gear"] == 2


WHERE = {"observation": "doors", "info": "info:action_mask"}


@pytest.fixture(params=WHERE)
def doors(request):
    """An environment with masks, and a policy for it that likes the last door best."""
    environment = Doors(request.param)
    spec = spec_of(
        EnvironmentConfig(id="Doors-v0", action_mask=WHERE[request.param]), Doors("info")
    )
    learned = learned_of(spec, graph(), {"w": BALANCES})
    learned.runner = Watcher(ACTIONS, 3)
    return environment, learned


def test_what_was_learned_takes_valid_actions_only(doors):
    environment, learned = doors
    observation, info = environment.reset(seed=1)
    over = False
    while not over:
        action, _ = learned.act(observation, mask=info.get("action_mask"))
        # The best door where it is open; a closed one raises.
        assert (action == 3) == bool(environment.open[3])
        observation, _, over, _, info = environment.step(action)
    assert {path for seen in learned.runner.seen for path in seen} == {"step"}


@pytest.mark.parametrize("mask", [None, [0, 0, 0, 0]], ids=["none", "all zero"])
def test_a_mask_that_lacks_or_allows_nothing_is_refused(doors, mask):
    _, learned = doors
    observation = {"step": np.zeros(1)} | ({} if mask is None else {"doors": mask})
    with pytest.raises(EnvironmentMismatchError, match=r"the action mask .*(doors|action_mask)"):
        learned.act(observation, mask=mask)


def test_rollouts_forget_and_keep_slot_by_slot():
    actions = {"": Leaf("uint8", (), n=5), "arm": Leaf("float32", (2,))}
    rollout = Rollout(actions, {"h": (1,)}, 3)
    rollout.state["h"][:] = [[1], [2], [3]]
    arm = np.arange(6, dtype=np.float32).reshape(3, 2)
    rollout.remember({"": np.array([1, 2, 3]), "arm": arm}, np.array([4.0, 5.0, 6.0]))

    rollout.forget(np.array([False, True, False]))
    rollout.keep(np.array([False, True, True]))

    assert rollout.state["h"].tolist() == [[0], [3]]
    assert rollout.previous_actions[""].tolist() == [0, 3]
    assert rollout.previous_actions["arm"].tolist() == [[0, 0], [4, 5]]
    assert rollout.previous_rewards.tolist() == [0, 6]


def test_a_stack_is_filled_by_an_episodes_first_frame():
    stacks = Stacks({"": Leaf("uint8", ())}, 2, 3)
    seen = [
        stacks.push({"": np.array(frame, np.uint8)}, np.array(begun))[""].tolist()
        for frame, begun in (([1, 5], [True, True]), ([2, 6], [False, True]))
    ]
    assert seen == [[[1, 1, 1], [5, 5, 5]], [[1, 1, 2], [6, 6, 6]]]


def test_a_stack_of_one_is_the_frame_itself():
    frames = {"": np.zeros(2)}
    assert Stacks({"": Leaf("uint8", ())}, 2, 1).push(frames, np.ones(2, bool)) is frames
