"""Given mutations of every message: nothing comes of them, and the memory stays flat."""

from __future__ import annotations

from pathlib import Path

import pytest

COUNT = 20_000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_thousand_mutations_do_no_harm_to_a_learners_consumer(tmp_path: Path) -> None:
    from mutations import WRONG, measure

    found = measure(COUNT, 7, tmp_path)

    assert [found[name] for name in WRONG] == [0] * len(WRONG), found
    assert found["grown_mb"] < 16
    # The damage has reached every layer, and what was not damaged was accepted.
    assert {
        "compression", "dtype", "expiration", "header", "malformed", "missing", "schema", "shape",
        "too-large", "type", "unknown",
    } <= set(found["set_aside"])  # fmt: skip
    assert "error" not in found["set_aside"]
    assert found["accepted"] > COUNT / 50
