"""Runs an exported policy with ONNX Runtime: one thread, buffers bound once, weights swapped in.

Names in a graph: inputs ``observation:<path>``, ``state:<path>``, ``previous:action`` (for a
space that is one leaf; otherwise ``previous:action/<path>``), ``previous:reward`` and
``weight:<path>``; outputs ``output:<name>`` and ``next_state:<path>`` (in ONNX, inputs and outputs
need different names).

Weights below 1 MB are graph inputs: a new version is a new binding (20 µs, measured for
six arrays), and a run of a 64-64 network at 64 slots takes 14 µs. Larger ones are external
initializers, which ONNX Runtime can pack: runs are 17 % faster, but a new version costs a new
session (1.2 ms for 1.3 MB).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyqueue.data.names import REWARD_INPUT, action_of_input
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.errors import ConfigError
from tinyqueue.policy.graph_check import refuse_foreign_data
from tinyqueue.policy.signature import Port, Signature

if TYPE_CHECKING:
    import onnxruntime as ort

INITIALIZERS_FROM_BYTES = 1_000_000
"""Policies with at least this many bytes of weights have them as external initializers."""

_NO_FOLDER = os.path.join(os.devnull, "none")
# Nothing can exist there.

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(uint32)": np.uint32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class PolicyRunner:
    """One weight version of a policy, ready to run.

    Args:
        graph: The ONNX model without its weights.
        weights: Values by variable path. Contiguous arrays are not copied: do not change them.
        version: The policy version, for session headers.
        env_steps: Env steps of training behind the weights: the clock of annealed exploration.
        threads: Intra-op threads. One is fastest for the batches that a player runs.

    Raises:
        ConfigError: The graph cannot be loaded, would read files of this machine, or the weights do
            not fit it.
    """

    def __init__(
        self, graph: bytes, weights: Arrays, version: int, env_steps: int = 0, threads: int = 1
    ) -> None:
        self.version = version
        self.env_steps = env_steps
        self._graph = graph
        self._threads = threads
        self._weights = _values(weights)
        _checked(graph, tuple(_external_weights(self._weights)))
        self._session = _session(graph, self._weights, threads)
        self._as_initializers = _size(self._weights) >= INITIALIZERS_FROM_BYTES
        self._bind_weights()

    def with_weights(self, weights: Arrays, version: int, env_steps: int = 0) -> PolicyRunner:
        """A runner of the same policy with other weights. This runner does not change.

        Args:
            weights: Values by variable path. Contiguous arrays are not copied.
            version: Their policy version.
            env_steps: Env steps of training behind them.

        Raises:
            ConfigError: The weights do not fit the graph.
        """
        if self._as_initializers:
            return PolicyRunner(self._graph, weights, version, env_steps, self._threads)
        runner = PolicyRunner.__new__(PolicyRunner)
        runner.version, runner.env_steps = version, env_steps
        runner._graph, runner._threads = self._graph, self._threads
        runner._session, runner._as_initializers = self._session, False
        runner._weights = _values(weights)
        runner._bind_weights()
        return runner

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Recurrent state: path → shape for one slot. Empty without recurrence."""
        return {
            _path(i.name): tuple(i.shape[1:])
            for i in self._session.get_inputs()
            if i.name.startswith("state:")
        }

    @property
    def signature(self) -> Signature:
        """What the graph takes and gives.

        Raises:
            ConfigError: An input or output is of a type that no policy has.
        """
        return _signature(self._session)

    @property
    def uses_previous(self) -> bool:
        """Whether the policy takes the previous action and reward."""
        return any(i.name.startswith("previous:") for i in self._session.get_inputs())

    def run(
        self, observations: Arrays, state: Arrays, previous: tuple[Arrays, Array] | None = None
    ) -> tuple[Arrays, Arrays]:
        """The network's outputs for one tick.

        Args:
            observations: path → ``[B, *obs]``.
            state: path → ``[B, *state]``; empty without recurrence.
            previous: Actions, path → ``[B, *act]``, and rewards ``[B]`` of the previous tick, zeros
                before an episode's first observation; for a policy that ``uses_previous``.

        Returns:
            Outputs by name, ``[B, …]``, and the next state by path, ``[B, *state]``. Both are this
            runner's buffers, which its next run overwrites: copy what you keep.
        """
        slots = len(next(iter(observations.values())))
        if slots != self._slots:
            self._bind_slots(slots, previous[0] if previous else {})
        for path, buffer in self._observations:
            buffer[...] = observations[path]
        for path, buffer in self._state:
            buffer[...] = state[path]
        if previous is not None:
            actions, rewards = previous
            for path, buffer in self._previous_actions:
                buffer[...] = actions[path]
            if self._previous_rewards is not None:
                self._previous_rewards[...] = rewards
        self._run(self._binding, None)
        return self._outputs, self._next_state

    def warm_up(self, slots: int, actions: Space) -> None:
        """Runs once on zeros, for a first tick that takes no longer than the others.

        Args:
            slots: B of the runs to come.
            actions: The action space.
        """
        self._bind_slots(slots, {path: np.zeros(0) for path in actions})
        self._run(self._binding, None)

    def _bind_weights(self) -> None:
        inputs = self._session.get_inputs()
        self._io = self._session.io_binding()
        # The session's own method: the public one adds a Python layer to every tick.
        self._run = self._session._sess.run_with_iobinding
        self._binding = self._io._iobinding
        self._slots = -1
        if self._as_initializers:
            return
        wanted = {i.name: tuple(i.shape) for i in inputs if i.name.startswith("weight:")}
        given = {f"weight:{path}": value.shape() for path, value in self._weights.items()}
        if wanted != {name: tuple(shape) for name, shape in given.items()}:
            raise ConfigError(
                f"the weights of policy version {self.version} do not fit its graph: "
                f"the graph expects {wanted}, the version holds {given}. "
                "They come from different runs; restart the learner to publish both again."
            )
        for path, value in self._weights.items():
            self._io.bind_ortvalue_input(f"weight:{path}", value)

    def _bind_slots(self, slots: int, acted: Arrays) -> None:
        """Allocates and binds this runner's buffers for B slots, with the previous actions."""
        self._buffers: list[ort.OrtValue] = []
        self._observations = self._bound("observation:", slots)
        self._state = self._bound("state:", slots)
        previous = self._bound("previous:", slots)
        self._previous_actions = [
            (path, buffer)
            for name, buffer in previous
            if (path := action_of_input(f"previous:{name}")) is not None
        ]
        if [path for path, _ in self._previous_actions] == [""] and len(acted) == 1:
            # Older graphs name the input of a Dict's only leaf without its path.
            self._previous_actions = [(next(iter(acted)), self._previous_actions[0][1])]
        self._previous_rewards = dict(previous).get(_path(REWARD_INPUT))
        self._outputs = dict(self._bound("output:", slots))
        self._next_state = dict(self._bound("next_state:", slots))
        self._slots = slots

    def _bound(self, prefix: str, slots: int) -> list[tuple[str, Array]]:
        outputs = prefix in ("output:", "next_state:")
        nodes = self._session.get_outputs() if outputs else self._session.get_inputs()
        bind = self._io.bind_ortvalue_output if outputs else self._io.bind_ortvalue_input
        bound = []
        for node in nodes:
            if node.name.startswith(prefix):
                buffer = np.zeros((slots, *node.shape[1:]), _DTYPES[node.type])
                value = _value(buffer)
                self._buffers.append(value)
                bind(node.name, value)
                bound.append((_path(node.name), buffer))
        return bound


