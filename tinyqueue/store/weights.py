"""Weight versions: immutable, strictly rising, fenced by the learner's epoch."""

from __future__ import annotations

import redis

from tinyqueue.errors import MessageError, MissingVersionError, StaleEpochError
from tinyqueue.store.client import answering, misread, read
from tinyqueue.store.fence import FENCE, stale
from tinyqueue.store.keys import Keys
from tinyqueue.wire.weights import WeightVersion, decode_weights, encode_weights

KEPT_VERSIONS = 8
"""This many of the newest versions are kept without a time limit."""
LEAVING_S = 30
"""How long a version is kept after it has left the newest, for players that are reading it."""

_PUBLISH = (
    FENCE
    + """
local head, epoch, versions = KEYS[1], KEYS[2], KEYS[3]
local version = tonumber(ARGV[1])
local newer = replaced_by(epoch, KEYS[5], ARGV[2], ARGV[8])
if newer then return {'epoch', newer} end
local newest = redis.call('GET', head)
if newest and version <= tonumber(newest) then
  if version == tonumber(newest) and redis.call('GET', KEYS[4]) == ARGV[3] then return {'ok'} end
  return {'version', newest}
end
redis.call('SET', KEYS[4], ARGV[3])
redis.call('SET', epoch, ARGV[2])
redis.call('SET', head, ARGV[1])
redis.call('LPUSH', versions, ARGV[1])
while redis.call('LLEN', versions) > tonumber(ARGV[4]) do
  local old = redis.call('RPOP', versions)
  local pinned_ms = redis.call('PTTL', ARGV[6] .. old)
  redis.call('PEXPIRE', ARGV[7] .. old, math.max(tonumber(ARGV[5]), pinned_ms))
end
return {'ok'}
"""
)

_PIN = """
local left_ms = redis.call('PTTL', KEYS[1])
if left_ms == -2 then return 0 end
local ttl_ms = tonumber(ARGV[1])
if redis.call('PTTL', KEYS[2]) < ttl_ms then redis.call('SET', KEYS[2], 1, 'PX', ttl_ms) end
if left_ms >= 0 and left_ms < ttl_ms then redis.call('PEXPIRE', KEYS[1], ttl_ms) end
return 1
"""


class WeightStore:
    """Weight versions of one experiment. Methods raise ServiceUnreachableError."""

    def __init__(self, client: redis.Redis, experiment: str) -> None:
        self._client = client
        self._experiment = experiment
        self._keys = Keys(experiment)

    def head(self) -> int:
        """Number of the newest version; −1 if there is none. One GET."""
        text = read(self._client, self._keys.head)
        return -1 if text is None else int(text)

    def publish(self, weights: WeightVersion) -> None:
        """Stores a version and makes it the head, in one atomic step.

        A publish that timed out may be repeated: the same bytes under the head's number count
        as done.

        Raises:
            StaleEpochError: A learner with a higher epoch has published, another run holds the
                lease (Redis may have lost the epochs), or the version is not above the head.
        """
        keys, body = self._keys, encode_weights(weights)
        with answering(self._client):
            said: list[bytes] = self._client.eval(
                _PUBLISH,
                *(5, keys.head, keys.epoch, keys.versions, keys.weights(weights.version)),
                keys.lease,
                *(weights.version, weights.epoch, body),
                *(KEPT_VERSIONS, LEAVING_S * 1000, keys.pin(""), keys.weights("")),
                weights.run,
            )
        if not isinstance(said, list) or said[:1] not in ([b"ok"], [b"epoch"], [b"version"]):
            raise misread(self._client, said)
        if said[0] == b"epoch":
            what = f"weight version {weights.version}"
            raise stale(self._client, what, self._experiment, weights.epoch, said[-1])
        if said[0] == b"version":
            raise StaleEpochError(
                f"weight version {weights.version} of {self._experiment!r} was refused: the head "
                f"is already {int(said[1])}, and a version is never published twice. Reserve "
                "versions above the head."
            )

    def fetch(self, version: int | None = None) -> WeightVersion:
        """The weights of a version, by default of the head.

        Raises:
            MissingVersionError: The version is no longer kept, or none has been published.
            MessageError: The bytes are not those that were published.
        """
        if version is not None:
            found = self._get(version)
            if found is None:
                raise MissingVersionError(
                    f"weight version {version} of {self._experiment!r} is not in the store. "
                    "Fetch the newest, or pin a version before it is replaced."
                )
            return found
        newest = self.fetch_if_newer(-1)
        if newest is None:
            raise MissingVersionError(
                f"{self._experiment!r} has no weights in the store yet. Its learner publishes "
                "them when it starts."
            )
        return newest

    def fetch_if_newer(self, than: int) -> WeightVersion | None:
        """The head's weights, or None after a single GET if the head is not above ``than``.

        Raises:
            MessageError: The bytes are not those that were published.
            MissingVersionError: Redis has lost the head's weights.
        """
        head = self.head()
        while head > than:
            found = self._get(head)
            if found is not None:
                return found
            before, head = head, self.head()
            if head == before:
                raise MissingVersionError(
                    f"weight version {head}, the head of {self._experiment!r}, is not in the "
                    "store. Its learner will publish a new one soon; keep the present weights."
                )
        return None

    def pin(self, version: int, ttl_s: float) -> None:
        """Keeps a version for at least ``ttl_s`` seconds from now, whatever is published.

        Raises:
            MissingVersionError: It is already gone.
        """
        keys = self._keys
        with answering(self._client):
            done = self._client.eval(
                _PIN, 2, keys.weights(version), keys.pin(version), round(ttl_s * 1000)
            )
        if not done:
            raise MissingVersionError(
                f"weight version {version} of {self._experiment!r} cannot be pinned: it is no "
                "longer in the store. Pin the head."
            )

    def _get(self, version: int) -> WeightVersion | None:
        body = read(self._client, self._keys.weights(version))
        if body is None:
            return None
        weights = decode_weights(body)
        if weights.version != version:
            raise MessageError(
                "malformed", f"weights of version {weights.version} under the key of {version}"
            )
        return weights
