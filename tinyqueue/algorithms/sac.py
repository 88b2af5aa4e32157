"""SAC (Haarnoja et al., 2018, arXiv:1812.05905): maximum-entropy control of bounded real numbers.

Two Q networks, a tanh-squashed Gaussian policy, a temperature that is learned, and transitions from
a replay.

Sources of the defaults: the paper's table 1 and Stable-Baselines3, which agree where neither is
named.

Deviations: log-probabilities are of actions scaled to −1 … 1, as in Stable-Baselines3; the three
gradients of an update are those of the same weights, as in Acme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from tinyqueue.algorithms.base import Algorithm, HeadConfig, Update
from tinyqueue.algorithms.descent import NO_RATE, Compiled, is_finite, schedule, sound_update
from tinyqueue.algorithms.optimisers import Optimiser, descend, make_optimiser
from tinyqueue.algorithms.ranges import (
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    PositiveShare,
    Share,
)
from tinyqueue.algorithms.state import target_of
from tinyqueue.data.seeds import seed32
from tinyqueue.data.spaces import Arrays, Leaf, Space, described
from tinyqueue.distributions import Factored, Tensor, squashed_gaussian
from tinyqueue.errors import ConfigError
from tinyqueue.models.network import Network, Output
from tinyqueue.models.tensors import GradientTape, Variable, require
from tinyqueue.monitor.metrics import Metric
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.samples import TransitionSample


@dataclass(frozen=True)
class SacConfig:
    """``sac``. What the replay keeps, and how often it is trained on, is set in ``[replay]``.

    One update per env step, as published, is ``replay.samples_per_insert = batch_size``.
    """

    uses_replay: ClassVar[bool] = True

    gamma: Share = 0.99
    """Discount per env step."""
    n_step: Count = 1
    """n of the n-step return."""
    batch_size: Count = 256
    """Transitions per update."""
    learning_rate: NotNegative = 3e-4
    """Step size of all three optimisers. SB3's zoo: 1e-3 for Pendulum, 7.3e-4 for LunarLander."""
    learning_rate_end: NotNegative = 0.0
    """Final learning rate, reached linearly over ``anneal_steps``."""
    anneal_steps: CountOrNone = 0
    """Env steps until then; 0 keeps the learning rate constant."""
    epsilon: Positive = 1e-8
    """ε of Adam."""
    max_grad_norm: Positive = 1e9
    """Clip of each gradient's global norm. Neither source clips."""
    tau: PositiveShare = 0.005
    """τ: share of the Q networks that their targets take over at every update."""
    temperature: Positive = 1.0
    """Initial α, the weight of the entropy. The paper learns it too; SB3 begins at 1."""
    target_entropy: float | None = None
    """Entropy in nats that α is learned for; −(number of entries of the action) when absent."""
    random_steps: CountOrNone = 100
    """Env steps of the run that are played uniformly at random. SB3 100; the paper 10,000."""
    reward_scale: Positive = 1.0
    """Factor on rewards. 1, as α is learned."""
    reward_clip: Positive | None = None
    """Rewards are clipped to ± this."""


METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.Q_MEAN,
    Metric.TARGET_MEAN,
    Metric.TD_ERROR_MEAN,
    Metric.POLICY_LOSS,
    Metric.ENTROPY,
    Metric.TEMPERATURE,
)
"""Metrics of an update, in this order. Loss and gradient norm are those of the Q networks."""

ACTION = "action:taken"
"""Path of the action among the inputs of a Q network."""
_CRITICS = 2


class Transitions(NamedTuple):
    """Inputs of the graph, as arrays or tensors.

    Attributes:
        updates: Updates so far, int32: the seed of the update's draws.
        actions: ``[N, k]`` float32, −1 … 1.
        numbers: ``[2, N]`` float32: n-step returns and discounts.
        observations, next_observations: path → ``[N, *obs]``.
    """

    updates: Tensor
    actions: Tensor
    numbers: Tensor
    observations: dict[str, Tensor]
    next_observations: dict[str, Tensor]


