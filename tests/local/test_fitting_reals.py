"""Updates of the default algorithm for real actions fit every batch that a trial leads to."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.algorithms.default import with_default_algorithm
from tinyqueue.algorithms.epochs import Epochs
from tinyqueue.algorithms.ppo import Ppo
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.envs.trial import Trial
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.sections import LearnerConfig, SessionConfig
from tinyqueue.local.batch_costs import BATCH_S
from tinyqueue.local.fitting import Fitted, fitted

FAST = Trial(
    slots=2,
    build_s=0.001,
    reset_s=0.0001,
    step_s=0.00001,
    slowest_step_s=0.0001,
    slot_bytes=0,
    rewards=(0.0, 1.0),
)
SEEN: Space = {"": Leaf("float32", (4,))}
OPEN = {
    core: make_experiment({"environment": {"id": "Arm-v0"}, "model": {"core": core}})
    for core in ("none", "gru")
}


def fit(trial: Trial, experiment: Experiment = OPEN["none"], seen: Space = SEEN) -> Fitted:
    """Chooses for actions that are real numbers, then by the trial."""
    actions = {"": Leaf("float32", (2,), low=-1.0, high=1.0)}
    info = EnvironmentInfo("Arm-v0", seen, actions, None, None, trial=trial)
    return fitted(with_default_algorithm(experiment, actions, seen), info, 2)


def test_slow_steps_give_small_batches_of_which_an_update_takes_more():
    found = fit(replace(FAST, step_s=0.05))

    session, experiment = found.experiment.session, found.experiment
    assert (session.ticks, session.slots) == (128, 1)
    assert session.ticks * session.slots * 0.05 <= BATCH_S
    assert experiment.learner.batches_per_update == 4
    assert experiment.algorithm.minibatches == 8
    assert found.remarks[0] == (
        "Arm-v0: steps take 50 ms: 1 environment per player, 128 steps per batch, "
        "4 batches per update"
    )


def test_fast_steps_keep_the_published_update():
    experiment = fit(FAST).experiment
    assert (experiment.session.ticks, experiment.session.slots) == (256, 4)
    assert (experiment.learner.batches_per_update, experiment.algorithm.minibatches) == (2, 32)


def test_nothing_more_is_chosen_for_what_a_run_keeps():
    slow = replace(FAST, step_s=0.05)
    experiment = fit(slow).experiment

    kept = make_experiment(experiment.document())

    assert kept == experiment == fit(slow, kept).experiment


set_or_open = st.one_of(st.none(), st.integers(1, 300))


@given(
    trial=st.builds(
        Trial,
        slots=st.just(2),
        build_s=st.floats(0.0, 20.0),
        reset_s=st.floats(0.0, 5.0),
        step_s=st.floats(1e-6, 6.0),
        slowest_step_s=st.floats(0.0, 60.0),
        slot_bytes=st.sampled_from([0, 1 << 28, 1 << 34]),
        rewards=st.just((0.0, 1.0)),
        single=st.sampled_from(["", "the port is in use"]),
    ),
    shape=st.sampled_from([(), (4,), (3000,), (200_000,), (96, 96, 3), (200, 200, 3)]),
    dtype=st.sampled_from(["float32", "uint8"]),
    ticks=set_or_open,
    slots=set_or_open,
    batches=st.one_of(st.none(), st.integers(1, 20)),
    core=st.sampled_from(["none", "gru"]),
)
def test_the_minibatches_always_share_out_an_update(
    trial: Trial,
    shape: tuple[int, ...],
    dtype: str,
    ticks: int | None,
    slots: int | None,
    batches: int | None,
    core: str,
):
    session = {"ticks": ticks, "slots": slots}
    session = {name: value for name, value in session.items() if value is not None}
    learner = LearnerConfig() if batches is None else LearnerConfig(batches_per_update=batches)
    begun = replace(OPEN[core], session=SessionConfig(**session), learner=learner)
    try:
        experiment = fit(trial, begun, {"": Leaf(dtype, shape)}).experiment
    except ConfigError:
        # Only what was set can be refused: it takes too long, or does not fit in a message.
        assert session
        return

    algorithm, played = experiment.algorithm, experiment.session
    together = played.slots * experiment.learner.batches_per_update
    Ppo.check(algorithm, played.ticks, together)
    if core != "none":
        assert together % algorithm.minibatches == 0
    steps = played.ticks * together
    assert algorithm.minibatches == 1 or steps / algorithm.minibatches >= 64
    assert Epochs(algorithm.epochs, algorithm.minibatches).steps <= 320
    for name, value in session.items():
        assert getattr(played, name) == value
    assert batches in (None, experiment.learner.batches_per_update)
