from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.policy.heads import HEADS, evaluation_head, greedy_head, make_head

THREE = {"": Leaf("uint8", (), n=3)}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "categorical": {},
    "squashed": {},
    "epsilon-greedy": {"schedule": "annealed", "start": 0, "end": 0, "steps": 1},
}


@pytest.mark.parametrize("name", sorted(HEADS))
@pytest.mark.parametrize("greedy", [False, True])
def test_every_head_acts_in_the_wire_type(name: str, greedy: bool) -> None:
    space = {"": Leaf("uint16", (), n=300)}
    head = greedy_head(name, space) if greedy else make_head(name, CONFIGS[name], space)
    head.begin(1, 2, np.random.default_rng(0), 0)
    values = np.zeros((2, 300), np.float32)
    values[:, 299] = 100
    (output,) = head.outputs
    actions = head.act(0, {output: values})[""]
    assert actions.dtype == np.uint16
    assert actions.tolist() == [299, 299]


def test_a_misspelt_head_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="categorical"):
        make_head("categorial", {}, THREE)
    with pytest.raises(UnknownNameError, match="epsilon-greedy"):
        greedy_head("epsilon_greedy", THREE)


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("categorical", {"epsilon": 0.1}, "epsilon: "),
        ("categorical", {"record_entropy": "perhaps"}, "record_entropy: "),
        ("epsilon-greedy", {}, "schedule"),
        ("epsilon-greedy", {"schedule": "sometimes"}, "sometimes"),
        ("epsilon-greedy", {"schedule": "by-slot", "base": 0}, "base: "),
        ("epsilon-greedy", {"schedule": "by-slot", "steps": 10}, "steps: "),
        ("epsilon-greedy", {"schedule": "annealed", "steps": 0}, "steps: "),
        ("epsilon-greedy", {"schedule": "annealed", "steps": 9, "end": 1.5}, "end: "),
    ],
)
def test_a_config_that_the_head_does_not_take_is_refused(
    name: str, config: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=f"action head {name} cannot be built .*{said}"):
        make_head(name, config, THREE)


def test_a_policy_is_evaluated_greedily_unless_asked_otherwise() -> None:
    assert evaluation_head("categorical", THREE).outputs == ("logits",)
    assert evaluation_head("epsilon-greedy", THREE).outputs == ("q",)
    sampled = evaluation_head("categorical", THREE, sample=True)
    exploring = evaluation_head("epsilon-greedy", THREE, epsilon=0.25)
    for head in (sampled, exploring):
        head.begin(200, 2, np.random.default_rng(0), 0)
        outputs = {name: np.array([[0, 1, 0]] * 2, np.float32) for name in head.outputs}
        assert len({int(head.act(tick, outputs)[""][0]) for tick in range(200)}) == 3
    assert exploring.epsilons == (0.25, 0.25)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("epsilon-greedy", {"sample": True}, "no probabilities .*--epsilon 0.001"),
        ("categorical", {"epsilon": 0.0}, "no ε.*--sample"),
        ("categorical", {"epsilon": 0.1, "sample": True}, "no ε"),
        ("epsilon-greedy", {"epsilon": 0.1, "sample": True}, "no probabilities"),
    ],
)
def test_a_way_to_play_that_the_policy_does_not_have_is_refused(
    name: str, options: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=f"trained with {name}.*{said}"):
        evaluation_head(name, THREE, **options)


def test_a_head_of_a_spec_is_never_a_file(tmp_path: Path) -> None:
    file, trace = tmp_path / "own.py", tmp_path / "imported"
    file.write_text(f"open({str(trace)!r}, 'w').close()\nclass Mine: pass\n")
    with pytest.raises(UnknownNameError):
        make_head(f"{file}:Mine", {}, THREE)
    with pytest.raises(UnknownNameError):
        greedy_head(f"{file}:Mine", THREE)
    assert not trace.exists()
