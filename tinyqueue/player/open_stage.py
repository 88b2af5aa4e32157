"""What a player keeps between tasks: its stage, its policy, and the batch not yet confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tinyqueue.bus.publisher import Outgoing
from tinyqueue.data.session import Drop, SessionBatch
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.journal import PublishJournal
from tinyqueue.player.outbox import Outbox
from tinyqueue.player.policies import NewestPolicy
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.store.credits import CreditStore
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session


@dataclass
class OpenStage:
    """One stage with everything that belongs to it.

    Attributes:
        pending: The batch that is not confirmed yet, with its id; at most one.
        pending_since_s: When it was first offered, on this process's monotonic clock.
        pending_n: Its number n.
        told: The drops and ended tasks in its header.
        dropped, ended_tasks: Batches given up, and tasks ended, that no confirmed header has
            reported yet.
        batch_s: Seconds to play a batch; a running mean.
        used_s: When a task last used this stage, on the same clock.
        outbox: Publishes in the background for an environment that owns its clock; None for others,
            whose batches are pending one at a time.
        credits: Where credits are taken; None if batches are played without.
        has_left_episode: Whether a task has had to end in the middle of an episode.
    """

    spec: PlaySpec
    stage: Stage
    policy: NewestPolicy
    journal: PublishJournal | None = None
    pending: Outgoing | None = None
    pending_since_s: float = 0.0
    pending_n: int = -1
    told: tuple[tuple[Drop, ...], tuple[str, ...]] = ((), ())
    dropped: list[Drop] = field(default_factory=list)
    ended_tasks: list[str] = field(default_factory=list)
    batch_s: float = 0.0
    used_s: float = field(default_factory=time.monotonic)
    outbox: Outbox | None = None
    credits: CreditStore | None = None
    has_left_episode: bool = False

    def play(
        self,
        runner: PolicyRunner,
        task: str,
        *,
        is_last: Callable[[float], bool],
        credit: int = 0,
    ) -> float:
        """Plays one batch and makes it the pending one.

        Args:
            runner: The policy that chooses every action of the batch.
            task: Id of the play task.
            is_last: Given the seconds that a batch takes, returns whether this one uses up the
                task's budget.
            credit: The number of the credit that was taken for it, if any.

        Returns:
            CPU seconds spent on encoding.
        """
        began_s = time.monotonic()
        batch = self.stage.play(runner, task)
        self.note_batch_s(time.monotonic() - began_s)
        if is_last(self.batch_s):
            self.ended_tasks.append(task)
        before_s = time.thread_time()
        self._offer(batch, credit)
        return time.thread_time() - before_s

    def note_batch_s(self, played_s: float) -> None:
        """Notes how long a batch took."""
        self.batch_s = played_s if self.batch_s == 0 else 0.8 * self.batch_s + 0.2 * played_s

    def _offer(self, batch: SessionBatch, credit: int) -> None:
        self.told = (tuple(self.dropped), tuple(self.ended_tasks))
        dropped, ended = self.told
        header = replace(batch.header, dropped=dropped, ended_tasks=ended, credit=credit)
        encoded = encode_session(replace(batch, header=header), self.spec.codec)
        self.pending = Outgoing(
            experiment=self.spec.experiment,
            body=encoded.body,
            content_type=SESSION_TYPE,
            message_id=header.batch_id,
            correlation_id=header.task,
            headers=encoded.headers,
        )
        self.pending_n = header.n
        self.pending_since_s = time.monotonic()
        if self.journal:
            self.journal.write(header.batch_id, "attempted")

    def confirmed(self) -> None:
        """Notes that the pending batch has arrived, and so what its header reported."""
        drops, ended = self.told
        self.dropped = self.dropped[len(drops) :]
        self.ended_tasks = [task for task in self.ended_tasks if task not in ended]
        self._close_pending("confirmed")

    def drop(self, reason: str) -> None:
        """Gives up the pending batch; the next header reports it with this reason."""
        self.dropped.append(Drop(self.pending_n, reason))
        self._close_pending("dropped")

    def close(self) -> None:
        """Ends the stage: its environments, its thread, its open files."""
        self.policy.close()
        if self.outbox is not None:
            self.outbox.close()
        self.stage.close()
        if self.journal:
            self.journal.close()

    def _close_pending(self, event: str) -> None:
        if self.journal and self.pending:
            self.journal.write(self.pending.message_id, event)
        self.pending = None
