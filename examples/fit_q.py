"""A Q network by plain ``model.fit``, from what a run has recorded or from what is played now.

    tinyqueue train cartpole-dqn --max-env-steps 20000
    python examples/fit_q.py runs/cartpole-dqn/1

    python examples/fit_q.py --experiment cartpole-impala    # beside its learner, on RabbitMQ

Fitted Q iteration (Ernst et al., 2005, JMLR 6): the network is fitted to r + γ·max Q of itself a
round earlier, over and over, offline. One target per round, one call of ``fit``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tinyqueue.datasets import Dataset, SessionLog, Stream
from tinyqueue.models.keras_import import import_keras

GAMMA = 0.97
BATCH = 256


def q_network(size: int, actions: int) -> Any:
    """Two hidden layers, and a Q value per action."""
    _, keras = import_keras()
    layers = keras.layers
    hidden = [layers.Dense(64, "relu") for _ in range(2)]
    model = keras.Sequential([layers.Input((size,)), *hidden, layers.Dense(actions)])
    # Only the action that was taken has a target; the others are masked by a weight of 0.
    model.compile(keras.optimizers.Adam(1e-3), loss=masked_huber)
    return model


def masked_huber(target: Any, q: Any) -> Any:
    """Huber loss where the target is a number; NaN marks the actions that were not taken."""
    _, keras = import_keras()
    taken = keras.ops.logical_not(keras.ops.isnan(target))
    error = keras.ops.where(taken, target - q, 0.0)
    size = keras.ops.abs(error)
    huber = keras.ops.where(size <= 1.0, 0.5 * error**2, size - 0.5)
    return keras.ops.sum(huber, axis=-1)


def fitted(items: Dataset, size: int, actions: int, rounds: int) -> Any:
    """The network after so many rounds, each an epoch over the items, or 50 batches of a stream.

    Args:
        items: Gives transitions.
        size: Length of an observation.
        actions: Number of actions.
        rounds: How often the targets are made anew.
    """
    network, before = q_network(size, actions), q_network(size, actions)

    def targets(batch: dict[str, Any]) -> tuple[Any, Any]:
        then = np.asarray(before(batch["next_observations"])).max(axis=1)
        goals = np.full((len(then), actions), np.nan, np.float32)
        goals[np.arange(len(then)), batch["actions"]] = batch["returns"] + batch["discounts"] * then
        return batch["observations"], goals

    data = items.map(targets)
    steps = None if items.num_batches is not None else 50
    for number in range(rounds):
        before.set_weights(network.get_weights())
        history = network.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)
        print(f"round {number + 1}: loss {history.history['loss'][-1]:.4f}")
    return network


def mean_return(network: Any, episodes: int = 20) -> float:
    """Mean return of greedy episodes of CartPole-v1."""
    import gymnasium

    environment, total = gymnasium.make("CartPole-v1"), 0.0
    for seed in range(episodes):
        seen, _ = environment.reset(seed=seed)
        is_over = False
        while not is_over:
            action = int(np.asarray(network(seen[None]))[0].argmax())
            seen, reward, terminated, truncated, _ = environment.step(action)
            total += float(reward)
            is_over = terminated or truncated
    return total / episodes


def main() -> None:
    """Fits Q to a log or a stream of CartPole, and plays."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("run", nargs="?", type=Path, help="run directory with a session log")
    parser.add_argument("--experiment", help="read the live stream of this experiment instead")
    parser.add_argument("--rounds", type=int, default=40)
    wanted = parser.parse_args()
    if (wanted.run is None) == (wanted.experiment is None):
        parser.error("give either a run directory or --experiment")
    source = Stream(wanted.experiment) if wanted.experiment else SessionLog(wanted.run)
    with source:
        items = source.transitions(BATCH, gamma=GAMMA)
        network = fitted(items, size=4, actions=2, rounds=wanted.rounds)
    print(f"mean return of greedy episodes: {mean_return(network):.1f}")


if __name__ == "__main__":
    main()
