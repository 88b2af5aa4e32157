"""Celery's remote control, which says nothing where no worker listens."""

from __future__ import annotations

from typing import Any

from celery.app.control import Control


class RemoteControl(Control):
    """Sends commands to workers only where their remote control is on.

    Flower begins to capture events by a broadcast, and asks every new worker about itself. With
    remote control off nobody would hear it, and its login has no right to send it: the refusal
    closed the channel, and Flower never saw an event.
    """

    def broadcast(self, command: str, *args: Any, **options: Any) -> Any:
        """As Celery's; with remote control off it does nothing and returns None."""
        if not self.app.conf.worker_enable_remote_control:
            return None
        return super().broadcast(command, *args, **options)
