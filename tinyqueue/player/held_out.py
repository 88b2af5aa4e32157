"""States that nothing is trained on, the same for every policy: what each expects of them compares.

DQN's second measure of progress is the average of max Q over a fixed set of states, collected by
a random policy before training (Mnih et al. 2013, arXiv:1312.5602, section 5.1; "Human-level
control", 2015, figure 2). It moves less from one checkpoint to the next than returns do.

The set here is what uniformly random actions saw in the first 512 ticks of 8 environments, about
4,000 states. In a short game these are dozens of episodes; of a long one they are its beginning
and middle, such as half a game of Pong, and nothing that only a good player reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import Uniform

TICKS, SLOTS = 512, 8
SEED = 2**64
"""No stage of a run has it: theirs have 63 bits at most."""


class _NoPolicy:
    """Random actions ask nothing of a network, so none is run; a state stays nought."""

    version = env_steps = 0
    uses_previous = False

    def run(
        self, observations: Arrays, state: Arrays, previous: tuple[Array, Array] | None = None
    ) -> tuple[Arrays, Arrays]:
        return {}, state


def held_out_states(
    spec: PlaySpec,
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
        modules: This machine's modules that register environments.
        ticks, slots: T and B.
        seed: Where every draw comes from: the same seed gives the same states.

    Raises:
        EnvironmentMismatchError, UnknownNameError, ConfigError, MissingExtraError: As of
            :class:`Stage`.
    """
    stage = Stage(
        spec.model_copy(update={"ticks": ticks, "slots": slots}),
        user="",
        player="",
        seed=seed,
        modules=modules,
        head=Uniform(spec.actions),
    )
    try:
        return stage.play(_NoPolicy(), task="")
    finally:
        stage.close()
