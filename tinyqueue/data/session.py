"""The session batch: T ticks of B slots under one policy version, the experience players send.

Arrays are time-major. Row t holds what the policy saw, what it did and what came of it. An
extra row of observations ends the batch, for bootstrapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.identity import batch_id
from tinyqueue.data.pace import Pace
from tinyqueue.data.spaces import Array, Arrays

SCHEMA = 1
"""Version of the session format. A learner accepts only its own."""


@dataclass(frozen=True)
class Drop:
    """Batches of this stage that its player gave up, and the reason for it.

    Attributes:
        n: Number of the first one.
        reason: Why, in a few lower-case letters.
        count: How many there are, one after the other.
    """

    n: int
    reason: str
    count: int = 1


@dataclass(frozen=True)
class Header:
    """Where a session batch comes from.

    Attributes:
        experiment, run: The run that it was played for.
        stage: Random id of the stage, 32 hexadecimal digits.
        n: Position among the stage's batches, from 0. (stage, n) and (stage, n+1) are
            contiguous in every slot; nothing else is.
        user: Broker login of the worker.
        player: Host, process id and worker name, for people to read.
        policy_version: The weights that chose every action of the batch.
        spec_version: The experiment spec that the stage was built from.
        task: The play task in which it was played. A task that runs twice makes new
            experience, not duplicates.
        ended_tasks: Tasks of this child that ended since its last confirmed batch,
            ``task`` among them when the batch is its last.
        seed: The stage's seed, from which the seed of every slot is derived.
        play_s: Seconds it took to play.
        dropped: Batches given up since the last confirmed one.
        epsilons: Exploration rate ε per slot; empty where the head does not explore by ε.
        faults: Environment failures while it was played. Each cost its slot the episode.
        fault: Text of the last failure; empty when there was none.
        pace: How soon the environment got its actions; None unless it owns its clock.
        credit: The credit for which it was played; 0 where the learner issues none.
    """

    experiment: str
    run: str
    stage: str
    n: int
    user: str
    player: str
    policy_version: int
    spec_version: int
    task: str = ""
    ended_tasks: tuple[str, ...] = ()
    seed: int = 0
    play_s: float = 0.0
    dropped: tuple[Drop, ...] = ()
    epsilons: tuple[float, ...] = ()
    faults: int = 0
    fault: str = ""
    pace: Pace | None = None
    credit: int = 0

    @property
    def batch_id(self) -> str:
        """``<stage>:<n>``."""
        return batch_id(self.stage, self.n)


@dataclass(frozen=True)
class SessionBatch:
    """T ticks of B slots.

    Attributes:
        observations: path → ``[T+1, B, *obs]``: single frames, never stacks. The last row
            is for bootstrapping.
        actions: path → ``[T, B, *act]``.
        rewards: ``[T, B]`` float32, as the environment gave them.
        terminated, truncated: ``[T, B]`` bool, kept apart.
        valid: ``[T, B]`` bool, false on an autoreset tick, which ignores its action and leads
            from an episode's final observation to the first of the next.
        extras: What the action head recorded: name → ``[T, B, …]``, or ``[T+1, B, …]``
            for values and masks.
        carry: What came before tick 0: name → ``[B, …]``. ``episode_steps``,
            ``previous_reward``, ``previous_action/<path>``, ``state/<path>``, ``frames/<path>``
            (:mod:`tinyqueue.data.names`).
        episodes: The episodes that ended in this batch.
    """

    header: Header
    observations: Arrays
    actions: Arrays
    rewards: Array
    terminated: Array
    truncated: Array
    valid: Array
    extras: Arrays = field(default_factory=dict)
    carry: Arrays = field(default_factory=dict)
    episodes: Episodes = field(default_factory=Episodes.none)

    @property
    def ticks(self) -> int:
        """T."""
        return int(self.rewards.shape[0])

    @property
    def slots(self) -> int:
        """B."""
        return int(self.rewards.shape[1])

    @property
    def env_steps(self) -> int:
        """Environment steps: the number of valid ticks. The unit of every clock and schedule."""
        return int(np.count_nonzero(self.valid))
