"""What was left open is chosen so that a batch can be played; what was set works or is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.envs.trial import Trial
from tinyqueue.errors import ConfigError
from tinyqueue.local.batch_costs import BATCH_S
from tinyqueue.local.fitting import Fitted, fitted
from tinyqueue.wire.limits import SESSION_LIMITS

FAST = Trial(
    slots=2,
    build_s=0.001,
    reset_s=0.0001,
    step_s=0.00001,
    slowest_step_s=0.0001,
    slot_bytes=0,
    rewards=(0.0, 1.0),
)


def fit(
    shape: tuple[int, ...] = (4,),
    dtype: str = "float32",
    max_episode_steps: int | None = None,
    **changes: Any,
) -> Any:
    """Fits an experiment of these settings to a trial of these figures."""

    def of(document: dict[str, Any] | None = None) -> Fitted:
        tables = {"environment": {"id": "Snake-v0"}, **(document or {})}
        info = EnvironmentInfo(
            "Snake-v0",
            {"": Leaf(dtype, shape)},
            {"": Leaf("uint8", (), 2)},
            None,
            max_episode_steps,
            trial=replace(FAST, **changes),
        )
        return fitted(make_experiment(tables), info, 2)

    return of


def test_an_ordinary_environment_keeps_the_defaults_and_nothing_is_said() -> None:
    found = fit()()

    assert (found.experiment.session.ticks, found.experiment.session.slots) == (32, 32)
    assert found.experiment.session.task_limit_s == 40
    assert found.remarks == ()


@pytest.mark.parametrize("step_s", [0.02, 0.04, 0.2, 1.0, 5.0])
def test_slow_steps_give_smaller_batches_which_are_told(step_s: float) -> None:
    found = fit(step_s=step_s)()

    session = found.experiment.session
    batch_s = session.ticks * session.slots * step_s
    assert batch_s <= BATCH_S or (session.slots == 1 and session.ticks == 8)
    assert session.task_limit_s is not None
    assert session.task_limit_s >= 3 * batch_s
    assert f"{session.slots} environment" in found.remarks[0]


def test_forty_milliseconds_are_told_with_the_numbers_chosen() -> None:
    assert fit(step_s=0.04)().remarks[0] == (
        "Snake-v0: steps take 40 ms: 4 environments per player, 32 steps per batch"
    )


def test_slots_that_were_set_and_cannot_work_are_refused_with_what_to_write() -> None:
    with pytest.raises(ConfigError, match=r"would take 205 s.*session\.slots=1"):
        fit(step_s=0.2)({"session": {"slots": 32, "ticks": 32}})


def test_slots_that_were_set_and_are_slow_are_kept_with_a_longer_limit() -> None:
    found = fit(step_s=0.04)({"session": {"slots": 32, "ticks": 32}})

    assert found.experiment.session.slots == 32
    assert found.experiment.session.task_limit_s >= 3 * 41
    assert any("41 s" in remark for remark in found.remarks)


def test_a_limit_that_was_set_below_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"may take 10 s"):
        fit(step_s=0.04)({"session": {"slots": 32, "ticks": 32, "task_limit_s": 10}})


def test_a_slow_constructor_gives_fewer_environments_in_play_and_evaluation() -> None:
    found = fit(build_s=1.2)().experiment

    assert found.session.slots == 8
    assert found.evaluation.slots * 1.2 <= 10
    assert found.session.task_limit_s >= 30 + 8 * 1.2


def test_large_observations_give_batches_that_fit_the_wire() -> None:
    found = fit(shape=(96, 96, 3), dtype="uint8")().experiment

    size = (found.session.ticks + 1) * found.session.slots * 96 * 96 * 3
    assert size <= SESSION_LIMITS.body_bytes


def test_a_batch_that_was_set_too_large_for_the_wire_is_refused_with_bytes() -> None:
    with pytest.raises(ConfigError, match=r"29,\d+,\d+ bytes; 15,728,640 fit.*session\.slots=17"):
        fit(shape=(96, 96, 3), dtype="uint8")({"session": {"slots": 32, "ticks": 32}})


def test_a_run_is_not_given_up_before_the_first_slow_batch_may_come() -> None:
    slow = fit(step_s=5.0, build_s=8.0)

    found = slow().experiment
    assert found.learner.give_up_after_s == found.session.task_limit_s > 60
    assert slow({"learner": {"give_up_after_s": 20.0}}).experiment.learner.give_up_after_s == 20
    assert fit()().experiment.learner.give_up_after_s == 60


def test_what_exists_once_is_played_by_one() -> None:
    found = fit(single="the port is in use")()

    assert found.single
    assert (found.experiment.session.slots, found.experiment.evaluation.slots) == (1, 1)


def test_several_slots_of_what_exists_once_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"the port is in use.*session\.slots=1"):
        fit(single="the port is in use")({"session": {"slots": 4}})


def test_what_shares_state_within_a_process_is_played_one_by_one_unless_the_user_says() -> None:
    found = fit(entangled=True)

    assert found().single == ""
    assert found().experiment.environment.entangled
    assert (found().experiment.session.slots, found().experiment.evaluation.slots) == (1, 1)
    assert "Snake-v0: a step of one environment changes what another" in found().remarks[0]
    assert "1 environment per player, 32 steps per batch" in found().remarks[1]
    asked = found({"session": {"slots": 4}})
    assert (asked.experiment.session.ticks, asked.experiment.session.slots) == (32, 4)
    assert len(asked.remarks) == 1


@pytest.mark.parametrize("costly", [{"build_s": 5.0}, {"slot_bytes": 1 << 36}])
def test_fewer_ticks_are_not_chosen_for_what_only_fewer_slots_can_mend(costly: Any) -> None:
    found = fit(**costly)({"session": {"slots": 4}})

    assert (found.experiment.session.ticks, found.experiment.session.slots) == (32, 4)


def test_long_games_are_fewer_and_told() -> None:
    found = fit(step_s=0.04, episode_steps=500.0)()

    assert found.experiment.evaluation.episodes == 10
    assert any("evaluation.episodes" in remark for remark in found.remarks)


def test_resets_count_as_part_of_a_game() -> None:
    found = fit(reset_s=6.0, step_s=0.001, episode_steps=10.0)()

    assert found.experiment.evaluation.episodes == 19


@pytest.mark.parametrize("step_s", [0.001, 0.381])
def test_slow_resets_are_told_as_such(step_s: float) -> None:
    (remark, *_) = fit(step_s=step_s, reset_s=8.0)().remarks

    assert "a reset 8.0 s" in remark if step_s > 0.1 else "and reset" in remark

    (remark,) = fit(reset_s=1.0)({"session": {"slots": 4}}).remarks
    assert remark == "Snake-v0: a reset takes 1.0 s, once in every episode"


def test_a_minibatch_count_that_divides_slots_is_respected() -> None:
    found = fit(step_s=0.04)({"algorithm": {"name": "ppo"}})

    # An experiment of these settings can be made: the algorithm takes them.
    make_experiment(found.experiment.document())


def test_rewards_beyond_the_bound_are_told_with_both_numbers() -> None:
    assert any(
        "-1e+09" in remark and "1e+06" in remark for remark in fit(rewards=(-1e9, 1.0))().remarks
    )


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        ("impala", "come late, and those that lag more than"),
        ("r2d2", "gives up unfinished sequences"),
    ],
)
def test_what_follows_from_an_environment_that_does_not_wait_is_said(
    algorithm: str, said: str
) -> None:
    model = {"model": {"core": "gru"}} if algorithm == "r2d2" else {}
    document = {"algorithm": {"name": algorithm}, **model}
    clock = {"environment": {"id": "Snake-v0", "realtime": True}}

    (remark,) = fit()({**document, **clock}).remarks

    assert said in remark
    assert fit()(document).remarks == ()


def test_the_limit_of_a_task_covers_the_longest_episode_of_a_clock() -> None:
    clock = {"environment": {"id": "Snake-v0", "realtime": True, "tick_s": 0.05}}

    unlimited = fit()(clock).experiment
    limited = fit(max_episode_steps=2000)(clock).experiment

    # 1.5 · (2 s + 2000 · 50 ms), in tens.
    assert limited.session.task_limit_s == 160
    assert unlimited.session.task_limit_s == 1510
    assert limited.learner.give_up_after_s == unlimited.learner.give_up_after_s == 60