class Sac(Algorithm[SacConfig, TransitionSample]):
    """``sac``: a policy in one network, and two Q networks of the same model beside it.

    Attributes:
        critics: The Q networks: observations and :data:`ACTION` → ``q``.
    """

    Config = SacConfig
    head = "squashed"
    records_entropy = True

    def __init__(
        self, config: SacConfig, network: Network, actions: Space, mask_size: int = 0
    ) -> None:
        import tensorflow as tf

        self._config = config
        self._network = network
        self._size = _real(actions).size
        self.acting_outputs = tuple(self.outputs(actions, config))
        seen = {**network.observations, ACTION: Leaf("float32", (self._size,), low=-1.0, high=1.0)}
        self.critics = [network.another(seen, {"q": Output(1)}, n) for n in range(_CRITICS)]
        self._targets = [target_of(critic) for critic in self.critics]
        self._log_temperature = tf.Variable(np.float32(np.log(config.temperature)))
        self._learning_rate = schedule(
            config.learning_rate, config.learning_rate_end, config.anneal_steps
        )
        self._of_q = _Adam(
            {
                f"{n}/{path}": variable
                for n, critic in enumerate(self.critics)
                for path, variable in critic.trainable_variables.items()
            },
            config,
        )
        self._of_policy = _Adam(dict(network.trainable_variables), config)
        self._of_temperature = _Adam({"log_temperature": self._log_temperature}, config)
        self._updates = 0
        self._updates_kept = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.kept = {
            **{f"model/{path}": v for path, v in network.variables.items()},
            **{
                f"critic/{n}/{path}": v
                for n, critic in enumerate(self.critics)
                for path, v in critic.variables.items()
            },
            **{
                f"target/{n}/{path}": v
                for n, target in enumerate(self._targets)
                for path, v in target.items()
            },
            "log_temperature": self._log_temperature,
            **self._of_q.kept("q"),
            **self._of_policy.kept("policy"),
            **self._of_temperature.kept("temperature"),
            "updates": self._updates_kept,
        }
        self._graph = Compiled(self._learn)

    @classmethod
    def outputs(cls, actions: Space, config: SacConfig) -> dict[str, Output]:
        """The parameters of the policy's distribution.

        Raises:
            ConfigError: The space is not one bounded Box.
        """
        _real(actions)
        parameters = Factored(actions, "squashed_gaussian").parameters
        return {name: Output(parameter.size) for name, parameter in parameters.items()}

    @property
    def replay(self) -> ReplayPlan:
        """Samples of ``batch_size`` transitions, drawn uniformly."""
        config = self._config
        return ReplayPlan(
            batch_size=config.batch_size,
            n_step=config.n_step,
            gamma=config.gamma,
            prioritisation=None,
            reward_scale=config.reward_scale,
            reward_clip=config.reward_clip,
        )

    @property
    def head_config(self) -> HeadConfig:
        """How long players act at random."""
        return {"random_steps": self._config.random_steps}

    def update(self, sample: TransitionSample, env_steps: int) -> Update:
        """One step of the Q networks, the policy and the temperature; all of them, or none."""
        rate = self._learning_rate(env_steps)
        result = self._graph(np.float32(rate), self._given(sample))
        update = sound_update(
            dict(zip(METRICS, result.tolist(), strict=True)),
            rate,
            f"the update at {env_steps:,} env steps",
        )
        self._updates += 1
        return update

    def is_sound(self, sample: TransitionSample, env_steps: int) -> bool:
        """Whether an update on this sample would have finite losses and gradients."""
        loss, norm = self._graph(NO_RATE, self._given(sample))[:2].tolist()
        return is_finite(loss, norm)

    def _given(self, sample: TransitionSample) -> Transitions:
        paths = self._network.observations
        return Transitions(
            np.int32(self._updates),
            sample.actions.reshape(-1, self._size),
            np.stack([sample.returns, sample.discounts]),
            {path: sample.observations[path] for path in paths},
            {path: sample.next_observations[path] for path in paths},
        )

    def _learn(self, rate: Tensor, given: Transitions) -> Tensor:
        """The update, inside a graph. Returns :data:`METRICS`."""
        import tensorflow as tf

        temperature = tf.exp(self._log_temperature)
        targets = self._q_targets(given, temperature)
        with tf.GradientTape() as q_tape:
            q = tf.stack([self._q(n, given.observations, given.actions) for n in range(_CRITICS)])
            errors = targets - q
            # Half the mean square of each network, added.
            q_loss = 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(errors), axis=0))
        with tf.GradientTape() as policy_tape:
            actions, log_prob = self._drawn(given.observations, given.updates, 1)
            least = tf.reduce_min(
                [self._q(n, given.observations, actions) for n in range(_CRITICS)], axis=0
            )
            policy_loss = tf.reduce_mean(temperature * log_prob - least)
        entropy = -tf.reduce_mean(log_prob)
        with tf.GradientTape() as temperature_tape:
            surplus = self._log_temperature * (entropy - self._target_entropy)
        steps = [
            _Step(self._of_q, q_tape, q_loss),
            _Step(self._of_policy, policy_tape, policy_loss),
            _Step(self._of_temperature, temperature_tape, surplus),
        ]
        is_sound = tf.math.is_finite(tf.add_n([step.loss + step.norm for step in steps]))
        for step in steps:
            step.take(tf.where(is_sound, rate, NO_RATE))
        self._follow(tf.where(tf.math.is_finite(rate) & is_sound, self._config.tau, 0.0))
        norm = tf.where(is_sound, steps[0].norm, np.nan)
        means = [tf.reduce_mean(x) for x in (q, targets, tf.abs(errors))]
        return tf.stack([q_loss, norm, *means, policy_loss, entropy, temperature])

    def _q_targets(self, given: Transitions, temperature: Tensor) -> Tensor:
        """``[N]`` R + D·(min Q_θ⁻(s', a') − α log π(a'|s')), a' drawn from the policy."""
        import tensorflow as tf

        returns, discounts = tf.unstack(given.numbers)
        actions, log_prob = self._drawn(given.next_observations, given.updates, 0)
        after = tf.reduce_min(
            [
                self._q(n, given.next_observations, actions, target)
                for n, target in enumerate(self._targets)
            ],
            axis=0,
        )
        return tf.stop_gradient(returns + discounts * (after - temperature * log_prob))

    def _drawn(
        self, observations: Mapping[str, Tensor], updates: Tensor, purpose: int
    ) -> tuple[Tensor, Tensor]:
        """Actions ``[N, k]`` that the policy draws now, and their log-densities ``[N]``."""
        import tensorflow as tf
        from keras import ops

        outputs = self._network.apply(observations)
        mean, log_std = (outputs[name] for name in self.acting_outputs)
        # Runs of different seeds draw differently at the same update.
        seed = tf.stack([updates, seed32(self._network.seed, purpose)])
        noise = tf.random.stateless_normal(tf.shape(mean), seed=seed)
        actions, log_prob = squashed_gaussian.reparametrised(ops, mean, log_std, noise)
        return actions, tf.reduce_sum(log_prob, axis=-1)

    def _q(
        self,
        n: int,
        observations: Mapping[str, Tensor],
        actions: Tensor,
        variables: Mapping[str, Variable] | None = None,
    ) -> Tensor:
        """``[N]`` Q of one network, by its own variables or its target's."""
        require((None, self._size), "float32", actions=actions)
        return self.critics[n].apply({**observations, ACTION: actions}, variables)["q"][:, 0]

    @property
    def _target_entropy(self) -> float:
        wanted = self._config.target_entropy
        return -float(self._size) if wanted is None else wanted

    def _follow(self, share: Tensor) -> None:
        """Moves every target network by a share of the way to its Q network."""
        for critic, target in zip(self.critics, self._targets, strict=True):
            for path, variable in target.items():
                if path not in critic.shared:
                    variable.assign_add(share * (critic.variables[path] - variable))

    def prepare(self, ticks: int, slots: int) -> None:
        """Runs one update on zeros, then restores the state. T and B follow from the config."""
        before = self.state()
        rows = self._config.batch_size
        seen = {
            path: np.zeros((rows, *leaf.shape), leaf.dtype)
            for path, leaf in self._network.observations.items()
        }
        actions = np.zeros((rows, self._size), np.float32)
        numbers = np.zeros((2, rows), np.float32)
        self._graph(np.float32(0), Transitions(np.int32(0), actions, numbers, seen, seen))
        self.restore(before)

    def state(self) -> Arrays:
        """Copies of all variables, with the targets' and the number of updates."""
        self._updates_kept.assign(self._updates)
        return super().state()

    def restore(self, state: Arrays) -> None:
        """Restores what :meth:`state` returned.

        Raises:
            CheckpointError: The state belongs to another model.
        """
        super().restore(state)
        self._updates = int(self._updates_kept.numpy())


