#!/usr/bin/env python
"""Declares the exchange and the players' queues, and on request the queues of learners.

    scripts/declare-queues.py [EXPERIMENT:QUEUE_BATCHES[:BATCHES_PER_UPDATE] …]

Processes with TINYQUEUE_DECLARE=0 declare nothing. Run this once with the learner's
TINYQUEUE_BROKER_URL, so that players can start before any learner. For a learner with
TINYQUEUE_DECLARE=0, add its experiment, its learner.queue_batches and its
learner.batches_per_update, which is 1 if left out, as in the experiment: ``pendulum-ppo:4:4``.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from amqp.exceptions import AccessRefused, PreconditionFailed
from celery.events.event import event_exchange
from kombu import Connection, Queue

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
from tinyqueue.connection_faults import plain
from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.errors import TinyqueueError
from tinyqueue.experiment.sections import LearnerConfig
from tinyqueue.settings import Settings, load_settings


class Wanted(NamedTuple):
    """An experiment whose queues are declared."""

    experiment: str
    queue_batches: int
    batches_per_update: int


def wanted(text: str) -> Wanted:
    """Parses ``EXPERIMENT:QUEUE_BATCHES[:BATCHES_PER_UPDATE]``; the last is 1 if left out.

    Raises:
        argparse.ArgumentTypeError: The text has another form.
    """
    experiment, *numbers = text.split(":")
    if not EXPERIMENT_PATTERN.match(experiment):
        raise argparse.ArgumentTypeError(f"{experiment!r} is not an experiment name")
    if len(numbers) not in (1, 2) or not all(map(is_number, numbers)):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be EXPERIMENT:QUEUE_BATCHES or "
            "EXPERIMENT:QUEUE_BATCHES:BATCHES_PER_UPDATE, such as pendulum-ppo:4:4, with the "
            "experiment's learner.queue_batches and learner.batches_per_update"
        )
    per_update = int(numbers[1]) if len(numbers) > 1 else LearnerConfig().batches_per_update
    return Wanted(experiment, int(numbers[0]), per_update)


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


def declare(experiments: list[Wanted]) -> None:
    """Declares everything and prints the name of each queue.

    Raises:
        TinyqueueError: The settings or the broker cannot be used, or a queue exists with other
            arguments.
    """
    settings = load_settings()
    broker = Broker(settings.broker)
    with broker.open() as connection, broker.preparing(connection):
        try:
            _declare(connection, settings, queues(settings, experiments))
        except AccessRefused as error:
            raise TinyqueueError(
                f"the login at {broker.masked_url} may not declare this: {plain(error)}. Use the "
                "learner's TINYQUEUE_BROKER_URL."
            ) from error


def _declare(connection: Connection, settings: Settings, found: list[Queue]) -> None:
    channel = connection.channel()
    experience_exchange()(channel).declare()
    # By which workers are seen in Flower.
    event_exchange(channel).declare()
    for queue in found:
        try:
            queue(channel).declare()
        except PreconditionFailed as error:
            vhost = urlsplit(settings.broker).path.removeprefix("/") or "/"
            raise TinyqueueError(
                f"{queue.name} exists with other arguments: {plain(error)}. End its learner and "
                f"delete it once it is empty: rabbitmqctl -p {unquote(vhost)} delete_queue "
                f"{queue.name} --if-empty. Then run this again."
            ) from error
        print(f"declared {queue.name}")
    for kept in (queue for queue in found if queue.exchange.name == KEPT_EXCHANGE):
        unbind_from_players(channel, kept)


def main() -> None:
    """Declares the queues, or says in a sentence why that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument(
        "experiments", nargs="*", type=wanted, metavar="EXPERIMENT:QUEUE_BATCHES[:…]"
    )
    try:
        declare(parser.parse_args().experiments)
    except TinyqueueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
