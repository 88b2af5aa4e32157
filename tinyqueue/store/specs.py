"""What players need to play for an experiment: its spec and the graph of its policy."""

from __future__ import annotations

import hashlib

import redis

from tinyqueue.errors import ConfigError, MessageError, MissingVersionError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.store.client import answering, read
from tinyqueue.store.fence import FENCE, stale
from tinyqueue.store.keys import EXPERIMENTS, Keys

OLD_GRAPH_S = 600
"""How long a graph is kept after a spec with a new one, for players that hold the old spec."""

_PUBLISH = (
    FENCE
    + """
local newer = replaced_by(KEYS[1], KEYS[2], ARGV[1], ARGV[2])
if newer then return newer end
redis.call('SET', KEYS[3], ARGV[3])
redis.call('SET', KEYS[4], ARGV[4])
redis.call('SADD', KEYS[5], ARGV[5])
if KEYS[6] then redis.call('EXPIRE', KEYS[6], ARGV[6]) end
return false
"""
)


class SpecStore:
    """Specs and graphs of all experiments. Methods raise ServiceUnreachableError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def publish(self, spec: PlaySpec, graph: bytes, epoch: int = 0) -> None:
        """Makes this spec and its graph the current ones, in one atomic step.

        Args:
            spec: The spec.
            graph: The graph that it names.
            epoch: Epoch of the learner's lease; 0 where no learner has had one.

        Raises:
            MessageError: ``hash``: the graph's sha256 is not the one in the spec.
            StaleEpochError: A learner with a higher epoch, or of another run, has the lease.
        """
        _verify(graph, spec.graph_sha256)
        of = Keys(spec.experiment)
        keys = [of.epoch, of.lease, of.graph(spec.graph_sha256), of.spec, EXPERIMENTS]
        keys += self._leaving(spec)
        arguments = (epoch, spec.run, graph, spec.to_json(), spec.experiment, OLD_GRAPH_S)
        with answering(self._client):
            newer: object = self._client.eval(_PUBLISH, len(keys), *keys, *arguments)
        if newer is not None:
            raise stale(self._client, "the spec", spec.experiment, epoch, newer)

    def load(self, experiment: str, most_bytes: int | None = None) -> PlaySpec | None:
        """The current spec; None if no learner has ever published one.

        Args:
            experiment: Name of the experiment.
            most_bytes: A larger one is refused; without it, none is.

        Raises:
            ConfigError: Another tinyqueue version wrote it.
            MessageError: ``too-large``.
        """
        text = read(self._client, Keys(experiment).spec)
        if text is not None and most_bytes is not None and len(text) > most_bytes:
            raise MessageError(
                "too-large",
                f"the spec of {experiment!r} has {len(text)} bytes, and at most {most_bytes} are "
                "read; find out who published it",
            )
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

    def has_graph(self, spec: PlaySpec) -> bool:
        """Whether the store has the graph that a spec names; Redis may have evicted it."""
        with answering(self._client):
            return bool(self._client.exists(Keys(spec.experiment).graph(spec.graph_sha256)))

    def _leaving(self, spec: PlaySpec) -> list[str]:
        """The key of the graph that a new spec replaces, if it is another one."""
        try:
            before = self.load(spec.experiment)
        except ConfigError:
            return []
        if before is None or before.graph_sha256 == spec.graph_sha256:
            return []
        return [Keys(spec.experiment).graph(before.graph_sha256)]

    def experiments(self) -> list[str]:
        """Names of all experiments that have ever had a spec, in alphabetical order."""
        with answering(self._client):
            names = self._client.smembers(EXPERIMENTS)
        return sorted(name.decode() for name in names if isinstance(name, bytes))


def _verify(graph: bytes, sha256: str) -> None:
    found = hashlib.sha256(graph).hexdigest()
    if found != sha256:
        raise MessageError("hash", f"the graph's sha256 is {found[:12]}…, not {sha256[:12]}…")
