#!/usr/bin/env python
"""Declares the exchange and the players' queues, and on request the queues of learners.

    scripts/declare-queues.py [EXPERIMENT:QUEUE_BATCHES …]

Processes with TINYQUEUE_DECLARE=0 declare nothing. Run this once with the learner's
TINYQUEUE_BROKER_URL, so that players can start before any learner. For a learner with
TINYQUEUE_DECLARE=0, add its experiment and its learner.queue_batches: ``cartpole-impala:2``.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

from amqp.exceptions import PreconditionFailed
from kombu import Queue

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.topology import (
    dead_letter_queue,
    experience_exchange,
    experience_queue,
    kept_queue,
    task_queues,
)
from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.settings import Settings, load_settings


class Wanted(NamedTuple):
    """An experiment whose queues are declared."""

    experiment: str
    queue_batches: int


def wanted(text: str) -> Wanted:
    """Parses ``EXPERIMENT:QUEUE_BATCHES``.

    Raises:
        argparse.ArgumentTypeError: The text has another form.
    """
    experiment, _, number = text.partition(":")
    if not EXPERIMENT_PATTERN.match(experiment):
        raise argparse.ArgumentTypeError(f"{experiment!r} is not an experiment name")
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be EXPERIMENT:QUEUE_BATCHES, such as cartpole-impala:2, with the "
            "experiment's learner.queue_batches"
        )
    return Wanted(experiment, int(number))


def queues(settings: Settings, experiments: list[Wanted]) -> list[Queue]:
    """All queues to declare, in order."""
    found = [dead_letter_queue(), *task_queues(settings)]
    for experiment, queue_batches in experiments:
        # First, because the other queue may dead-letter to it from the start.
        found.append(kept_queue(experiment))
        found.append(experience_queue(experiment, queue_batches, settings.queue_type))
    return found


def main() -> None:
    """Declares the queues and prints the name of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("experiments", nargs="*", type=wanted, metavar="EXPERIMENT:QUEUE_BATCHES")
    experiments = parser.parse_args().experiments
    settings = load_settings()
    with Broker(settings.broker).open() as connection:
        channel = connection.channel()
        experience_exchange()(channel).declare()
        for queue in queues(settings, experiments):
            try:
                queue(channel).declare()
            except PreconditionFailed as error:
                sys.exit(
                    f"error: {queue.name} exists with other arguments: {error}. "
                    "Let it drain and delete it, then run this again."
                )
            print(f"declared {queue.name}")


if __name__ == "__main__":
    main()
