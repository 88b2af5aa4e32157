"""Mutated messages of every kind through the learner's own consumer: nothing may come of them.

    python benchmarks/mutations.py --count 1000000 --seed 1 --json

Valid sessions, evaluations, signs and failures are damaged in bodies, headers, properties and raw
AMQP frames, and go through what a learner runs: the frame handler, the border, InHand, Ingest and
a Ledger on disk that stores every accepted batch. Only the socket is missing. Afterwards every
message must be acked, the ledger must balance, and the memory must be what it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from struct import pack
from types import SimpleNamespace
from typing import Any

import amqp
import structlog
from amqp import spec
from amqp.serialization import dumps
from measuring import memory_mb
from mutated_messages import EXPERIMENT, LOGIN, RUN, Corpus, contract

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.amqp_frames import tolerant_frame_handler
from tinyqueue.bus.in_hand import InHand
from tinyqueue.bus.messages import Delivery
from tinyqueue.bus.rabbitmq_consuming import delivery_of
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.learner.ingest import Ingest
from tinyqueue.ledger.ledger import Ledger

TAG = "1"
"""Of the consumer."""
GROUP = 64
"""Messages between two commits, as a busy learner has them."""
WARM_UP = 2_000
WRONG = ("unacked", "failures", "without_fate", "off_balance")
"""What must be 0."""


class Bench:
    """A learner's consumer without its socket.

    Args:
        folder: For the ledger.
        seed: Of the corpus.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.corpus = Corpus(seed)
        self.ledger = Ledger(folder / "sessions.db", experiment=EXPERIMENT, run=RUN)
        self._experience = StreamExperience(1, self.ledger.knows, log_every_s=0.0)
        self.letters: Counter[str] = Counter()
        self._told: deque[object] = deque(maxlen=100)
        self.ingest = Ingest(
            contract(),
            self.ledger,
            self._experience,
            max_policy_lag=10,
            head=lambda: 5,
            heard=lambda *_: None,
            failed=lambda failure, _login: self._told.append(failure),
            setbacks=Setbacks(lambda _: None, 60.0),
            evaluated=self._told.append,
            check_lease=lambda: None,
        )
        consumer: Any = self
        self.in_hand = InHand(consumer, consumer, self._settle)
        self.on_delivery, self.refused = self.ingest.on_delivery, self.ingest.refused
        self._channel = _channel(self._arrive)
        self._read = tolerant_frame_handler(self._channel.connection, self._dispatch)
        self._arrived: list[Delivery] = []
        self.sent = self.acked = self.marks = self.others = 0

    def put(self, delivery: Delivery, reason: str) -> bool:
        """Stands for the dead letters."""
        self.letters[reason] += 1
        return True

    def commit(self, settled: Sequence[tuple[Delivery, Any]]) -> None:
        """Passes a group on to the ledger, and counts what the ledger then must have."""
        self.ingest.commit(settled)
        marked = sum(mark is not None for _, mark in settled)
        self.marks += marked
        self.others += len(settled) - marked

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Stands for the connection."""
        self.acked += len(deliveries)

    def run(self, count: int) -> None:
        """Sends so many messages; at the end all of them must be acked."""
        for begin in range(0, count, GROUP):
            for _ in range(min(GROUP, count - begin)):
                self._send()
            arrived, self._arrived = self._arrived, []
            self.in_hand.hand_over(arrived, self)
            self.train()
            self.in_hand.finish(self)
        self.in_hand.finish(self)

    def train(self) -> None:
        """Stands for the updates: accepts what has come."""
        while (taken := self._experience.take(timeout_s=0.0)) is not None:
            self._experience.trained(taken, Update({}))

    def close(self) -> None:
        """Closes the ledger."""
        self.ledger.close()

    def _send(self) -> None:
        message = self.corpus.message()
        self.sent += 1
        arguments = dumps("sLbss", (TAG, self.sent, False, "experience", f"{EXPERIMENT}.{LOGIN}"))
        self._read((1, 1, pack(">HH", *spec.Basic.Deliver) + arguments))
        is_whole = self._read((2, 1, self.corpus.frame(message)))
        if message[0] and not is_whole:
            self._read((3, 1, message[0]))

    def _dispatch(
        self, channel: int, method: tuple[int, int], payload: bytes, content: Any
    ) -> None:
        self._channel.dispatch_method(method, payload, content)

    def _arrive(self, message: Any) -> None:
        delivery = delivery_of(message.body, message.properties, message.delivery_info)
        self._arrived.append(delivery)

    def _settle(self, delivery: Delivery, mark: Any, set_aside: str | None = None) -> None:
        self.in_hand.settle(delivery, mark, set_aside)


def measure(count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Sends mutations and returns what came of them.

    Args:
        count: Messages after the warm-up.
        seed: Of the corpus.
        folder: For the ledger.
    """
    bench = Bench(folder, seed)
    try:
        bench.run(WARM_UP)
        before_mb = memory_mb(os.getpid())[0]
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        bench.run(count)
        took_s, took_cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
        after_mb = memory_mb(os.getpid())[0]
        counted = bench.ledger.count()
    finally:
        bench.close()
    dropped = sum(counted.dropped.values())
    known = counted.accepted + sum(counted.set_aside.values()) + dropped + counted.duplicates
    fates = bench.marks + bench.others + bench.in_hand.duplicates
    return {
        "count": count,
        "seed": seed,
        "per_s": round(count / took_s),
        "per_cpu_s": round(count / took_cpu_s),
        "unacked": bench.sent - bench.acked,
        "failures": bench.in_hand.failures,
        "grown_mb": round(after_mb - before_mb, 1),
        "accepted": counted.accepted,
        "set_aside": dict(sorted(bench.letters.items())),
        "dropped": dropped,
        "without_fate": bench.sent - fates,
        "off_balance": bench.marks - known,
    }


def _channel(arrive: Callable[[Any], object]) -> Any:
    """py-amqp's channel as a connection opens it, without that connection."""
    connection: Any = SimpleNamespace(
        bytes_recv=0, channels={}, confirm_publish=False, _claim_channel_id=lambda _: None
    )
    channel: Any = amqp.Channel(connection, 1)
    channel.callbacks[TAG] = arrive
    return channel


def main() -> None:
    """Prints what came of the mutations; exits 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments.count, arguments.seed, Path(folder))
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")
    sys.exit(any(found[name] for name in WRONG))


if __name__ == "__main__":
    main()
