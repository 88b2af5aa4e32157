"""Whether a policy graph fits what is played: its inputs and outputs against spaces and head.

The learner asks before it publishes a graph, and a player before it plays one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tinyqueue.data.names import REWARD_INPUT, action_input, action_of_input
from tinyqueue.data.spaces import Space, stacked
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.heads import outputs_read

_OBSERVATION, _STATE, _NEXT_STATE = "observation:", "state:", "next_state:"
_OUTPUT, _WEIGHT = "output:", "weight:"
_B = "B"


class Port(NamedTuple):
    """An input or output of a graph.

    Attributes:
        dtype: NumPy name.
        shape: Sizes, with None for one that is left open.
    """

    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        """``float32 [B, 4]``."""
        return f"{self.dtype} {_shown(self.shape)}"


@dataclass(frozen=True)
class Signature:
    """What a policy graph takes and gives, by name.

    Attributes:
        inputs: Weights among them, unless they are external.
        outputs: Next states among them.
    """

    inputs: Mapping[str, Port] = field(default_factory=dict)
    outputs: Mapping[str, Port] = field(default_factory=dict)

    @property
    def state(self) -> dict[str, tuple[int, ...]]:
        """Recurrent state: path → shape for one slot; an open size counts as 0."""
        return {
            name.removeprefix(_STATE): tuple(size or 0 for size in port.shape[1:])
            for name, port in self.inputs.items()
            if name.startswith(_STATE)
        }

    @property
    def uses_previous(self) -> bool:
        """Whether the policy takes the previous action or reward."""
        return any(name.startswith("previous:") for name in self.inputs)


def require_playable(signature: Signature, spec: PlaySpec) -> None:
    """Returns if a graph fits the environment and the action head of a spec.

    Raises:
        ConfigError: It does not; the text names each input and output that differs, with both
            shapes.
    """
    seen = stacked(spec.observations, spec.environment.stack)
    state = {path: tuple(shape) for path, shape in spec.state.items()}
    wrong = [
        *_wrong_inputs(signature.inputs, seen, spec.actions, state),
        *_wrong_state(signature.outputs, state),
        *_wrong_outputs(signature.outputs, outputs_read(spec.head, spec.actions)),
    ]
    if wrong:
        raise ConfigError(
            f"the policy graph does not fit {spec.environment.id} with {spec.head} actions: "
            f"{'; '.join(wrong)}. B is left open, because players and evaluations have different "
            "numbers of environments. Make the graph for these spaces, and start a new run."
        )


def _wrong_inputs(
    inputs: Mapping[str, Port], seen: Space, actions: Space, state: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    wanted = {_OBSERVATION + path: leaf.shape for path, leaf in seen.items()}
    wanted |= {_STATE + path: shape for path, shape in state.items()}
    wanted |= {action_input(path): leaf.shape for path, leaf in actions.items()}
    if len(actions) == 1:
        # Older graphs name the input of a Dict's only leaf without its path.
        wanted |= {action_input(""): leaf.shape for leaf in actions.values()}
    wanted[REWARD_INPUT] = ()
    for name, port in inputs.items():
        if name.startswith(_WEIGHT):
            continue
        if name not in wanted:
            kind = "an action" if action_of_input(name) is not None else "anything"
            yield (
                f"it takes {name!r} {_shown(port.shape)}, which is not {kind} of this environment "
                f"(there is {', '.join(map(repr, wanted))})"
            )
        elif port.shape != (None, *wanted[name]):
            yield (
                f"it takes {name} as {_shown(port.shape)}, and gets {_shown((None, *wanted[name]))}"
            )
    for path in state:
        if _STATE + path not in inputs:
            yield f"it does not take the state {_STATE + path!r}, which sessions should carry"


def _wrong_state(
    outputs: Mapping[str, Port], state: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    for path, shape in state.items():
        port = outputs.get(_NEXT_STATE + path)
        wanted = Port("float32", (None, *shape))
        if port is None:
            yield f"it takes {_STATE + path} and gives no {_NEXT_STATE + path} {wanted}"
        elif port != wanted:
            yield f"it gives {_NEXT_STATE + path} as {port}, and takes it back as {wanted}"


def _wrong_outputs(outputs: Mapping[str, Port], read: Mapping[str, int]) -> Iterator[str]:
    for name, size in read.items():
        port = outputs.get(_OUTPUT + name)
        wanted = _shown((None, size))
        if port is None:
            given = ", ".join(f"{name} {_shown(each.shape)}" for name, each in outputs.items())
            yield f"it gives no {_OUTPUT + name} {wanted}, which the head reads (it gives {given})"
        elif port.shape != (None, size):
            yield f"it gives {_OUTPUT + name} as {_shown(port.shape)}, and the head reads {wanted}"


def _shown(shape: tuple[int | None, ...]) -> str:
    """``[B, 4]``; sizes after the first that are left open are ``?``."""
    first = [_B if size is None else str(size) for size in shape[:1]]
    return f"[{', '.join(first + ['?' if size is None else str(size) for size in shape[1:]])}]"
