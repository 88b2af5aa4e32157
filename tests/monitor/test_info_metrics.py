"""The environment's numbers as metrics."""

from __future__ import annotations

import math

import numpy as np

from tinyqueue.monitor.info_metrics import InfoMetrics


def rows(*episodes: tuple[float, ...]) -> np.ndarray:
    return np.array(episodes, np.float32)


def test_numbers_are_listed_per_episode_and_averaged_over_the_last_hundred() -> None:
    said: list[str] = []
    metrics = InfoMetrics(["x", "y"], said.append)

    metrics.see(rows((1, 10), (3, 30)), rows((2, 20), (4, 40)), 2)

    assert metrics.means() == {
        "info/x": 2.0,
        "info/x_mean": 3.0,
        "info/y": 20.0,
        "info/y_mean": 30.0,
    }
    assert metrics.take_columns() == {
        "x": [1.0, 3.0],
        "x_mean": [2.0, 4.0],
        "y": [10.0, 30.0],
        "y_mean": [20.0, 40.0],
    }
    assert metrics.take_columns() == {"x": [], "x_mean": [], "y": [], "y_mean": []}
    assert said == metrics.remarks() == []

    metrics.see(rows(*[(7, 7)] * 100), rows(*[(7, 7)] * 100), 100)
    assert metrics.means()["info/x"] == 7.0


def test_missing_numbers_are_said_once_and_counted() -> None:
    said: list[str] = []
    metrics = InfoMetrics(["x"], said.append)
    nothing, both = rows((math.nan,)), rows((1.0,), (math.nan,))

    metrics.see(nothing, nothing, 1)
    metrics.see(both, both, 2)

    assert len(said) == 1
    assert "'x' was missing" in said[0]
    assert metrics.remarks() == [
        "metrics.info: 'x' was missing or no number in 2 of 3 training episodes"
    ]
    assert metrics.means() == {"info/x": 1.0, "info/x_mean": 1.0}


def test_a_player_that_records_none_counts_as_missing() -> None:
    metrics = InfoMetrics(["x"], lambda text: None)

    metrics.see(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32), 3)

    assert len(metrics.take_columns()["x"]) == 3
    assert "3 of 3" in metrics.remarks()[0]


def test_without_keys_there_is_nothing() -> None:
    metrics = InfoMetrics([], lambda text: None)

    metrics.see(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32), 3)

    assert (metrics.take_columns(), metrics.means(), metrics.remarks()) == ({}, {}, [])
