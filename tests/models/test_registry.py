from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError
from tinyqueue.models import mlp
from tinyqueue.models.mlp import MlpConfig
from tinyqueue.models.mlp import build as build_mlp
from tinyqueue.models.network import Output
from tinyqueue.models.registry import MODELS, ModelEntry, entry_of, find


def test_every_model_config_has_defaults_for_all_its_fields() -> None:
    for entry in MODELS.values():
        assert entry.config() == entry.config()


@pytest.mark.integration
def test_what_players_and_the_command_line_import_brings_no_tensorflow() -> None:
    # Given a fresh interpreter that imports the acting half and everything listed by name
    code = (
        "import sys\n"
        "import tinyqueue.policy.heads, tinyqueue.policy.runner, tinyqueue.policy.export\n"
        "import tinyqueue.models.registry, tinyqueue.models.inputs\n"
        "import tinyqueue.algorithms.registry, tinyqueue.algorithms.returns\n"
        "heavy = {'tensorflow', 'keras', 'tf2onnx', 'onnx', 'onnxruntime'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Then none of these is loaded
    assert done.stdout.strip() == "[]"


@pytest.mark.integration
def test_a_policy_runs_without_tensorflow() -> None:
    code = (
        "import sys\n"
        "from tinyqueue.policy.runner import PolicyRunner\n"
        "try:\n"
        "    PolicyRunner(b'', {}, 0)\n"
        "except Exception as error:\n"
        "    assert type(error).__name__ == 'ConfigError', error\n"
        "print('onnxruntime' in sys.modules, 'tensorflow' in sys.modules, 'onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def plain(observations: Any, actions: Any, outputs: Any, config: MlpConfig, seed: int) -> Any:
    return build_mlp(observations, actions, outputs, config, seed)


def forgetful(observations: Any, actions: Any, outputs: Any, config: MlpConfig, seed: int) -> Any:
    return build_mlp(observations, actions, {"value": Output(1)}, config, seed)


def bare(observations: Any, actions: Any, outputs: Any, config: MlpConfig, seed: int) -> Any:
    return build_mlp(observations, actions, outputs, config, seed).step


def unsaid(observations, actions, outputs, config, seed):
    return None


def unknown(a: Any, b: Any, c: Any, config: Missing, e: int) -> Any:  # type: ignore[name-defined]  # noqa: F821
    return None


def misspelt(a: Any, b: Any, c: Any, config: mlp.MlpConfg, e: int) -> Any:  # type: ignore[name-defined]
    return None


def odd(a: Any, b: Any, c: Any, config: int, e: int) -> Any:
    return None


def swollen(observations: Any, actions: Any, outputs: Any, config: MlpConfig, seed: int) -> Any:
    return build_mlp(observations, actions, outputs | {"logits": Output(3)}, config, seed)


def by_keyword(observations: Any, actions: Any, outputs: Any, *, config: MlpConfig, e: int) -> Any:
    return None


def any_number(*given: Any) -> Any:
    return None


def short(observations: Any, config: MlpConfig) -> Any:
    return None


def built(function: Any) -> Any:
    space = {"": Leaf("float32", (3,))}
    outputs = {"logits": Output(2), "value": Output(1)}
    entry = entry_of(function, "own.py:mine")
    return entry.build(space, {"": Leaf("uint8", (), n=2)}, outputs, entry.config(), 0)


def test_a_users_function_has_the_config_that_it_is_annotated_with() -> None:
    assert entry_of(plain, "own.py:plain").config is MlpConfig
    assert set(built(plain).step.output) == {"logits", "value"}


def test_a_users_entry_will_do_too() -> None:
    assert entry_of(ModelEntry(MlpConfig, plain), "own.py:MINE").config is MlpConfig


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (short, "is not a model: it must be a function of (observations, actions, outputs, "),
        (MlpConfig, "is not a model"),
        (by_keyword, "seed), and takes (observations: 'Any', actions: 'Any', outputs: 'Any', *, "),
        (any_number, "seed), and takes (*given: 'Any')"),
        (unsaid, "annotate its fourth parameter with the model's config dataclass"),
        (unknown, "its config is annotated with 'Missing', which the file does not define"),
        (misspelt, "annotated with 'mlp.MlpConfg', which is not defined (AttributeError: module "),
        (misspelt, f"; {__file__}, line {misspelt.__code__.co_firstlineno}."),
        (odd, "its config must be a class with @dataclass(frozen=True), not <class 'int'>"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(found: object, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        entry_of(found, "own.py:mine")

    assert str(refused.value).startswith("own.py:mine")
    assert said in str(refused.value)


def test_a_network_that_is_none_or_says_too_little_is_refused() -> None:
    with pytest.raises(ConfigError, match="built a network without the output logits"):
        built(forgetful)
    with pytest.raises(ConfigError, match="output logits has 3 numbers a row; 2 are wanted"):
        built(swollen)
    with pytest.raises(ConfigError, match=r"returned a Functional; it must return a .*Network"):
        built(bare)


def test_a_name_that_is_not_known_is_refused_with_the_nearest() -> None:
    assert find("mlp") is MODELS["mlp"]
    with pytest.raises(ConfigError, match="did you mean 'nature'"):
        find("natuer")
