"""What ``reset`` and ``step`` may give."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from tinyqueue.envs.faults import BrokenRuleError
from tinyqueue.envs.results import first_observation, step_values


class Unshowable:
    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize(
    "reward",
    [
        2.0,
        2,
        np.float16(2),
        np.float64(2),
        np.int8(2),
        np.array(2.0),
        np.array([2]),
        [[2.0]],
        Fraction(2),
        Decimal(2),
    ],
)
def test_rewards_like_a_number_are_taken(reward):
    assert step_values(("seen", reward, False, False, {})) == ("seen", (2.0, False, False))


@pytest.mark.parametrize("end", [True, np.bool_(1), 1, 1.0, np.array(True), np.array([1])])
def test_ends_like_a_truth_value_are_taken(end):
    terminated, truncated = step_values(("seen", True, end, 0, None))[1][1:]
    assert terminated is True
    assert truncated is False


@pytest.mark.parametrize(
    ("result", "kind", "said"),
    [
        (("seen", None, False, False, {}), "reward-type", "None"),
        (("seen", "1", False, False, {}), "reward-type", "'1'"),
        (("seen", np.zeros(2), False, False, {}), "reward-type", "array"),
        (("seen", 1j, False, False, {}), "reward-type", "1j"),
        (("seen", Unshowable(), False, False, {}), "reward-type", "Unshowable"),
        (("seen", np.nan, False, False, {}), "reward-not-finite", "nan"),
        (("seen", -np.inf, False, False, {}), "reward-not-finite", "-inf"),
        (("seen", 10**400, False, False, {}), "reward-not-finite", "too large"),
        (("seen", 1e300, False, False, {}), "reward-not-finite", r"1e\+300"),
        (("seen", 1.0, None, False, {}), "step-result", "terminated is None"),
        (("seen", 1.0, False, 2, {}), "step-result", "truncated is 2"),
        (("seen", 1.0, False, {}), "step-result", "4 values.*five"),
        (None, "step-result", "returned None"),
    ],
)
def test_other_results_of_step_are_refused(result, kind, said):
    with pytest.raises(BrokenRuleError, match=said) as raised:
        step_values(result)
    assert raised.value.kind == kind


def test_reset_gives_two_values():
    assert first_observation(("seen", {})) == "seen"
    for result, said in [(np.zeros(2), "a ndarray"), (("a", "b", "c"), "3 values")]:
        with pytest.raises(BrokenRuleError, match=said):
            first_observation(result)
