"""States that nothing is trained on, the same for every policy: what each expects of them compares.

DQN's second measure of progress is the average of max Q over a fixed set of states, collected by
a random policy before training (Mnih et al. 2013, arXiv:1312.5602, section 5.1; "Human-level
control", 2015, figure 2). It moves less from one checkpoint to the next than returns do.

The set here is what uniformly random actions saw in the first 512 ticks of 8 environments, about
4,000 states. In a short game these are dozens of episodes; of a long one they are its beginning
and middle, such as half a game of Pong, and nothing that only a good player reaches.
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
"""No stage of a run has it: theirs have 63 bits at most."""


class RandomStage(Protocol):
    """Environments that are played side by side, as by :class:`tinyqueue.player.stage.Stage`."""

    def play(self, runner: NoPolicy, task: str) -> SessionBatch:
        """The next session batch."""

    def close(self) -> None:
        """Closes the environments."""


class NoPolicy:
    """Random actions ask nothing of a network, so none is run; a state stays nought."""

    version = env_steps = 0
    uses_previous = False

    def run(
        self, observations: Arrays, state: Arrays, previous: Previous | None = None
    ) -> tuple[Arrays, Arrays]:
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
    """Plays the set: one session batch from a reset on, whose carry is therefore nought.

    It depends on the spec's environment, action space and shapes of recurrent state, and on
    nothing that was learned. Lost lives end episodes where they do in training.

    Args:
        spec: Of the policies that are to be compared.
        open_stage: :class:`tinyqueue.player.stage.Stage`, which is above this package.
        modules: This machine's modules that register environments.
        ticks, slots: T and B.
        seed: Where every draw comes from: the same seed gives the same states.

    Raises:
        EnvironmentMismatchError, UnknownNameError, ConfigError, MissingExtraError: As of
            ``open_stage``.
    """
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
