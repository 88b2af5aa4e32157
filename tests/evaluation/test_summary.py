"""Summaries of games, by hand."""

import numpy as np
import pytest

from tinyqueue.evaluation.summary import GamesSummary


def test_four_games():
    summary = GamesSummary.of(np.array([1.0, 2.0, 3.0, 10.0]), np.array([10, 20, 30, 40]))
    assert summary.count == 4
    assert summary.mean == 4.0
    assert summary.median == 2.5
    assert (summary.minimum, summary.maximum) == (1.0, 10.0)
    assert summary.std == pytest.approx(4.0824829)  # √(50/3)
    assert summary.standard_error == pytest.approx(2.0412415)
    assert summary.mean_length == 25.0
    assert str(summary) == "4.0 ± 2.04 over 4 games (median 2.5, 1.0 to 10.0)"


def test_a_single_game_has_no_spread():
    summary = GamesSummary.of(np.array([7.0]), np.array([3]))
    assert (summary.std, summary.standard_error) == (0.0, 0.0)


def test_no_games_are_not_summarised():
    with pytest.raises(ValueError, match="no games"):
        GamesSummary.of(np.array([]), np.array([]))
