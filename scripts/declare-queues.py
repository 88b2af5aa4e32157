#!/usr/bin/env python
"""Declares the queues that players consume and the exchange that they publish to.

Players with TINYQUEUE_DECLARE=0 declare nothing; run this once with the learner's
TINYQUEUE_BROKER_URL so that they may start before any learner has.
"""

from __future__ import annotations

from kombu import Connection

from tinyqueue.bus.topology import dead_letter_queue, experience_exchange, task_queues
from tinyqueue.settings import load_settings


def main() -> None:
    settings = load_settings()
    with Connection(settings.broker, connect_timeout=10) as connection:
        channel = connection.channel()
        experience_exchange()(channel).declare()
        for queue in (dead_letter_queue(), *task_queues(settings)):
            queue(channel).declare()
            print(f"declared {queue.name}")


if __name__ == "__main__":
    main()
