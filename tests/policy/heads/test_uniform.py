"""Uniformly random actions."""

import numpy as np
from formulas import kolmogorov, normal

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


def test_any_space_is_drawn_from_evenly():
    space = {
        "keys": Leaf("uint8", (3,), 4, nvec=(2, 4, 1)),
        "lamps": Leaf("int8", (2, 2), 2),
        "turn": Leaf("float32", (2,), low=-1.0, high=1.0),
        "free": Leaf("float32", ()),
    }
    head = Uniform(space)
    head.begin(200, 100, np.random.default_rng(0), 0)
    rows = {path: [] for path in space}
    for tick in range(200):
        for path, drawn in head.act(tick, {}).items():
            rows[path].append(drawn)
    for path, leaf in space.items():
        drawn = np.stack(rows[path])
        assert (drawn.dtype, drawn.shape) == (leaf.dtype, (200, 100, *leaf.shape))
        for entry, values in enumerate(drawn.reshape(20_000, -1).T):
            if leaf.is_discrete:
                count = leaf.counts[entry]
                shares = np.bincount(values, minlength=count) / 20_000
                # Five standard deviations of a share are at most 0.018.
                assert np.allclose(shares, 1 / count, atol=0.018)
            elif path == "turn":
                assert kolmogorov(values, lambda x: (x + 1) / 2) < 1.95
            else:
                assert kolmogorov(values, normal) < 1.95
