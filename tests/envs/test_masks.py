"""Action masks as environments give them."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.envs.faults import BrokenRuleError
from tinyqueue.envs.masks import Masks


def test_a_mask_of_several_entries_has_the_values_of_all() -> None:
    masks = Masks("valid", spaces.MultiDiscrete([2, 3], start=[5, -1]), "Keys-v0", 2)
    # Given one array for all entries, and a tuple of one each, as Gymnasium samples by
    masks.take(0, {"valid": np.array([1, 0, 0, 1, 1], np.int8)})
    masks.take(1, {"valid": (np.array([0, 1]), np.array([1, 0, 0]))})
    assert masks.values.tolist() == [
        [True, False, False, True, True],
        [False, True, True, False, False],
    ]
    # Then one that leaves an entry nothing is refused
    with pytest.raises(BrokenRuleError, match="allows no value of entry 1"):
        masks.take(0, {"valid": np.array([1, 1, 0, 0, 0])})
