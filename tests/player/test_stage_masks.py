"""Action masks on the playing side: obeyed, sent, and not seen by the policy."""

import copy
from collections import deque
from itertools import pairwise
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from masked import ACTIONS, Doors, Pairs
from pydantic import ValidationError
from watching import Watcher

from tinyqueue.envs.describe import describe
from tinyqueue.envs.masks import Masks
from tinyqueue.errors import ConfigError, EnvironmentFailedError
from tinyqueue.evaluation.games import play_games
from tinyqueue.evaluation.held_out import held_out_states
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import Uniform, evaluation_head

WAYS = {"observation": "doors", "info": "info:action_mask"}
HEADS = {
    "categorical": {},
    "epsilon-greedy": {"schedule": "annealed", "start": 0.5, "end": 0.5, "steps": 1},
}


@pytest.fixture
def doors():
    gymnasium.register("Doors-v0", cast(Any, Doors))

    def config(where="observation", **kwargs):
        return EnvironmentConfig(
            id="Doors-v0", kwargs={"where": where, **kwargs}, action_mask=WAYS[where]
        )

    yield config
    del gymnasium.registry["Doors-v0"]


def stage_of(spec, config, head="categorical", ticks=7, slots=3):
    environment = config.model_dump(exclude={"id"}, exclude_none=True)
    return Stage(
        spec("Doors-v0", ticks, slots, head=head, head_config=HEADS[head], **environment),
        user="alice",
        player="host:1",
        seed=3,
    )


class Prefers(Watcher):
    """As a policy with logits and Q values."""

    def run(self, observations, state, previous=None):
        outputs, state = super().run(observations, state, previous)
        return {**outputs, "q": outputs["logits"]}, state


@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("head", HEADS)
def test_a_stage_takes_valid_actions_only_and_sends_the_masks(spec, doors, where, head):
    stage, policy = stage_of(spec, doors(where), head), Prefers(ACTIONS, prefers=3)

    batches = [copy.deepcopy(stage.play(policy, "task")) for _ in range(12)]

    assert {batch.header.faults for batch in batches} == {0}
    for batch in batches:
        masks = batch.extras["action_mask"]
        assert (masks.shape, masks.dtype) == ((8, 3, ACTIONS), bool)
        chosen = np.take_along_axis(masks[:-1], batch.actions[""][..., None].astype(int), -1)
        assert chosen.all()
        # The policy sees the step alone; row 0 of an episode has the mask of its reset.
        assert list(batch.observations) == ["step"]
        first = batch.observations["step"][..., 0] == 0
        assert (masks[first] == [True, False, False, False]).all()
    for before, after in pairwise(batches):
        assert np.array_equal(before.extras["action_mask"][-1], after.extras["action_mask"][0])
    assert {path for seen in policy.seen for path in seen} == {"step"}


def test_an_episodes_last_row_may_have_no_valid_action(spec, doors):
    stage = stage_of(spec, doors(length=2))
    batch = stage.play(Watcher(ACTIONS), "task")
    last = batch.observations["step"][..., 0] == 2
    assert last.any()
    assert batch.extras["action_mask"][last].all()


@pytest.mark.parametrize("where", WAYS)
def test_a_mask_that_allows_nothing_names_environment_step_and_slot(spec, doors, where):
    sound, broken = doors(where), doors(where, closed_at=3)
    played = spec("Doors-v0", 7, 1, **sound.model_dump(exclude={"id"}, exclude_none=True))
    stage = Stage(played.model_copy(update={"environment": broken}), user="a", player="p", seed=3)
    said = r"Doors-v0 failed in step 3 in slot 0: the action mask .* allows no action"
    with pytest.raises(EnvironmentFailedError, match=said):
        deque((stage.play(Watcher(ACTIONS), "task") for _ in range(9)), maxlen=0)


def test_held_out_states_are_reached_by_valid_actions(spec, doors):
    environment = doors().model_dump(exclude={"id"}, exclude_none=True)
    played = spec("Doors-v0", 7, 3, **environment)
    batch = held_out_states(played, Stage, ticks=40, slots=2)
    assert batch.header.faults == 0
    assert batch.valid.sum() > 60


@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("sample", [False, True], ids=["greedy", "sampled"])
def test_games_are_played_with_valid_actions(doors, where, sample):
    space = {"": describe(doors(where)).action_space[""]}
    head = evaluation_head("categorical", space, sample=sample)
    watcher: Any = Watcher(ACTIONS, 2)
    games = play_games(doors(where, length=40), watcher, head, episodes=5, slots=3, seed=1)
    assert (games.failures, games.lengths.tolist()) == (0, [40] * 5)


def test_a_game_whose_mask_allows_nothing_names_step_and_slot(doors):
    space = {"": describe(doors()).action_space[""]}
    watcher: Any = Watcher(ACTIONS)
    with pytest.raises(EnvironmentFailedError, match=r"step 2 of the game in slot 0: .* allows no"):
        play_games(
            doors(closed_at=2),
            watcher,
            evaluation_head("categorical", space),
            episodes=2,
            slots=1,
            seed=1,
        )


def test_the_mask_is_no_part_of_what_a_policy_observes(doors):
    for where in WAYS:
        assert list(describe(doors(where)).observation_space) == ["step"]


@pytest.mark.parametrize("path", ["windows", "step/1"])
def test_a_mask_that_is_not_there_is_refused_with_what_is(doors, path):
    config = doors().model_copy(update={"action_mask": path})
    with pytest.raises(ConfigError, match=rf"action_mask = '{path}'.* parts: doors, step"):
        describe(config)


def test_an_info_without_the_mask_is_told_of_once_the_trial_resets(doors):
    config = doors("info").model_copy(update={"action_mask": "info:doors"})
    with pytest.raises(EnvironmentFailedError, match=r"info has no 'doors'.*; it has '"):
        describe(config)


def test_masks_of_other_action_spaces_are_refused():
    box = gymnasium.spaces.Box(-1, 1, (2,))
    with pytest.raises(ConfigError, match="Discrete or MultiDiscrete"):
        Masks("action_mask", box, "Doors-v0", 2)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"action_mask": "info:"}, "lacks a key"),
        ({"action_mask": "doors", "drop": ("doors",)}, "both name 'doors'"),
        ({"id": "ALE/Pong-v5", "action_mask": "info:action_mask"}, "Atari"),
    ],
)
def test_settings_that_do_not_fit_are_refused(keys, said):
    with pytest.raises(ValidationError, match=said):
        EnvironmentConfig(**{"id": "Doors-v0", **keys})


def test_a_multi_discrete_space_is_tried_out_and_played_with_its_masks():
    gymnasium.register("Pairs-v0", cast(Any, Pairs))
    config = EnvironmentConfig(id="Pairs-v0", action_mask="info:action_mask")
    info = describe(config)
    head = Uniform(info.action_space)
    watcher: Any = Watcher(5)
    games = play_games(config, watcher, head, episodes=4, slots=2, seed=1)
    del gymnasium.registry["Pairs-v0"]

    assert info.trial.remarks == ()
    assert (games.failures, games.lengths.tolist()) == (0, [20] * 4)
