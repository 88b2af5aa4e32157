"""What Q-learning algorithms share: settings, and an update with a target network."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np

from tinyqueue.algorithms.base import Algorithm, HeadConfig, Update
from tinyqueue.algorithms.descent import (
    NO_RATE,
    Compiled,
    Descent,
    is_finite,
    schedule,
    sound_update,
)
from tinyqueue.algorithms.optimisers import OptimiserName
from tinyqueue.algorithms.ranges import (
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    PositiveShare,
    Share,
)
from tinyqueue.algorithms.state import target_of
from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.distributions import Tensor
from tinyqueue.models.network import Network, Output
from tinyqueue.monitor.metrics import Metric
from tinyqueue.replay.plan import Prioritisation, ReplayPlan


@dataclass(frozen=True)
class ValueConfig:
    """Hyper-parameters of ``dqn``, its presets and ``r2d2``, with ``dqn``'s defaults.

    They suit small tasks with vector observations; most are those of SB3's zoo for CartPole-v1.
    The papers' settings for Atari are given beside them. What the replay keeps, and how often it is
    trained on, is set in ``[replay]``.
    """

    uses_replay: ClassVar[bool] = True

    gamma: Share = 0.99
    """Discount per env step. 0.99 in every paper of the family; R2D2 0.997."""
    n_step: Count = 1
    """n of the n-step return. DQN 1, Rainbow and Ape-X 3, Acme 5."""
    double: bool = False
    """The online network chooses the next action, the target network evaluates it."""
    dueling: bool = False
    """Q = V + A − mean A (Wang et al., 2016, arXiv:1511.06581)."""
    huber: bool = True
    """Huber loss, linear beyond 1, instead of ½δ². DQN clips δ to ±1, which is the same."""
    prioritised: bool = False
    """Sample items by their last |δ| instead of uniformly."""
    priority_exponent: Share = 0.6
    """α of prioritised sampling. Ape-X 0.6, Rainbow 0.5, R2D2 0.9."""
    importance: Share = 0.4
    """β of the importance weights. Ape-X 0.4, Acme 0.2, R2D2 0.6."""
    importance_end: Share = 1.0
    """Final β, reached linearly over ``importance_steps``. Rainbow: 1."""
    importance_steps: CountOrNone = 0
    """Updates until then; 0 keeps β constant. Rainbow: the whole run."""
    batch_size: Count = 64
    """Items per update. SB3's zoo 64; Rainbow 32, Acme 256, Ape-X 512."""
    learning_rate: NotNegative = 2.3e-3
    """Step size of the optimiser. SB3's zoo 2.3e-3; Acme 1e-3; Rainbow and Ape-X 6.25e-5."""
    learning_rate_end: NotNegative = 0.0
    """Final learning rate, reached linearly over ``anneal_steps``."""
    anneal_steps: CountOrNone = 0
    """Env steps until then; 0 keeps the learning rate constant."""
    optimiser: OptimiserName = "adam"
    """Ape-X and DQN: centred RMSProp, decay 0.95; Rainbow, Acme and SB3: Adam."""
    epsilon: Positive = 1e-8
    """ε of the optimiser. Adam's paper 1e-8, Rainbow 1.5e-4; Ape-X's RMSProp 1.5e-7."""
    max_grad_norm: Positive = 10.0
    """Clip of the gradient's global norm. SB3 and Rainbow 10, Ape-X 40."""
    target_every_updates: Count = 128
    """Updates between copies to the target network. SB3's zoo copies before every round of 128;
    Acme 100, Ape-X 2,500."""
    reward_scale: Positive = 1.0
    """Factor on rewards. Every paper: 1."""
    reward_clip: Positive | None = None
    """Rewards are clipped to ± this. Atari: 1."""
    exploration: Literal["annealed", "by-slot"] = "annealed"
    """One ε that falls with env steps, or a different, constant ε in every slot, as in Ape-X."""
    exploration_start: Share = 1.0
    """Annealed ε at the first env step. SB3: 1."""
    exploration_end: Share = 0.04
    """Final annealed ε. SB3's zoo 0.04; DQN 0.1 on Atari, Rainbow 0.01."""
    exploration_steps: Count = 8_000
    """Env steps until then. SB3's zoo: 0.16 of 50,000; DQN on Atari a million frames."""
    exploration_base: PositiveShare = 0.4
    """ε by slot is base^(1 + power·u), with u spread evenly over 0 … 1. Ape-X: 0.4."""
    exploration_power: NotNegative = 7.0
    """See ``exploration_base``. Ape-X: 7, so that ε goes from 0.4 to 0.0007."""


METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.Q_MEAN,
    Metric.TARGET_MEAN,
    Metric.TD_ERROR_MEAN,
)
"""Metrics of an update, in this order."""

V = TypeVar("V", bound=ValueConfig)
E = TypeVar("E")
"""A sample from the replay."""
G = TypeVar("G")
"""What the graph gets from a sample, as nested tuples and dicts."""