def signature_of(graph: bytes, weights: Arrays) -> Signature:
    """What a graph takes and gives, whether or not these weights fit it.

    Args:
        graph: The ONNX model without its weights.
        weights: Values by variable path.

    Raises:
        ConfigError: The graph cannot be loaded, or an input or output is of a type that no policy
            has.
    """
    values = _values(weights)
    _checked(graph, tuple(_external_weights(values)))
    return _signature(_session(graph, values, threads=1))


def _signature(session: ort.InferenceSession) -> Signature:
    return Signature(_ports(session.get_inputs()), _ports(session.get_outputs()))


def _ports(nodes: Iterable[Any]) -> dict[str, Port]:
    ports = {}
    for node in nodes:
        if node.type not in _DTYPES:
            known = ", ".join(np.dtype(dtype).name for dtype in _DTYPES.values())
            raise ConfigError(
                f"the policy graph cannot be played: {node.name} is a {node.type}. Inputs and "
                f"outputs are of one of the types {known}."
            )
        sizes = (size if isinstance(size, int) else None for size in node.shape)
        ports[node.name] = Port(np.dtype(_DTYPES[node.type]).name, tuple(sizes))
    return ports


def _session(graph: bytes, weights: dict[str, Any], threads: int) -> ort.InferenceSession:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would take CPU time from the next player.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # A second lock on the door that refuse_foreign_data() has closed.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", _NO_FOLDER
    )
    names = _external_weights(weights)
    if names:
        options.add_external_initializers(names, list(weights.values()))
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime's exceptions have no base class of their own.
        raise ConfigError(
            f"the policy graph cannot be loaded with these weights: {error}. "
            "Run the same tinyqueue version on players and learner."
        ) from error


def _external_weights(weights: dict[str, Any]) -> list[str]:
    """Names of the weights that are external initializers."""
    if _size(weights) < INITIALIZERS_FROM_BYTES:
        return []
    return [f"weight:{path}" for path in weights]


@functools.lru_cache(maxsize=8)
def _checked(graph: bytes, weights: tuple[str, ...]) -> None:
    """Walks through a graph once, not with every version of large weights."""
    refuse_foreign_data(graph, weights)


def _values(weights: Arrays) -> dict[str, ort.OrtValue]:
    # Not `ascontiguousarray`, which gives a scalar an axis.
    return {path: _value(np.asarray(array, order="C")) for path, array in weights.items()}


def _value(array: Array) -> ort.OrtValue:
    """Shares the array's memory and keeps it alive."""
    import onnxruntime as ort

    return ort.OrtValue.ortvalue_from_numpy(array)


def _size(weights: dict[str, ort.OrtValue]) -> int:
    return sum(value.tensor_size_in_bytes() for value in weights.values())


def _path(name: str) -> str:
    return name.partition(":")[2]
