"""How far a policy moves when its statistics of observations do, beside what an update moves it.

    python benchmarks/statistics_drift.py pendulum-ppo --updates 20

One process plays and trains without a policy lag. After every update the statistics take in its
batches; the table shows the KL divergence that this alone brings about, on those batches, beside
the one between the policy that played and the policy after its update.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import deepcopy

import numpy as np

from tinyqueue.cli.experiments import configured, find_document
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.distributions import Factored
from tinyqueue.envs.describe import describe
from tinyqueue.experience.source import Taken
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import Built, build
from tinyqueue.learner.updater import Clock, Updater
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import LOG_PROB
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.wire.weights import WeightVersion


class Probe:
    """Log-probabilities of played actions by a player's graph with the present weights."""

    def __init__(self, built: Built, batches: list[SessionBatch]) -> None:
        self._built = built
        self._policy = Factored(built.spec.actions)
        self._batches = batches

    def log_probs(self) -> Array:
        """``[N]`` of all valid ticks."""
        export = self._built.export
        runner = PolicyRunner(export.graph, export.arrays(), 0)
        found = []
        for batch in self._batches:
            rows = {path: x[:-1][batch.valid] for path, x in batch.observations.items()}
            outputs = {k: v.copy() for k, v in runner.run(rows, {})[0].items()}
            actions = {path: x[batch.valid] for path, x in batch.actions.items()}
            found.append(self._policy.log_prob(np, outputs, actions))
        return np.concatenate(found)

    def played(self) -> Array:
        """``[N]`` as the player recorded them."""
        return np.concatenate([batch.extras[LOG_PROB][batch.valid] for batch in self._batches])


def divergence(old: Array, new: Array) -> float:
    """Schulman's estimate of KL(old ‖ new) from log-probabilities of actions of about ``old``."""
    return float(np.mean(np.exp(new - old) - 1.0 - (new - old)))


def measure(experiment: Experiment, updates: int) -> None:
    """Prints a row per update."""
    built = build(experiment, describe(experiment.environment), "0" * 32, deterministic=True)
    versions: list[WeightVersion] = []
    updater = Updater(
        experiment,
        built.algorithm,
        built.export,
        built.spec,
        clock=Clock(),
        epoch=1,
        next_version=lambda: len(versions),
        publish=versions.append,
        normalisation=built.normalisation,
    )
    updater.publish()
    stage = Stage(built.spec, user="bench", player="bench", seed=experiment.seed)
    observe = built.normalisation.observe
    print("env steps   KL of the update   KL of the statistics alone   mean ratio in the update")
    for _ in range(updates):
        newest = versions[-1]
        runner = PolicyRunner(built.export.graph, newest.arrays, newest.version)
        count = experiment.learner.batches_per_update
        played = [deepcopy(stage.play(runner, "t")) for _ in range(count)]
        probe = Probe(built, played)
        seen: list[tuple[Array, Array]] = []

        def looking(
            batches: Sequence[SessionBatch],
            probe: Probe = probe,
            seen: list[tuple[Array, Array]] = seen,
        ) -> None:
            before = probe.log_probs()
            observe(batches)
            seen.append((before, probe.log_probs()))

        built.normalisation.observe = looking  # type: ignore[method-assign]
        updater.update(Taken(played, played))
        ((before, after),) = seen
        print(
            f"{updater.clock.env_steps:9,} {divergence(probe.played(), probe.log_probs()):18.5f} "
            f"{divergence(before, after):28.6f} {updater.recent.metrics['mean_rho']:26.4f}"
        )
    stage.close()


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="a preset or TOML file that trains on the stream")
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    document, _ = find_document(options.name)
    measure(configured(document, options.set), options.updates)


if __name__ == "__main__":
    main()
