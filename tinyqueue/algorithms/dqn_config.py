"""Hyper-parameters of ``dqn`` and its presets, up to ``apex``.

A preset is a config with other defaults, so whatever it sets may be set back. Defaults are for
small tasks with vectors to see, most of them those of SB3-zoo for CartPole-v1; the settings of
the papers for Atari stand beside them. What is kept, and how often it is trained on, stands in
``[replay]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tinyqueue.algorithms.optimisers import OptimiserName
from tinyqueue.algorithms.ranges import (
    Count,
    CountOrNone,
    NotNegative,
    Positive,
    PositiveShare,
    Share,
)


@dataclass(frozen=True)
class DqnConfig:
    """``dqn``: 1-step Q learning from a replay with a target network."""

    uses_replay: ClassVar[bool] = True

    gamma: Share = 0.99
    """Discount per env step. 0.99 in every paper of the family; R2D2 0.997."""
    n_step: Count = 1
    """n of the n-step return. DQN 1, Rainbow and Ape-X 3, Acme 5."""
    double: bool = False
    """The online network chooses the next action, the target network values it."""
    dueling: bool = False
    """Q = V + A − mean A (Wang et al., 2016, arXiv:1511.06581)."""
    huber: bool = True
    """Huber loss with its bend at 1 instead of ½δ². DQN clips δ to ±1, which is the same."""
    prioritised: bool = False
    """Draw items by their last |δ| instead of all alike."""
    priority_exponent: Share = 0.6
    """α of prioritised draws. Ape-X 0.6, Rainbow 0.5, R2D2 0.9."""
    importance: Share = 0.4
    """β of the importance weights. Ape-X 0.4, Acme 0.2, R2D2 0.6."""
    importance_end: Share = 1.0
    """What β goes to, linearly, over ``importance_steps``. Rainbow: 1."""
    importance_steps: CountOrNone = 0
    """Updates until then; 0 keeps β as it is. Rainbow: the whole run."""
    batch_size: Count = 64
    """Items per update. SB3-zoo 64; Rainbow 32, Acme 256, Ape-X 512."""
    learning_rate: NotNegative = 2.3e-3
    """Step size of the optimiser. SB3-zoo 2.3e-3; Acme 1e-3; Rainbow and Ape-X 6.25e-5."""
    learning_rate_end: NotNegative = 0.0
    """What it falls to, linearly, over ``anneal_steps``."""
    anneal_steps: CountOrNone = 0
    """Env steps of that fall; 0 keeps the learning rate as it is."""
    optimiser: OptimiserName = "adam"
    """Ape-X and DQN: centred RMSProp, decay 0.95; Rainbow, Acme and SB3: Adam."""
    epsilon: Positive = 1e-8
    """Of the optimiser. Adam's paper 1e-8, Rainbow 1.5e-4; Ape-X's RMSProp 1.5e-7."""
    max_grad_norm: Positive = 10.0
    """Clip of the gradient's global norm. SB3 and Rainbow 10, Ape-X 40."""
    target_every_updates: Count = 128
    """Updates between copies into the target network. SB3-zoo copies before every round of 128;
    Acme 100, Ape-X 2,500."""
    reward_scale: Positive = 1.0
    """Factor on rewards. Every paper: 1."""
    reward_clip: Positive | None = None
    """Rewards beyond ± this are cut off. Atari: 1."""
    exploration: Literal["annealed", "by-slot"] = "annealed"
    """One ε that falls with the env steps, or for ever another in every slot, as in Ape-X."""
    exploration_start: Share = 1.0
    """Annealed ε at the first env step. SB3: 1."""
    exploration_end: Share = 0.04
    """Annealed ε in the end. SB3-zoo 0.04; DQN 0.1 on Atari, Rainbow 0.01."""
    exploration_steps: Count = 8_000
    """Env steps until then. SB3-zoo: 0.16 of 50,000; DQN on Atari a million frames."""
    exploration_base: PositiveShare = 0.4
    """ε by slot is base^(1 + power·u), u spread evenly over 0 … 1. Ape-X: 0.4."""
    exploration_power: NotNegative = 7.0
    """See ``exploration_base``. Ape-X: 7, so that ε goes from 0.4 to 0.0007."""


@dataclass(frozen=True)
class DoubleDqnConfig(DqnConfig):
    """``double-dqn`` (van Hasselt et al., 2016, arXiv:1509.06461)."""

    double: bool = True


@dataclass(frozen=True)
class RainbowLiteConfig(DoubleDqnConfig):
    """``rainbow-lite``: of Rainbow (Hessel et al., 2018, arXiv:1710.02298) all but noisy layers
    and the distribution of returns."""

    n_step: Count = 3
    """Rainbow: 3."""
    dueling: bool = True
    prioritised: bool = True
    priority_exponent: Share = 0.5
    """Rainbow: 0.5."""
    importance_steps: CountOrNone = 20_000
    """Rainbow takes the whole run; this is one of a small task."""
    learning_rate: NotNegative = 1e-3
    """Acme's for small tasks; Rainbow on Atari 6.25e-5."""


@dataclass(frozen=True)
class ApexConfig(RainbowLiteConfig):
    """``apex`` (Horgan et al., 2018, arXiv:1803.00933): another ε in every slot, large batches.

    On Atari: ``optimiser = "centred-rmsprop"``, ``epsilon = 1.5e-7``, ``learning_rate = 6.25e-5``,
    ``target_every_updates = 2500``, ``reward_clip = 1``.
    """

    priority_exponent: Share = 0.6
    importance_steps: CountOrNone = 0
    """Ape-X keeps β at 0.4."""
    batch_size: Count = 512
    max_grad_norm: Positive = 40.0
    target_every_updates: Count = 100
    """Acme's for small tasks; Ape-X on Atari 2,500."""
    exploration: Literal["annealed", "by-slot"] = "by-slot"


@dataclass(frozen=True)
class OneStepQConfig(DqnConfig):
    """``q-1step``: asynchronous one-step Q learning (Mnih et al., 2016, arXiv:1602.01783).

    Meant for a replay as short as a queue: a small ``replay.capacity_steps``, as the preset
    ``cartpole-q-1step`` has. Every slot keeps an ε of its own, as every thread did.
    """

    huber: bool = False
    batch_size: Count = 256
    learning_rate: NotNegative = 1e-3
    """With Adam. The paper draws it from 1e-4 … 1e-2, for RMSProp with shared statistics."""
    max_grad_norm: Positive = 40.0
    target_every_updates: Count = 40
    """40 × 256 env steps; the paper copied every 10,000 env steps (40,000 frames)."""
    exploration: Literal["annealed", "by-slot"] = "by-slot"


@dataclass(frozen=True)
class NStepQConfig(OneStepQConfig):
    """``q-nstep``: asynchronous n-step Q learning, of the same paper."""

    n_step: Count = 5
    """The paper's t_max on Atari: 5."""
