"""An audit trail of publishes, to check that nothing was lost. Off unless a folder is named."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TextIO


class PublishJournal:
    """Writes one JSON line per attempt and per outcome, each in a single ``write``.

    Args:
        folder: The folder for ``<pid>-<stage>.jsonl`` files.
        stage: The stage whose batches are recorded.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = (folder / f"{os.getpid()}-{stage}.jsonl").open("a", buffering=1)

    def write(self, batch_id: str, event: str) -> None:
        """Appends an event of a batch: ``attempted``, ``confirmed`` or ``dropped``."""
        line = {"batch_id": batch_id, "event": event, "at_s": round(time.time(), 4)}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
