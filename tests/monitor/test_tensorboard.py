"""Given points over weeks: how many of them TensorBoard gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.monitor.tensorboard import TensorBoard


def test_a_day_of_points_is_some_thousands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = TensorBoard(tmp_path)
    written: list[Any] = []
    monkeypatch.setattr(board, "write", lambda *point: written.append(point))
    for second in range(0, 30 * 86_400, 2):
        board.write_rarely("train", {"loss": 1.0}, second, float(second))
        if second == 86_400:
            assert len(written) < 5_000

    assert len(written) < 9_000
    steps = [point[2] for point in written]
    assert max(np.diff(steps)) < 0.002 * 30 * 86_400
    board.close()
