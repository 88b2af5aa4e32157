#!/usr/bin/env python
"""Declares the exchange and the players' queues, and on request the queues of learners.

    scripts/declare-queues.py [EXPERIMENT:QUEUE_BATCHES[:BATCHES_PER_UPDATE] …]

Processes with TINYQUEUE_DECLARE=0 declare nothing. Run this once with the learner's
TINYQUEUE_BROKER_URL, so that players can start before any learner. For a learner with
TINYQUEUE_DECLARE=0, add its experiment, its learner.queue_batches and, where it differs from that,
its learner.batches_per_update: ``cartpole-impala:2:1``.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

from amqp.exceptions import PreconditionFailed
from celery.events.event import event_exchange
from kombu import Queue

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.topology import (
    KEPT_EXCHANGE,
    dead_letter_queue,
    experience_exchange,
    experience_queue,
    kept_queue,
    task_queues,
    unbind_from_players,
)
from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.settings import Settings, load_settings


class Wanted(NamedTuple):
    """An experiment whose queues are declared."""

    experiment: str
    queue_batches: int
    batches_per_update: int


def wanted(text: str) -> Wanted:
    """Parses ``EXPERIMENT:QUEUE_BATCHES[:BATCHES_PER_UPDATE]``.

    Raises:
        argparse.ArgumentTypeError: The text has another form.
    """
    experiment, *numbers = text.split(":")
    if not EXPERIMENT_PATTERN.match(experiment):
        raise argparse.ArgumentTypeError(f"{experiment!r} is not an experiment name")
    if len(numbers) not in (1, 2) or not all(map(is_number, numbers)):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be EXPERIMENT:QUEUE_BATCHES or "
            "EXPERIMENT:QUEUE_BATCHES:BATCHES_PER_UPDATE, such as cartpole-impala:2:1, with the "
            "experiment's learner.queue_batches and learner.batches_per_update"
        )
    return Wanted(experiment, int(numbers[0]), int(numbers[-1]))


def is_number(text: str) -> bool:
    """Whether it is a whole number above 0."""
    return text.isascii() and text.isdigit() and int(text) > 0


def queues(settings: Settings, experiments: list[Wanted]) -> list[Queue]:
    """All queues to declare, in order."""
    found = [dead_letter_queue(), *task_queues(settings)]
    for experiment, queue_batches, batches_per_update in experiments:
        if settings.queue_type == "classic":
            # First, because the other queue may dead-letter to it from the start.
            found.append(kept_queue(experiment, queue_batches, batches_per_update + 1))
        found.append(experience_queue(experiment, queue_batches, settings.queue_type))
    return found


def main() -> None:
    """Declares the queues and prints the name of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "experiments", nargs="*", type=wanted, metavar="EXPERIMENT:QUEUE_BATCHES[:…]"
    )
    experiments = parser.parse_args().experiments
    settings = load_settings()
    with Broker(settings.broker).open() as connection:
        channel = connection.channel()
        experience_exchange()(channel).declare()
        # By which workers are seen in Flower.
        event_exchange(channel).declare()
        found = queues(settings, experiments)
        for queue in found:
            try:
                queue(channel).declare()
            except PreconditionFailed as error:
                sys.exit(
                    f"error: {queue.name} exists with other arguments: {error}. "
                    "Let it drain and delete it, then run this again."
                )
            print(f"declared {queue.name}")
        for kept in (queue for queue in found if queue.exchange.name == KEPT_EXCHANGE):
            unbind_from_players(channel, kept)


if __name__ == "__main__":
    main()
