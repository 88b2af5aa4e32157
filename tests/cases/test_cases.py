"""What users bring trains, or is answered in a sentence: through the real command.

The suite tries a quick slice; ``make cases`` tries all of them, and so does
``TINYQUEUE_TEST_CASES=all``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from case import Case, try_out
from given import GIVEN
from kin import KIN

# Each command has a bound of its own, which is what is judged.
pytestmark = [pytest.mark.cases, pytest.mark.integration, pytest.mark.timeout(900)]

ALL = (*GIVEN, *KIN)
TRIED = [one for one in ALL if one.is_quick or os.environ.get("TINYQUEUE_TEST_CASES") == "all"]


@pytest.mark.parametrize("case", TRIED, ids=lambda case: case.title.replace(" ", "-"))
def test_what_users_bring_has_its_right_result(case: Case, tmp_path: Path) -> None:
    verdict = try_out(case, tmp_path)

    assert not verdict.faults, verdict.printed


def test_no_two_cases_have_one_title() -> None:
    assert len({one.title for one in ALL}) == len(ALL)
