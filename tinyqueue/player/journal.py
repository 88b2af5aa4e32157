"""An audit trail of publishes, for checking that nothing was lost: off unless a folder is named."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TextIO


class PublishJournal:
    """Writes one JSON line per attempt and per outcome, each in a single ``write``.

    Args:
        folder: Where ``<pid>-<stage>.jsonl`` files are made.
        stage: The stage whose batches are written.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = (folder / f"{os.getpid()}-{stage}.jsonl").open("a", buffering=1)

    def write(self, batch_id: str, event: str) -> None:
        line = {"batch_id": batch_id, "event": event, "at_s": round(time.time(), 4)}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        self._file.close()