class _Adam:
    """Adam on some variables."""

    def __init__(self, variables: dict[str, Variable], config: SacConfig) -> None:
        self.variables = list(variables.values())
        self.optimiser: Optimiser = make_optimiser("adam", variables, config.epsilon)
        self.max_norm = config.max_grad_norm

    def kept(self, name: str) -> dict[str, Variable]:
        """Its own variables, by their names in a checkpoint."""
        return {f"optimiser/{name}/{slot}": v for slot, v in self.optimiser.slots().items()}


class _Step:
    """A gradient, and a step along it that may still be left out; inside a graph.

    Attributes:
        loss: A scalar.
        norm: The gradient's global norm.
    """

    def __init__(self, of: _Adam, tape: GradientTape, loss: Tensor) -> None:
        import tensorflow as tf

        self._of = of
        self._gradients = tape.gradient(loss, of.variables)
        self.loss = loss
        self.norm = tf.linalg.global_norm(self._gradients)

    def take(self, rate: Tensor) -> None:
        """Takes the step; not at a rate that is no number."""
        descend(self._of.optimiser, self._gradients, self.loss, rate, self._of.max_norm)


def _real(actions: Space) -> Leaf:
    """The only leaf of a space of bounded real numbers.

    Raises:
        ConfigError: The space is another one.
    """
    leaves = list(actions.items())
    if len(leaves) != 1 or leaves[0][1].is_discrete:
        raise ConfigError(
            f"sac draws real numbers, in one Box; the actions here are {described(actions)}. "
            "Use ppo or impala, which act in any space, or dqn for a choice among values."
        )
    return leaves[0][1]
