"""Given numbers of info that a player sends: what is far beyond the trial's counts as none."""

from dataclasses import replace

import numpy as np
import pytest

from tinyqueue.data.episodes import Episodes
from tinyqueue.wire.claims import info_limit, near_info


def episodes(last, mean=None):
    last = np.array(last, np.float32)
    mean = last if mean is None else np.array(mean, np.float32)
    found = Episodes.of([0] * len(last), [1.0] * len(last), [1] * len(last), [0.1] * len(last))
    return replace(found, info_last=last, info_mean=mean)


@pytest.mark.parametrize(("seen", "limit"), [(0.0, 1e8), (3.0, 1e8), (1.7e9, 1.7e13), (1e29, 1e30)])
def test_the_limit_is_ten_thousand_times_what_the_trial_saw_and_at_least_1e8(seen, limit):
    assert info_limit(seen) == pytest.approx(limit)


def test_a_number_beyond_its_limit_counts_as_none_and_is_told():
    found, text, count = near_info(
        episodes([[5.0, 1e30], [6.0, 7.0]], [[5.0, 8.0], [-1e9, 9.0]]), {"x": 1e8, "y": 1e8}
    )

    nan = np.nan
    np.testing.assert_array_equal(found.info_last, np.array([[5.0, nan], [6.0, 7.0]], np.float32))
    np.testing.assert_array_equal(found.info_mean, np.array([[5.0, 8.0], [nan, 9.0]], np.float32))
    assert count == 2
    assert text.startswith("metrics.info: 'y' is said to be 1e+30 in an episode, which does not")
    assert found.returns.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        (episodes([[1e7, np.nan]]), {"x": 1e8, "y": 1e8}),
        (episodes([[1e30]]), {}),
        (Episodes.none(), {"x": 1e8}),
        (Episodes.of([0], [1.0], [1], [0.1]), {"x": 1e8}),
    ],
    ids=["near", "no limits", "no episodes", "no numbers"],
)
def test_other_episodes_are_left_alone(given, limits):
    assert near_info(given, limits) == (given, "", 0)
