"""A policy that acts in B slots (environments): its memory of each slot's episode, and one tick.

Stages, evaluation episodes and ``tinyqueue.load(RUN).act`` all play through :class:`Rollout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.policy.heads import Head

Previous = tuple[Arrays, Array]
"""Actions, path → ``[B, *act]``, and rewards ``[B]`` float32 of the previous tick; zeros before
an episode's first observation."""


class Runner(Protocol):
    """Runs a network, as :class:`tinyqueue.policy.runner.PolicyRunner` does.

    Attributes:
        version: Policy version of the weights.
        env_steps: Env steps of training behind the weights.
    """

    version: int
    env_steps: int

    @property
    def uses_previous(self) -> bool:
        """Whether the network takes the previous action and reward."""

    def run(
        self, observations: Arrays, state: Arrays, previous: Previous | None = None
    ) -> tuple[Arrays, Arrays]:
        """Outputs by name, ``[B, …]``, and the next state by path, ``[B, *state]``.

        The next run may overwrite both.

        Args:
            observations: path → ``[B, *obs]``.
            state: path → ``[B, *state]``.
            previous: For a network that ``uses_previous``.
        """


class Rollout:
    """Recurrent state, previous action and previous reward of B slots.

    A tick is :meth:`act`, then :meth:`remember`. Call :meth:`forget` before the ``act`` on an
    episode's first observation. Both may be left out for a policy that does not look back
    (:attr:`looks_back`).

    Args:
        actions: The action space.
        state: Recurrent state: path → shape for one slot.
        slots: B.

    Attributes:
        state: path → ``[B, *state]`` float32, before the next tick.
        previous_actions: path → ``[B, *act]`` of the previous tick.
        previous_rewards: ``[B]`` float32 of the previous tick.
        outputs: The network's outputs in the last :meth:`act`; the next one overwrites them.
    """

    def __init__(self, actions: Space, state: Mapping[str, tuple[int, ...]], slots: int) -> None:
        self.state: Arrays = {
            path: np.zeros((slots, *shape), np.float32) for path, shape in state.items()
        }
        self.previous_actions: Arrays = {
            path: np.zeros((slots, *leaf.shape), leaf.dtype) for path, leaf in actions.items()
        }
        self.previous_rewards: Array = np.zeros(slots, np.float32)
        self.outputs: Arrays = {}
        self._sees_previous = False
        self._previous: Previous | None = None

    def begin(self, runner: Runner, head: Head, ticks: int, rng: np.random.Generator) -> None:
        """Sets the policy for the next ``ticks``, for which the head draws its noise.

        Args:
            runner: Runs the network.
            head: Chooses actions from its outputs.
            ticks: Maximum number of :meth:`act` calls before the next ``begin``.
            rng: Source of the head's random numbers.
        """
        head.begin(ticks, len(self.previous_rewards), rng, runner.env_steps)
        self._run, self._act = runner.run, head.act
        self._sees_previous = runner.uses_previous
        self._note_previous()

    @property
    def looks_back(self) -> bool:
        """Whether the policy has a recurrent state or takes the previous action and reward."""
        return bool(self.state) or self._sees_previous

    def act(self, tick: int, seen: Arrays, mask: Array | None = None) -> Arrays:
        """Actions for one tick, path → ``[B, *act]``, valid until the next ``begin``.

        Args:
            tick: 0 … ticks−1, ascending.
            seen: The network's observations, path → ``[B, *obs]``, stacked if it sees stacks.
            mask: As in :meth:`tinyqueue.policy.heads.Head.act`.
        """
        self.outputs, after = self._run(seen, self.state, self._previous)
        if self.state:
            for path, values in self.state.items():
                values[...] = after[path]
        return self._act(tick, self.outputs, mask)

    def remember(self, actions: Arrays, rewards: Array) -> None:
        """Stores the tick just played.

        Args:
            actions: path → ``[B, *act]``.
            rewards: ``[B]``.
        """
        for path, previous in self.previous_actions.items():
            previous[...] = actions[path]
        self.previous_rewards[...] = rewards

    def forget(self, begun: Array) -> None:
        """Clears the memory of slots that are now at the first observation of an episode.

        Args:
            begun: ``[B]`` bool, true for these slots.
        """
        for values in self.state.values():
            values[begun] = 0
        for previous in self.previous_actions.values():
            previous[begun] = 0
        self.previous_rewards[begun] = 0

    def keep(self, on: Array) -> None:
        """Continues with only the slots where ``on``, ``[B]`` bool, is true."""
        self.state = _where(on, self.state)
        self.previous_actions = _where(on, self.previous_actions)
        self.previous_rewards = self.previous_rewards[on]
        self._note_previous()

    def _note_previous(self) -> None:
        self._previous = (
            (self.previous_actions, self.previous_rewards) if self._sees_previous else None
        )


class Stacks:
    """Stacks of the last k frames of B slots, built from single frames.

    Args:
        space: The space of one frame.
        slots: B.
        stack: k; with 1, the policy sees single frames.

    Attributes:
        frames: path → ``[B, k, *frame]``, oldest first; empty when k is 1.
    """

    def __init__(self, space: Space, slots: int, stack: int) -> None:
        self.frames: Arrays = {}
        if stack > 1:
            self.frames = {
                path: np.zeros((slots, stack, *leaf.shape), leaf.dtype)
                for path, leaf in space.items()
            }

    def push(self, newest: Arrays, begun: Array) -> Arrays:
        """Adds a frame, and returns what the policy sees.

        Args:
            newest: path → ``[B, *frame]``.
            begun: ``[B]`` bool, true where it is the first frame of an episode, which fills the
                whole stack.

        Returns:
            ``frames``: new arrays without the oldest and with the newest last; or ``newest``
            itself if k is 1.
        """
        if not self.frames:
            return newest
        for path, frame in newest.items():
            last = frame[:, None]
            stack = np.concatenate([self.frames[path][:, 1:], last], axis=1)
            stack[begun] = last[begun]
            self.frames[path] = stack
        return self.frames

    def keep(self, on: Array) -> None:
        """Continues with only the slots where ``on``, ``[B]`` bool, is true."""
        self.frames = _where(on, self.frames)


def _where(on: Array, arrays: Arrays) -> Arrays:
    return {path: values[on] for path, values in arrays.items()}
