"""Behaviour cloning: a new network learns to play from the games of a policy, by ``model.fit``.

    pip install -c constraints.txt -e '.[atari,learner]'    # in a clone, which has the sample
    python examples/clone_pong.py --steps 400

The sample plays Pong in this process (``tinyqueue.datasets.Games``), a replay mixes its newest
transitions, and a thread prepares the next batch while Keras trains. The share of equal actions
is printed: about 1/6 by chance; the teacher draws its actions, so it cannot reach 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tinyqueue.datasets import Games
from tinyqueue.models.keras_import import import_keras

SAMPLE = Path(__file__).parent.parent / "samples/pong"


def pair(transition: dict[str, Any]) -> tuple[Any, Any]:
    """What was seen, ``[N, 84, 84, 4]`` with the frames as channels, and what was done."""
    return transition["observations"].transpose(0, 2, 3, 1), transition["actions"]


def student(actions: int) -> Any:
    """A small convolutional network, from frames to the probabilities of actions."""
    _, keras = import_keras()
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((84, 84, 4), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 8, 4, activation="relu"),
            layers.Conv2D(32, 4, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(actions, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-4), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def main() -> None:
    """Trains the student and prints how often it does what the teacher did."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--policy", type=Path, default=SAMPLE, help="run or sample to learn from")
    parser.add_argument("--steps", type=int, default=400, help="gradient steps")
    wanted = parser.parse_args()
    options = {"capacity_steps": 8_000, "minimum_steps": 1_000, "samples_per_insert": 8.0}
    with Games(wanted.policy, ticks=64, slots=4) as games:
        mixed = games.replay(64, options=options).map(pair).prefetch(2)
        (action,) = games.spec.actions.values()
        history = student(action.n).fit(
            mixed, steps_per_epoch=min(50, wanted.steps), epochs=max(1, wanted.steps // 50)
        )
        mixed.close()
    print(f"same action as the teacher: {history.history['accuracy'][-1]:.2f}")


if __name__ == "__main__":
    main()
