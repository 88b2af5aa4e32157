"""What a checkpoint's network says of a recorded session: for people who look for the cause."""

from __future__ import annotations

import numpy as np

from tinyqueue.algorithms.registry import find
from tinyqueue.algorithms.state import restore_variables
from tinyqueue.algorithms.trajectories import Observed
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, stacked
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learner.checkpoint import Checkpoint
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.network import Network
from tinyqueue.models.registry import MODELS

_MODEL = "model/"


class Critic:
    """The whole network of a checkpoint, not only its acting half.

    Args:
        experiment: As it is in the run directory.
        checkpoint: Of the same run.

    Raises:
        CheckpointError: It is of another model.
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(self, experiment: Experiment, checkpoint: Checkpoint) -> None:
        import_keras()
        spec = PlaySpec.model_validate(checkpoint.spec)
        outputs = find(experiment.algorithm_name).outputs(spec.actions, experiment.algorithm)
        seen = stacked(spec.observations, spec.environment.stack)
        self._network: Network = MODELS[experiment.model_name].build(
            seen, spec.actions, outputs, experiment.model, experiment.seed
        )
        self._observed = Observed(seen)
        (self._action_path,) = spec.actions
        saved = {name: a for name, a in checkpoint.state.items() if name.startswith(_MODEL)}
        restore_variables(
            {f"{_MODEL}{path}": variable for path, variable in self._network.variables.items()},
            saved,
        )

    def judge(self, batch: SessionBatch) -> Arrays:
        """``value``, or ``q_taken`` and ``q_max``, each ``[T, B]`` float32.

        NaN at autoreset ticks: nothing was decided there, and of one at tick 0 the batch does not
        hold the whole stack. Recurrent state goes on from the carry, as the weights of then had it.
        """
        import tensorflow as tf

        network, actions = self._network, batch.actions[self._action_path]
        state = {path: batch.carry[f"state/{path}"] for path in network.state}
        outputs, _ = network.unroll(
            self._observed.tensors([tf.constant(rows) for rows in self._observed.arrays(batch)]),
            {path: tf.constant(values) for path, values in state.items()},
            tf.constant(_shifted(~batch.valid, np.zeros(batch.slots, bool))),
            *(self._previous(batch) if network.uses_previous else ()),
        )
        if "value" in outputs:
            return _at_valid(batch, value=outputs["value"].numpy()[:-1])
        q = outputs["q"].numpy()[:-1]
        taken = np.take_along_axis(q, actions[..., None].astype(np.int64), -1)[..., 0]
        return _at_valid(batch, q_taken=taken, q_max=q.max(-1))

    def _previous(self, batch: SessionBatch) -> tuple[Arrays, Array]:
        """Previous actions and rewards of T+1 rows; nought before an episode's first."""
        name = "/".join(["previous_action", *filter(None, [self._action_path])])
        actions = np.where(batch.valid, batch.actions[self._action_path], 0)
        rewards = np.where(batch.valid, batch.rewards, np.float32(0))
        return (
            {self._action_path: _shifted(actions.astype(np.int64), batch.carry[name])},
            _shifted(rewards, batch.carry["previous_reward"]),
        )


def _at_valid(batch: SessionBatch, **judged: Array) -> Arrays:
    return {name: np.where(batch.valid, rows, np.float32(np.nan)) for name, rows in judged.items()}


def _shifted(rows: Array, before: Array) -> Array:
    """``[T+1, B]``: what came before, then the rows."""
    return np.concatenate([before[None].astype(rows.dtype), rows])