class QLearning(Algorithm[V, E], Generic[V, E, G]):
    """A network with the output ``q``, trained on samples from a replay.

    Its target network is a copy that is refreshed every ``target_every_updates``.

    Attributes:
        target: Variables of the target network, by path.
    """

    head = "epsilon-greedy"
    acting_outputs = ("q",)

    def __init__(self, config: V, network: Network, actions: Space, mask_size: int = 0) -> None:
        import tensorflow as tf

        self._config = config
        self._network = network
        self._actions = actions
        self._joint = JointActions(actions)
        self._is_masked = mask_size > 0
        self._online = dict(network.variables)
        self.target = target_of(network)
        self._learning_rate = schedule(
            config.learning_rate, config.learning_rate_end, config.anneal_steps
        )
        self._descent = Descent(network, config.optimiser, config.epsilon, config.max_grad_norm)
        self._updates = 0
        self._updates_kept = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.kept = {
            **self._descent.kept,
            **{f"target/{path}": v for path, v in self.target.items()},
            "updates": self._updates_kept,
        }
        self._graph = Compiled(self._learn)
        self._copy = tf.function(self._copied, input_signature=[], autograph=False)

    @classmethod
    def outputs(cls, actions: Space, config: V) -> dict[str, Output]:
        """``q``, one value per joint action.

        Raises:
            ConfigError: The space is not one Discrete or MultiDiscrete leaf, or has too many
                joint actions.
        """
        return {"q": Output(JointActions(actions).n, dueling=config.dueling)}

    @property
    def replay(self) -> ReplayPlan:
        """Samples of ``batch_size`` items with n-step returns, prioritised if so configured."""
        config = self._config
        prioritisation = Prioritisation(
            exponent=config.priority_exponent,
            importance=config.importance,
            importance_end=config.importance_end,
            importance_steps=config.importance_steps,
        )
        return ReplayPlan(
            batch_size=config.batch_size,
            n_step=config.n_step,
            gamma=config.gamma,
            prioritisation=prioritisation if config.prioritised else None,
            reward_scale=config.reward_scale,
            reward_clip=config.reward_clip,
        )

    @property
    def head_config(self) -> HeadConfig:
        """The schedule of ε: ``annealed`` over env steps, or ``by-slot``."""
        config = self._config
        if config.exploration == "by-slot":
            return {
                "schedule": "by-slot",
                "base": config.exploration_base,
                "power": config.exploration_power,
            }
        return {
            "schedule": "annealed",
            "start": config.exploration_start,
            "end": config.exploration_end,
            "steps": config.exploration_steps,
        }

    def _valid(self, masks: Array | None) -> tuple[()] | tuple[Array]:
        """``[…, n]`` bool, joint actions that the masks of a sample allow; empty without masks."""
        return () if masks is None else (self._joint.valid(masks),)

    def _all_valid(self, *lead: int) -> tuple[()] | tuple[Array]:
        """``[*lead, n]`` bool, all true; empty without masks."""
        return (np.ones((*lead, self._joint.n), bool),) if self._is_masked else ()

    @abstractmethod
    def _given(self, sample: E) -> G:
        """What the graph gets from a sample."""

    @abstractmethod
    def _nothing(self) -> G:
        """Zeros of the same shapes and types."""

    @abstractmethod
    def _loss(self, given: G) -> tuple[Tensor, list[Tensor], Tensor]:
        """In a graph: the loss, METRICS after the gradient norm, and priorities ``[N]``."""

    def update(self, sample: E, env_steps: int) -> Update:
        """One optimiser step, and a copy to the target network when it is due."""
        rate = self._learning_rate(env_steps)
        result = self._graph(np.float32(rate), self._given(sample))
        update = sound_update(
            dict(zip(METRICS, result.tolist(), strict=False)),
            rate,
            f"the update at {env_steps:,} env steps",
            result[len(METRICS) :] if self._config.prioritised else None,
        )
        self._updates += 1
        if self._updates % self._config.target_every_updates == 0:
            self._copy()
        return update

    def is_sound(self, sample: E, env_steps: int) -> bool:
        """Whether an update on this sample would have a finite loss and gradient."""
        loss, norm = self._graph(NO_RATE, self._given(sample))[:2].tolist()
        return is_finite(loss, norm)

    def _learn(self, rate: Tensor, given: G) -> Tensor:
        """One optimiser step, inside a graph: METRICS, then priorities."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss, metrics, priorities = self._loss(given)
        norm = self._descent.step(tape, loss, rate)
        return tf.concat([tf.stack([loss, norm, *metrics]), priorities], axis=0)

    def _copied(self) -> None:
        for path, variable in self.target.items():
            if path not in self._network.shared:
                variable.assign(self._online[path])

    def prepare(self, ticks: int, slots: int) -> None:
        """Runs one update on zeros, then restores the state. T and B follow from the config."""
        before = self.state()
        self._graph(np.float32(0), self._nothing())
        self._copy.get_concrete_function()
        self.restore(before)

    def state(self) -> Arrays:
        """Copies of all variables, with the target network's and the number of updates."""
        self._updates_kept.assign(self._updates)
        return super().state()

    def restore(self, state: Arrays) -> None:
        """Restores what :meth:`state` returned.

        Raises:
            CheckpointError: The state belongs to another model or optimiser.
        """
        super().restore(state)
        self._updates = int(self._updates_kept.numpy())
