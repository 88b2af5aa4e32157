"""Session batches for updates on the stream: random ones, and those that a network played."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Generic, TypeVar

import numpy as np

from tinyqueue.algorithms.impala import Impala, ImpalaConfig
from tinyqueue.algorithms.stream import StreamActorCritic
from tinyqueue.algorithms.trajectories import NetworkInputs, Rows, Trajectories
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Leaf, space_to_json
from tinyqueue.envs.describe import describe
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.models.network import Network
from tinyqueue.player.stage import Stage
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.heads import LOG_PROB
from tinyqueue.policy.runner import PolicyRunner

ACTIONS = {"": Leaf("uint8", (), n=3)}
OBSERVATIONS = {"": Leaf("float32", (4,))}
HEADER = Header("e", "r", "0" * 32, 0, "guest", "p", 0, 0)

TICKS, SLOTS = 5, 6
ENVIRONMENT = EnvironmentConfig(id="CartPole-v1", max_episode_steps=7, keep=(0, 2))
PUSHES = {"": Leaf("uint8", (), n=2)}
LOOKING_BACK = {
    "lstm": MlpConfig(hidden=(8,), core="lstm", core_units=8, previous=True),
    "gru": MlpConfig(hidden=(8,), core="gru", core_units=8),
    "previous": MlpConfig(hidden=(8,), previous=True),
}


A = TypeVar("A", bound=StreamActorCritic[Any])


class Shared(Generic[A]):
    """Algorithms that the tests of a file share, since building a graph takes most of a second.

    Each call within a test gives another one, in the state in which it was built.

    Args:
        build: Builds one of a configuration and a seed.
    """

    def __init__(self, build: Callable[[Any, int], A]) -> None:
        self._build = build
        self._built: defaultdict[tuple[Any, int], list[tuple[A, Arrays]]] = defaultdict(list)
        self._lent: Counter[tuple[Any, int]] = Counter()

    def __call__(self, config: Any = None, seed: int = 0) -> A:
        key = config, seed
        built = self._built[key]
        if self._lent[key] == len(built):
            made = self._build(config, seed)
            built.append((made, made.state()))
        lent, first = built[self._lent[key]]
        self._lent[key] += 1
        lent.restore(first)
        return lent

    def test_begins(self) -> None:
        """All of them may be given again."""
        self._lent.clear()


def random_batch(seed: int = 0, ticks: int = 5, slots: int = 4) -> SessionBatch:
    """A batch in which slot 0 is truncated at tick 1: its tick 2 is the autoreset."""
    rng = np.random.default_rng(seed)
    truncated = np.zeros((ticks, slots), bool)
    truncated[1, 0] = True
    valid = np.ones((ticks, slots), bool)
    valid[2, 0] = False
    terminated = np.zeros((ticks, slots), bool)
    terminated[3, 1] = True
    valid[4, 1] = False
    return SessionBatch(
        HEADER,
        {"": rng.normal(size=(ticks + 1, slots, 4)).astype(np.float32)},
        {"": rng.integers(0, 3, (ticks, slots)).astype(np.uint8)},
        rng.normal(size=(ticks, slots)).astype(np.float32),
        terminated,
        truncated,
        valid,
        {LOG_PROB: np.log(rng.uniform(0.1, 0.9, (ticks, slots))).astype(np.float32)},
    )


def network_of(config: MlpConfig) -> Network:
    """A network for short games of CartPole without velocities, with weights far from the first."""
    outputs = Impala.outputs(PUSHES, ImpalaConfig())
    network = build(describe(ENVIRONMENT).observation_space, PUSHES, outputs, config, 0)
    rng = np.random.default_rng(0)
    for variable in network.variables.values():
        variable.assign(variable.numpy() + rng.normal(0, 0.5, variable.shape))
    return network


def played(network: Network, count: int) -> list[SessionBatch]:
    """Episodes of at most seven steps, so that ends come at every tick of a batch."""
    export = PolicyExport(network, ("logits",))
    spec = PlaySpec(
        experiment="e",
        run="r",
        environment=ENVIRONMENT,
        observation_space=space_to_json(network.observations),
        action_space=space_to_json(PUSHES),
        head="categorical",
        state={path: list(shape) for path, shape in network.state.items()},
        ticks=TICKS,
        slots=SLOTS,
        graph_sha256=export.sha256,
    )
    stage = Stage(spec, user="u", player="p", seed=1)
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    return [deepcopy(stage.play(runner, "t")) for _ in range(count)]


def trajectories(
    actions: Array, log_mu: Array, valid: Array, **given: Array
) -> Trajectories[Array]:
    """``[T, B]`` each, without observations; no rewards and no ends where none are given."""
    return Trajectories(
        {"": actions},
        log_mu,
        given.get("rewards", np.zeros_like(log_mu)),
        given.get("terminated", np.zeros_like(valid)),
        valid,
        seen=(),
        carried={},
    )


def rows(actions: Array, log_mu: Array, valid: Array) -> Rows[Array]:
    """``[T, B]`` each, without what a network sees."""
    return Rows(NetworkInputs({}, {}, np.zeros_like(valid), ()), {"": actions}, log_mu, valid)


def weights(trained: StreamActorCritic[Any]) -> Arrays:
    return {name: a for name, a in trained.state().items() if name.startswith("model/")}


def assert_equal(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def differ(one: Arrays, other: Arrays) -> bool:
    return any((one[name] != other[name]).any() for name in one)
