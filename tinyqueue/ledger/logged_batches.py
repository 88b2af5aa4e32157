"""Refills a replay at a restart: the session log's batches, as the run would receive them now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from tinyqueue.data.names import state_of_carried
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays, Space
from tinyqueue.errors import ConfigError, DiskFullError, MessageError
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.wire.contract import Contract

log = structlog.get_logger(__name__)


class LoggedBatches:
    """The session log's batches, in order.

    Unreadable rows are left out. A readable row that does not fit is an error: if the replay left
    it out, it would soon be trimmed from the log. Only batches with numbers beyond the contract's
    limits, which earlier versions accepted, are withdrawn from the log.

    Args:
        path: ``sessions.db``.
        contract: What a batch of the run looks like now.
        mend: Removes damaged pages from the log, which would end the run when they are trimmed.
        withdraw: Called with the numbers of batches that must not be read again.

    Attributes:
        skipped: Number → why the row is left out.
    """

    def __init__(
        self,
        path: Path,
        contract: Contract,
        mend: Callable[[], object],
        withdraw: Callable[[Sequence[int]], object],
    ) -> None:
        self._withdraw = withdraw
        self._path = path
        self._mend = mend
        self._contract = contract
        self.skipped: dict[int, str] = {}

    def __iter__(self) -> Iterator[tuple[int, SessionBatch]]:
        """Numbers and batches.

        Raises:
            ConfigError: T × B, observations, actions or recurrent state differ from the contract.
                All rows of a log are alike, so this is raised before the first one is returned.
        """
        too_far: dict[int, str] = {}
        with SessionLog(self._path) as reader:
            for number, batch in reader.batches():
                self._require_alike(batch)
                sound = self._contract.clipped(batch)[0]
                try:
                    self._contract.check_magnitudes(sound)
                except MessageError as error:
                    too_far[number] = str(error)
                    continue
                yield number, sound
            self.skipped = dict(reader.skipped)
        if self.skipped:
            self._mend_log()
        if too_far:
            self._withdraw(list(too_far))
            self.skipped |= too_far

    def _require_alike(self, batch: SessionBatch) -> None:
        now = self._contract
        if (batch.ticks, batch.slots) != (now.ticks, now.slots):
            raise self._refusal(
                f"session batches of {batch.ticks} ticks × {batch.slots} slots",
                f"session.ticks × session.slots is {now.ticks} × {now.slots}",
            )
        state = {
            path: array
            for name, array in batch.carry.items()
            if (path := state_of_carried(name)) is not None
        }
        for name, arrays, axes, space in (
            ("observations", batch.observations, 2, now.observations),
            ("actions", batch.actions, 2, now.actions),
            ("recurrent states", state, 1, dict(now.state)),
        ):
            held, expected = _layout_of(arrays, axes), _layout(space)
            if held != expected:
                raise self._refusal(f"{name} of {_said(held)}", f"{name} are {_said(expected)}")

    def _refusal(self, held: str, now: str) -> ConfigError:
        return ConfigError(
            f"the session log {self._path} holds {held}, and {now} now. "
            "Go back to the settings that the run was played with, or start a new run."
        )

    def _mend_log(self) -> None:
        try:
            self._mend()
        except DiskFullError as error:
            log.warning("damaged rows stay in the session log for now", error=str(error))


def _layout(space: Space) -> dict[str, str]:
    return {path: f"{leaf.dtype} {list(leaf.shape)}" for path, leaf in space.items()}


def _layout_of(arrays: Arrays, axes: int) -> dict[str, str]:
    """As :func:`_layout`, for arrays with ``axes`` leading axes."""
    return {path: f"{array.dtype} {list(array.shape[axes:])}" for path, array in arrays.items()}


def _said(layout: dict[str, str]) -> str:
    named = (f"{path}: {kind}" if path else kind for path, kind in sorted(layout.items()))
    return ", ".join(named) or "nothing"
