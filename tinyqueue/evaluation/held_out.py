"""A fixed set of states that no policy is trained on. What policies expect of them can be compared.

DQN's second measure of progress is the average of max Q over a fixed set of states, collected by
a random policy before training (Mnih et al. 2013, arXiv:1312.5602, section 5.1; "Human-level
control", 2015, figure 2). It varies less between checkpoints than returns do.

The set here is what uniformly random actions see in the first 512 ticks of 8 environments: about
4,000 states. In a short game these are dozens of episodes; in a long one they are its beginning
and middle, such as half a game of Pong, without states that only a good player reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.heads import Uniform
from tinyqueue.policy.rollout import Previous

TICKS, SLOTS = 512, 8
SEED = 2**64
"""No stage of a run has this seed: theirs have 63 bits at most."""


class RandomStage(Protocol):
    """Environments played in parallel, as by :class:`tinyqueue.player.stage.Stage`."""

    def play(self, runner: NoPolicy, task: str) -> SessionBatch:
        """The next session batch."""

    def close(self) -> None:
        """Closes the environments."""


class NoPolicy:
    """A runner without a network, for random actions. Recurrent state stays zero."""

    version = env_steps = 0
    uses_previous = False

    def run(
        self, observations: Arrays, state: Arrays, previous: Previous | None = None
    ) -> tuple[Arrays, Arrays]:
        """No outputs, and the state unchanged."""
        return {}, state


def held_out_states(
    spec: PlaySpec,
    open_stage: Callable[..., RandomStage],
    *,
    modules: Sequence[str] = (),
    ticks: int = TICKS,
    slots: int = SLOTS,
    seed: int = SEED,
) -> SessionBatch:
    """Plays the set: one session batch that starts with a reset, so its carry is zero.

    It depends only on the spec's environment, action space and shapes of recurrent state, not on
    anything learned. Lost lives end episodes if they do in training.

    Args:
        spec: The spec of the policies to compare.
        open_stage: :class:`tinyqueue.player.stage.Stage`, which is in a layer above this package.
        modules: This machine's modules that register environments.
        ticks, slots: T and B; T × B and 1 for an environment of which a process has one.
        seed: Seed of everything random: the same seed gives the same states.

    Raises:
        EnvironmentMismatchError, UnknownNameError, ConfigError, MissingExtraError: As in
            ``open_stage``.
    """
    if spec.environment.is_alone:
        ticks, slots = ticks * slots, 1
    stage = open_stage(
        spec.model_copy(update={"ticks": ticks, "slots": slots}),
        user="",
        player="",
        seed=seed,
        modules=modules,
        head=Uniform(spec.actions),
    )
    try:
        return stage.play(NoPolicy(), task="")
    finally:
        stage.close()
