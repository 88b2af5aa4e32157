"""Graphs that algorithms make themselves: weights are taken out, checked, and given again."""

import numpy as np
import onnx
import pytest
from linear_policy import linear_model
from linear_policy import spec_of as spec
from onnx import TensorProto, helper

from tinyqueue.errors import ConfigError
from tinyqueue.policy.graphs import OwnPolicy, policy_graph
from tinyqueue.policy.runner import PolicyRunner


def ones(version=0, shape=(4, 2)):
    return {"w": np.full(shape, version, np.float32)}


def own(weights=ones, **changes):
    return OwnPolicy(policy_graph(linear_model(**changes), ["w"]), weights, "own.py:Mine")


def test_weights_are_given_with_every_version():
    graph = policy_graph(linear_model(), ["w"])

    runner = PolicyRunner(graph, ones(1), 1)
    seen = {"": np.array([[1, 2, 3, 4]], np.float32)}

    assert runner.run(seen, {})[0]["logits"].tolist() == [[10, 10]]
    assert runner.with_weights(ones(2), 2).run(seen, {})[0]["logits"].tolist() == [[20, 20]]


def test_large_weights_are_external_initializers_of_the_same_graph():
    # Given 1.6 MB of weights
    features = 200_000
    graph = policy_graph(linear_model(features), ["w"])
    assert len(graph) < 1_000

    runner = PolicyRunner(graph, ones(2, (features, 2)), 1)

    outputs, _ = runner.run({"": np.ones((3, features), np.float32)}, {})
    assert outputs["logits"].tolist() == [[400_000, 400_000]] * 3


def test_notes_of_an_exporter_do_not_change_the_graph():
    noted = linear_model()
    noted.doc_string = "made by ada"
    noted.graph.node[0].doc_string = "/home/ada/own.py, line 12"
    noted.graph.node[0].metadata_props.add(key="stack_trace", value="/home/ada/own.py")
    noted.graph.input[0].metadata_props.add(key="kind", value="USER_INPUT")

    graph = policy_graph(noted, ["w"])

    assert graph == policy_graph(linear_model().SerializeToString(), ["w"])
    assert b"ada" not in graph
    assert noted.doc_string == "made by ada"


def test_a_weight_that_the_exporter_renamed_is_named():
    with pytest.raises(ConfigError, match=r"no initializer head\.weight; it has w\."):
        policy_graph(linear_model(), ["head.weight"])


def test_constants_stay_in_the_graph():
    graph = onnx.load_from_string(policy_graph(linear_model(hidden=2), ["w"]))
    assert [each.name for each in graph.graph.initializer] == ["one"]
    assert [each.name for each in graph.graph.input] == ["observation:", "state:h", "weight:w"]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"w": np.ones((4, 2))}, r"w is float64\[4, 2\] and should be float32\[4, 2\]"),
        ({"w": np.ones((2, 4), np.float32)}, r"w is float32\[2, 4\] and should be float32\[4, 2\]"),
        ({"v": np.ones((4, 2), np.float32)}, r"v is .* should be left out; w is missing"),
        ({}, r"w is missing and should be float32\[4, 2\]"),
        ({"w": [[1.0, 2.0]]}, r"must return NumPy arrays by name"),
        (np.ones(3), r"must return NumPy arrays by name"),
    ],
)
def test_weights_that_do_not_fit_the_graph_are_refused(weights, said):
    with pytest.raises(ConfigError, match=said):
        own(lambda version: weights)


def test_weights_that_change_their_shape_later_are_refused():
    policy = own(lambda version: ones(1) if version < 3 else ones(1, (4, 3)))
    policy.arrays(2)
    with pytest.raises(ConfigError, match=r"own\.py:Mine.* w is float32\[4, 3\] and should be .*2"):
        policy.arrays(3)


def test_what_is_published_does_not_change_with_the_algorithm():
    weights = ones(1)
    published = own(lambda version: weights).arrays(1)
    weights["w"] += 1
    assert published["w"].tolist() == [[1, 1]] * 4


def test_a_graph_that_is_no_bytes_is_refused():
    with pytest.raises(ConfigError, match=r"own\.py:Mine: graph must be the bytes .* ModelProto"):
        OwnPolicy(linear_model(), ones, "own.py:Mine")


def test_a_graph_is_tried_before_it_is_published():
    own().require_playable(spec())
    own(hidden=3).require_playable(spec(h=(3,)))
    with pytest.raises(ConfigError, match=r"gives logits that is not finite for zeros"):
        own(lambda version: {"w": np.full((4, 2), np.inf, np.float32)}).require_playable(spec())


def test_a_graph_for_one_environment_only_is_refused():
    # Given a graph that says that B is open, and takes only the first row, unseen by its shapes
    model = linear_model()
    model.graph.initializer.append(helper.make_tensor("first", TensorProto.FLOAT, [1], [1.0]))
    first = [
        helper.make_node("NonZero", ["first"], ["indices"]),
        helper.make_node("Squeeze", ["indices"], ["index"]),
        helper.make_node("Reshape", ["index", "flat"], ["rows"]),
        helper.make_node("Gather", ["observation:", "rows"], ["x"]),
    ]
    model.graph.initializer.append(helper.make_tensor("flat", TensorProto.INT64, [1], [-1]))
    matmul = model.graph.node.pop()
    matmul.input[0] = "x"
    model.graph.node.extend([*first, matmul])
    policy = OwnPolicy(policy_graph(model, ["w"]), ones, "own.py:Mine")

    with pytest.raises(ConfigError, match=r"own\.py:Mine fails on zeros for 2 environments"):
        policy.require_playable(spec())


def test_a_type_that_no_policy_has_is_refused():
    node = helper.make_node("Identity", ["observation:"], ["output:logits"])
    ports = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["B", 2])
        for name in ("observation:", "output:logits")
    ]
    graph = helper.make_graph([node], "policy", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(ConfigError, match=r"observation: is a tensor\(double\).*float32"):
        OwnPolicy(model.SerializeToString(), lambda version: {}, "own.py:Mine")
