"""What players need to play for an experiment: its spec and the graph of its policy."""

from __future__ import annotations

import hashlib

import redis

from tinyqueue.errors import MessageError, MissingVersionError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.store.client import answering, read
from tinyqueue.store.keys import EXPERIMENTS, Keys

OLD_GRAPH_S = 600
"""How long a graph is kept after a spec with a new one, for players that hold the old spec."""


class SpecStore:
    """Specs and graphs of all experiments. Methods raise ServiceUnreachableError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def publish(self, spec: PlaySpec, graph: bytes) -> None:
        """Makes this spec and its graph the current ones.

        Raises:
            MessageError: ``hash``: the graph's sha256 is not the one in the spec.
        """
        _verify(graph, spec.graph_sha256)
        keys = Keys(spec.experiment)
        before = self.load(spec.experiment)
        with answering(self._client), self._client.pipeline(transaction=True) as batch:
            batch.set(keys.graph(spec.graph_sha256), graph)
            batch.set(keys.spec, spec.to_json())
            batch.sadd(EXPERIMENTS, spec.experiment)
            if before and before.graph_sha256 != spec.graph_sha256:
                batch.expire(keys.graph(before.graph_sha256), OLD_GRAPH_S)
            batch.execute()

    def load(self, experiment: str) -> PlaySpec | None:
        """The current spec; None if no learner has ever published one.

        Raises:
            ConfigError: Another tinyqueue version wrote it.
        """
        text = read(self._client, Keys(experiment).spec)
        return None if text is None else PlaySpec.from_json(text)

    def graph(self, experiment: str, sha256: str) -> bytes:
        """The ONNX graph with this hash, verified.

        Raises:
            MissingVersionError: It is not in the store; the spec that names it is outdated.
            MessageError: ``hash``: the bytes are not those that were published.
        """
        graph = read(self._client, Keys(experiment).graph(sha256))
        if graph is None:
            raise MissingVersionError(
                f"the graph {sha256[:12]}… of {experiment!r} is not in the store. "
                "Load the experiment's spec again: its learner has published another."
            )
        _verify(graph, sha256)
        return graph

    def experiments(self) -> list[str]:
        """Names of all experiments that have ever had a spec, in alphabetical order."""
        with answering(self._client):
            names = self._client.smembers(EXPERIMENTS)
        return sorted(name.decode() for name in names if isinstance(name, bytes))


def _verify(graph: bytes, sha256: str) -> None:
    found = hashlib.sha256(graph).hexdigest()
    if found != sha256:
        raise MessageError("hash", f"the graph's sha256 is {found[:12]}…, not {sha256[:12]}…")
