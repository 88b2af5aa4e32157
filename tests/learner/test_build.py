"""From an experiment and its environment to what trains, what plays and what comes back."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.envs.trial import Trial
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learner.build import build, require_acting, stop_threshold
from tinyqueue.policy.spec_contract import contract_of

INFO = EnvironmentInfo(
    id="CartPole-v1",
    observation_space={"": Leaf("float32", (4,))},
    action_space={"": Leaf("uint8", (), 2)},
    reward_threshold=475.0,
    max_episode_steps=500,
)


def without_threshold():
    return EnvironmentInfo("ALE/Pong-v5", INFO.observation_space, INFO.action_space, None, None)


@pytest.mark.parametrize(("stop", "threshold"), [({}, 475.0), ({"at_return": 30.5}, 30.5)])
def test_the_experiments_level_goes_before_the_environments(make_experiment_of, stop, threshold):
    assert stop_threshold(make_experiment_of(stop=stop), INFO) == threshold


def test_a_million_actions_are_refused_with_what_they_take(make_experiment_of):
    many = replace(INFO, action_space={"": Leaf("uint32", (), 1_000_000)})
    with pytest.raises(ConfigError, match=r"1,000,001 outputs.* bytes for the .*MultiDiscrete"):
        require_acting(make_experiment_of(session={"ticks": 32, "slots": 32}), many)
    thousand = replace(INFO, action_space={"": Leaf("uint16", (), 1_000)})
    require_acting(make_experiment_of(session={"ticks": 32, "slots": 32}), thousand)


def test_numbers_of_info_are_believed_as_far_as_the_trial_goes(make_experiment_of):
    trial = Trial(2, 0.1, 0.1, 0.1, 0.1, 0, (0.0, 1.0), info={"at/x": 1e6})
    experiment = make_experiment_of(metrics={"info": ["at/x", "y"]})
    info = replace(INFO, trial=trial)

    built = build(experiment, info, "f" * 32)
    assert built.contract.info_limits == {"at/x": 1e10, "y": 1e8}


def test_training_without_an_end_is_refused(make_experiment_of):
    with pytest.raises(ConfigError, match=r"Pong-v5 .*--max-env-steps N, or --stop-at-return"):
        stop_threshold(make_experiment_of(), without_threshold())


def test_a_limit_of_env_steps_is_an_end(make_experiment_of):
    experiment = make_experiment_of(stop={"max_env_steps": 10})
    assert stop_threshold(experiment, without_threshold()) is None


BOX = {"": Leaf("float32", (2,), low=-1.0, high=1.0)}
MANY = {"": Leaf("uint8", (3,), n=30, nvec=(10, 20, 30))}


@pytest.mark.parametrize(
    ("actions", "said"),
    [(BOX, "2 numbers from -1 to 1"), (MANY, "6,000 of them"), ({"a": BOX[""], "b": MANY[""]}, "")],
)
@pytest.mark.parametrize("name", ["dqn", "r2d2"])
def test_an_action_space_that_an_algorithm_cannot_act_in_names_those_that_can(
    make_experiment_of, actions, said, name
):
    experiment = make_experiment_of(algorithm={"name": name}, replay={})
    info = replace(INFO, action_space=actions)
    with pytest.raises(ConfigError, match=rf"{said}.*impala, a3c or ppo, which act in any space"):
        require_acting(experiment, info)
    require_acting(make_experiment_of(algorithm={"name": "ppo"}), info)


def test_a_mask_for_numbers_is_refused(make_experiment_of):
    experiment = make_experiment_of(environment={"id": "Arm-v0", "action_mask": "info:mask"})
    assert require_acting(experiment, INFO) == 2
    with pytest.raises(
        ConfigError,
        match=r"action_mask needs a single action space, Discrete.*is 2 numbers from -1 to 1\.",
    ):
        require_acting(experiment, replace(INFO, action_space=BOX))


def test_a_program_may_train_twice_with_other_threads(make_experiment_of):
    for threads in (1, 2):
        experiment = make_experiment_of(learner={"threads": threads}, model={"hidden": [4]})
        assert build(experiment, INFO, "f" * 32).spec.ticks == 32


def test_players_play_what_the_learner_expects_back(make_experiment_of):
    experiment = make_experiment_of(
        session={"ticks": 8, "slots": 4, "codec": "lz4", "task_budget_s": 1.5},
        learner={"queue_batches": 5, "max_abs_reward": 7.0},
        model={"hidden": [8]},
    )

    built = build(experiment, INFO, "f" * 32)

    spec, contract = built.spec, built.contract
    assert (spec.experiment, spec.run, spec.environment.id) == ("pole", "f" * 32, "CartPole-v1")
    assert (spec.ticks, spec.slots, spec.codec) == (8, 4, "lz4")
    assert (spec.task_budget_s, spec.queue_batches) == (1.5, 5)
    assert spec.graph_sha256 == built.export.sha256
    assert spec.observations == contract.observations == INFO.observation_space
    assert spec.actions == contract.actions == INFO.action_space
    assert (contract.ticks, contract.slots, contract.max_abs_reward) == (8, 4, 7.0)
    assert list(contract.extras) == ["behaviour_log_prob"]
    assert built.threshold == 475.0
    # Players get the policy only: the value tower stays with the learner.
    assert sum(array.size for array in built.export.arrays().values()) == 4 * 8 + 8 + 8 * 2 + 2


def test_memory_is_played_and_comes_back(make_experiment_of):
    model = {"hidden": [4], "core": "lstm", "core_units": 3, "previous": True}

    built = build(make_experiment_of(model=model), INFO, "f" * 32)

    assert built.spec.state == {"hidden": [3], "cell": [3]}
    assert built.contract.state == {path: Leaf("float32", (3,)) for path in ("hidden", "cell")}
    assert built.contract.needs_carry
    plain = build(make_experiment_of(model={"hidden": [4]}), INFO, "f" * 32)
    assert (plain.spec.state, plain.contract.needs_carry) == ({}, False)


def test_where_a_class_plays_nothing_of_the_head_comes_back(make_experiment_of):
    for policy in ({}, {"policy": "rules:Balance"}):
        experiment = make_experiment_of(
            algorithm={"name": "dqn"}, model={"hidden": [4]}, session=policy
        )
        built = build(experiment, INFO, "f" * 32)

        assert list(built.contract.extras) == ([] if policy else ["q_taken", "q_max"])
        assert contract_of(built.spec, needs_carry=True).extras == built.contract.extras
        again = PlaySpec.from_json(built.spec.to_json())
        assert again == built.spec
        assert again.version == built.spec.version
        # Evaluations still play the network.
        assert again.head == "epsilon-greedy"


def test_entropies_come_back_when_they_are_asked_for(make_experiment_of):
    experiment = make_experiment_of(session={"record_entropy": True}, model={"hidden": [4]})

    built = build(experiment, INFO, "f" * 32)

    assert built.spec.head_config == {"record_entropy": True}
    assert list(built.contract.extras) == ["behaviour_log_prob", "entropy"]


def test_entropies_of_sac_come_back_when_they_are_asked_for(make_experiment_of):
    experiment = make_experiment_of(
        environment={"id": "Arm-v0"},
        algorithm={"name": "sac"},
        session={"record_entropy": True},
        replay={},
        model={"hidden": [4]},
    )

    built = build(experiment, replace(INFO, action_space=BOX), "f" * 32)

    assert built.spec.head_config["record_entropy"]
    assert "entropy" in built.contract.extras


@pytest.mark.parametrize("algorithm", ["dqn", "apex", "q-nstep", "r2d2"])
def test_entropies_of_q_values_are_refused_by_the_name_of_the_setting(
    make_experiment_of, algorithm
):
    experiment = make_experiment_of(
        algorithm={"name": algorithm}, session={"record_entropy": True}, model={"hidden": [4]}
    )

    with pytest.raises(
        ConfigError, match=rf"session\.record_entropy = true .* {algorithm} .* = false"
    ):
        build(experiment, INFO, "f" * 32)


@pytest.mark.parametrize(
    ("algorithm", "core", "warned"),
    [("r2d2", "none", 1), ("r2d2", "lstm", 0), ("r2d2", "gru", 0), ("dqn", "none", 0)],
)
def test_r2d2_without_a_memory_is_warned_of_once(make_experiment_of, algorithm, core, warned):
    model = {"hidden": [4], "core": core, "core_units": 3}
    experiment = make_experiment_of(algorithm={"name": algorithm}, model=model)

    with capture_logs() as logs:
        build(experiment, INFO, "f" * 32)

    said = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert ["set model.core" in event for event in said] == [True] * warned
