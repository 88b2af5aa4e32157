"""A checkpoint's whole network, applied to a recorded session, and on average to many states.

The only module of this package that needs TensorFlow. Import it only inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.registry import find
from tinyqueue.algorithms.state import restore_variables
from tinyqueue.algorithms.trajectories import Observed
from tinyqueue.data.episodes import Episodes
from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.names import PREVIOUS_REWARD, carried_action, carried_state
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, stacked
from tinyqueue.distributions.categorical import masked
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.network import Network
from tinyqueue.models.registry import build_network
from tinyqueue.models.registry import find as find_model
from tinyqueue.run.checkpoint import Checkpoint

_MODEL = "model/"
VALUE, MAX_Q = "value", "max_q"


class Critic:
    """The whole network of a checkpoint, not only its acting half.

    Args:
        experiment: The experiment from the run directory.
        checkpoint: A checkpoint of the same run.

    Raises:
        ConfigError: The algorithm brings its own network.
        CheckpointError: It belongs to another model.
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(self, experiment: Experiment, checkpoint: Checkpoint) -> None:
        found = find(experiment.algorithm_name)
        if not issubclass(found, Algorithm):
            raise ConfigError(
                f"{experiment.algorithm_label} brings its own network, and only it knows what that "
                "expects. Leave --held-out and --with-checkpoint out."
            )
        import_keras()
        spec = PlaySpec.model_validate(checkpoint.spec)
        outputs = found.outputs(spec.actions, experiment.algorithm)
        seen = stacked(spec.observations, spec.environment.stack)
        self._network: Network = build_network(
            find_model(experiment.model_name),
            seen,
            spec.actions,
            outputs,
            experiment.model,
            experiment.seed,
            normalises=experiment.environment.normalise_observations,
        )
        self._observed = Observed(seen)
        self._actions = spec.actions
        saved = {name: a for name, a in checkpoint.state.items() if name.startswith(_MODEL)}
        restore_variables(
            {f"{_MODEL}{path}": variable for path, variable in self._network.variables.items()},
            saved,
        )

    def judge(self, batch: SessionBatch) -> Arrays:
        """``value``, or ``q_taken`` and ``q_max``, each ``[T, B]`` float32.

        NaN at autoreset ticks: no action was chosen there, and for one at tick 0 the batch does
        not hold the whole stack. Recurrent state starts from the carry, which the weights at
        playing time computed.
        """
        import tensorflow as tf

        network = self._network
        state = {path: batch.carry[carried_state(path)] for path in network.state}
        outputs, _ = network.unroll(
            self._observed.tensors([tf.constant(rows) for rows in self._observed.arrays(batch)]),
            {path: tf.constant(values) for path, values in state.items()},
            tf.constant(_shifted(~batch.valid, np.zeros(batch.slots, bool))),
            *(self._previous(batch) if network.uses_previous else ()),
        )
        if "value" in outputs:
            return _at_valid(batch, value=outputs["value"].numpy()[:-1])
        q = outputs["q"].numpy()[:-1]
        joint = JointActions(self._actions)
        index = joint.index(batch.actions[joint.path]).astype(np.int64)
        taken = np.take_along_axis(q, index[..., None], -1)[..., 0]
        if ACTION_MASK in batch.extras:
            q = masked(np, q, joint.valid(batch.extras[ACTION_MASK][:-1]))
        return _at_valid(batch, q_taken=taken, q_max=q.max(-1))

    def _previous(self, batch: SessionBatch) -> tuple[Arrays, Array]:
        """Previous actions and rewards of T+1 rows; zeros before an episode's first row."""
        actions = {}
        for path, rows in batch.actions.items():
            known = rows.copy()
            known[~batch.valid] = 0
            actions[path] = _shifted(known, batch.carry[carried_action(path)])
        rewards = np.where(batch.valid, batch.rewards, np.float32(0))
        return actions, _shifted(rewards, batch.carry[PREVIOUS_REWARD])


@dataclass(frozen=True)
class Expected:
    """The return that a network expects, discounted, with rewards scaled as in training.

    It is h(Q) if the network was trained on rescaled values.

    Attributes:
        of: ``value`` for V(s), ``max_q`` for the largest Q(s, a) over a.
        mean: Mean over the states; NaN if it is NaN in any of them.
        states: Number of states: the batch's valid ticks.
    """

    of: str
    mean: float
    states: int

    def __str__(self) -> str:
        """``mean value 0.830 in 4,096 held-out states``."""
        of = {VALUE: "value", MAX_Q: "max Q"}[self.of]
        return f"mean {of} {self.mean:.3f} in {self.states:,} held-out states"


def expected(critic: Critic, batch: SessionBatch) -> Expected:
    """Evaluates every state of a batch in which an action was chosen.

    Slots are evaluated one at a time: the activations for 4,096 frames take gigabytes in a deep
    network, and recurrent state has to run through all ticks of a slot.

    Args:
        critic: The checkpoint's network.
        batch: T ticks of B slots.
    """
    judged = [critic.judge(_only(slot, batch)) for slot in range(batch.slots)]
    of, name = (VALUE, "value") if "value" in judged[0] else (MAX_Q, "q_max")
    # Not nanmean: a network that returns NaN must be noticed.
    values = np.concatenate([rows[name] for rows in judged], axis=1)[batch.valid]
    return Expected(of, float(values.mean(dtype=np.float64)), len(values))


def _at_valid(batch: SessionBatch, **judged: Array) -> Arrays:
    return {name: np.where(batch.valid, rows, np.float32(np.nan)) for name, rows in judged.items()}


def _shifted(rows: Array, before: Array) -> Array:
    """``[T+1, B, …]``: the row before, then the rows."""
    return np.concatenate([before[None].astype(rows.dtype), rows])


def _only(slot: int, batch: SessionBatch) -> SessionBatch:
    """One slot of a batch, ``[T, 1, …]``."""

    def rows(arrays: Arrays) -> Arrays:
        return {name: array[:, slot : slot + 1] for name, array in arrays.items()}

    return replace(
        batch,
        observations=rows(batch.observations),
        actions=rows(batch.actions),
        rewards=batch.rewards[:, slot : slot + 1],
        terminated=batch.terminated[:, slot : slot + 1],
        truncated=batch.truncated[:, slot : slot + 1],
        valid=batch.valid[:, slot : slot + 1],
        extras=rows(batch.extras),
        carry={name: array[slot : slot + 1] for name, array in batch.carry.items()},
        episodes=Episodes.none(),
    )
