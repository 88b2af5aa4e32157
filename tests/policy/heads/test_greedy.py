from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.policy.heads import Greedy


@pytest.mark.parametrize("output", ["logits", "q"])
def test_greedy_takes_the_first_of_the_largest(output: str) -> None:
    head = Greedy({"": Leaf("uint8", (), n=3)}, output)
    head.begin(1, 3, np.random.default_rng(0), 0)
    actions = head.act(0, {output: np.array([[0, 2, 1], [1, 1, 0], [-3, -2, -1]], np.float32)})[""]
    assert actions.tolist() == [1, 0, 2]
    assert head.recorded() == {}
    assert head.epsilons == ()
