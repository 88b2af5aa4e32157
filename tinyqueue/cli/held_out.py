"""``tinyqueue evaluate --held-out``: what a checkpoint expects of states that are always the same.

The only part of that command that needs TensorFlow, and so imported only when it is asked for.
"""

from __future__ import annotations

from pathlib import Path

from tinyqueue.catalogue import make_experiment
from tinyqueue.cli.allowing import allowing
from tinyqueue.cli.policy_options import Choice
from tinyqueue.errors import CheckpointError
from tinyqueue.experiment.documents import read_document
from tinyqueue.learned import Learned
from tinyqueue.learner.critic import Critic
from tinyqueue.learner.held_out import Expected, expected
from tinyqueue.player.held_out import held_out_states
from tinyqueue.policy.sample import is_sample
from tinyqueue.settings import load_settings


def load_and_judge(run: Path, choice: Choice) -> tuple[Learned, Expected]:
    """One checkpoint both ways: what plays, and what its whole network expects.

    Raises:
        CheckpointError: ``run`` is a sample, or there is no such checkpoint.
        MissingExtraError: TensorFlow, or what the environment needs, is not installed.
        TinyqueueError: The experiment cannot be read, or the environment not be built here.
    """
    if is_sample(run):
        raise CheckpointError(
            f"{run} is a sample: of the network it holds only the half that acts, and --held-out "
            "asks the whole one. Give the run directory that it was exported from, or leave "
            "--held-out out."
        )
    checkpoint = choice.load_checkpoint(run)
    critic = Critic(make_experiment(read_document(run / "experiment.toml")), checkpoint)
    learned = Learned(checkpoint)
    settings = allowing(load_settings(), learned.spec.environment.id)
    states = held_out_states(learned.spec, modules=settings.environment_modules)
    return learned, expected(critic, states)
