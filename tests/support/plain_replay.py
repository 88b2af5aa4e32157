"""The transitions of a replay, kept in plain lists and worked out one tick at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playing import Playing, Tick, frame, place

from tinyqueue.replay.plan import ReplayPlan


@dataclass
class Item:
    """A transition; ``stack`` and ``priority`` are None while they are not known."""

    run: Run
    stack: list[int] | int | None
    next_stack: list[int] | int | None
    action: int
    returns: float
    discount: float
    priority: float | None


@dataclass(eq=False)
class Run:
    """Batches of one stage without a gap.

    Attributes:
        end: Ticks received, counted from the stage's first.
        is_closed: The row at ``end`` is held too, and no more will come.
    """

    stage: int
    end: int
    is_closed: bool = False


@dataclass(eq=False)
class Block:
    """A place in the ring: ``ticks`` from ``first``; ``number`` 0 closes a run."""

    number: int
    run: Run
    first: int
    ticks: int


class PlainReplay:
    """What :class:`~tinyqueue.replay.replay.Replay` should hold.

    Args:
        plan: With an exponent of 1, so that priorities are |δ| + ε.
        stages: What each stage has played, which is looked up here.
        capacity: Blocks.
        stack: k.
    """

    def __init__(self, plan: ReplayPlan, stages: list[Playing], capacity: int, stack: int) -> None:
        self.plan, self.stages, self.capacity, self.stack = plan, stages, capacity, stack
        assert plan.prioritisation is not None
        self._epsilon = plan.prioritisation.epsilon
        self.blocks: list[Block] = []
        self.items: dict[int, Item] = {}
        self.largest = 1.0
        self._open: dict[int, Block] = {}
        self._done: set[int] = set()

    @property
    def env_steps(self) -> int:
        return sum(tick.valid for block in self.blocks for tick in self._played(block))

    @property
    def numbers(self) -> tuple[int, int]:
        """Oldest and newest log number."""
        numbers = [block.number for block in self.blocks if block.number]
        return min(numbers), max(numbers)

    def add(self, number: int, n: int, stage: int) -> None:
        """Batch n of a stage."""
        ticks = self.stages[stage].ticks
        if stage in self._open and self._open[stage].run.end != n * ticks:
            self._make_room()
            if last := self._open.pop(stage, None):
                last.run.is_closed = True
                self.blocks.append(Block(0, last.run, last.run.end, 1))
                self._complete(last.run)
        self._make_room()
        run = self._open[stage].run if stage in self._open else Run(stage, n * ticks)
        block = Block(number, run, n * ticks, ticks)
        run.end += ticks
        self._open[stage] = block
        self.blocks.append(block)
        self._complete(run)

    def update(self, frames: list[int], priorities: list[float]) -> int:
        """Sets priorities; of how many items there was nothing left."""
        found = [
            (self.items[frame_], priority + self._epsilon)
            for frame_, priority in zip(frames, priorities, strict=True)
            if frame_ in self.items
        ]
        for item, priority in found:
            item.priority = priority
            self.largest = max(self.largest, priority)
        return len(frames) - len(found)

    def priorities(self) -> dict[int, list[Any]]:
        """By log number: of every tick of every slot, 0 where there is no item."""
        return {
            block.number: [
                self.items[tick.frame].priority if tick.frame in self.items else 0.0
                for tick in self._played(block)
            ]
            for block in self.blocks
            if block.number
        }

    def _played(self, block: Block) -> list[Tick]:
        slots = self.stages[block.run.stage].slots if block.number else []
        return [tick for slot in slots for tick in slot[block.first : block.first + block.ticks]]

    def _make_room(self) -> None:
        if len(self.blocks) < self.capacity:
            return
        oldest = self.blocks.pop(0)
        stage = oldest.run.stage
        if self._open.get(stage) is oldest:
            del self._open[stage]
        for tick in self._played(oldest):
            self.items.pop(tick.frame, None)
        for frame_ in [frame_ for frame_, item in self.items.items() if item.run is oldest.run]:
            if self._stack(oldest.run, *place(frame_)[1:]) is None:
                del self.items[frame_]

    def _is_held(self, run: Run, tick: int) -> bool:
        return any(
            block.run is run and block.first <= tick < block.first + block.ticks
            for block in self.blocks
        )

    def _stack(self, run: Run, slot: int, tick: int) -> list[int] | int | None:
        """Frames of a row, oldest first; None when one is not held."""
        played = self.stages[run.stage].slots[slot]
        age = played[tick].age if tick < run.end else played[tick - 1].age + 1
        ticks = [tick - min(back, age) for back in range(self.stack - 1, -1, -1)]
        if not all(self._is_held(run, tick) for tick in ticks):
            return None
        frames = [frame(run.stage, slot, tick) for tick in ticks]
        return frames if self.stack > 1 else frames[0]

    def _complete(self, run: Run) -> None:
        made = []
        for block in [block for block in self.blocks if block.run is run]:
            for tick in self._played(block):
                item = self._item(run, tick)
                if tick.valid and tick.frame not in self._done and item:
                    self._done.add(tick.frame)
                    if item.stack is not None:
                        self.items[tick.frame] = item
                        made.append(item)
        known = [item.priority for item in made if item.priority is not None]
        self.largest = max([self.largest, *known])
        for item in made:
            item.priority = self.largest if item.priority is None else item.priority

    def _item(self, run: Run, tick: Tick) -> Item | None:
        """The transition that begins at a tick; None when more ticks are needed."""
        plan = self.plan
        assert plan.reward_clip is not None
        _, slot, at = place(tick.frame)
        played = self.stages[run.stage].slots[slot]
        returns, m = 0.0, 0
        while m < plan.n_step and at + m < run.end:
            reward = min(played[at + m].reward, plan.reward_clip) * plan.reward_scale
            returns += plan.gamma**m * reward
            m += 1
            if played[at + m - 1].ended:
                break
        after = at + m
        if after >= run.end and not run.is_closed:
            return None
        discount = 0.0 if played[after - 1].terminated else plan.gamma**m
        priority = None
        if discount == 0 or after < run.end:
            bootstrap = discount * played[after].q_max if discount else 0.0
            priority = abs(returns + bootstrap - tick.q_taken) + self._epsilon
        stack, next_stack = self._stack(run, slot, at), self._stack(run, slot, after)
        return Item(run, stack, next_stack, tick.action, returns, discount, priority)
