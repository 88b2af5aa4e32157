"""Uniformly random actions."""

import numpy as np

from tinyqueue.data.spaces import Leaf
from tinyqueue.policy.heads import Uniform


def test_every_action_is_as_likely_whatever_the_network_says():
    head = Uniform({"": Leaf("uint8", (), 4)})
    head.begin(500, 100, np.random.default_rng(0), 0)
    outputs = {"logits": np.tile(np.array([9.0, 0, 0, 0], np.float32), (100, 1))}

    actions = np.stack([head.act(tick, outputs)[""] for tick in range(500)])

    assert actions.dtype == np.uint8
    # 50,000 draws: five standard deviations of a share are 0.0097.
    assert np.allclose(np.bincount(actions.ravel(), minlength=4) / 50_000, 0.25, atol=0.0097)
    assert (head.outputs, head.extras, head.recorded()) == ((), {}, {})


def test_the_generator_decides():
    head = Uniform({"": Leaf("uint8", (), 6)})
    rows = []
    for seed in (1, 1, 2):
        head.begin(1, 50, np.random.default_rng(seed), 0)
        rows.append(head.act(0, {})[""].tolist())

    assert rows[0] == rows[1] != rows[2]
