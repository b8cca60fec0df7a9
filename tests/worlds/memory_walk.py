"""Walks of a story through a world in memory: once without faults, and then from any of its passes with some.

A story is a sequence of steps; in each of them people do something, and then passes are made, a minute apart, until
nothing moves any more. Each step begins at its own time, whatever went wrong before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from worlds.faulty_ports import Call, Choose, Injector, Kind, faulty, survived
from worlds.memory_rounds import given_up
from worlds.memory_seen import difference, seen
from worlds.memory_world import PASS, PASSES, MemoryWorld

PAUSE = timedelta(minutes=5)
"""How long a process stands still that is paused."""

Act = Callable[[Any], None]
"""What people do in a world, be it one in memory or one with a real forge."""


@dataclass(frozen=True, eq=False)
class Story:
    """What people do, step by step; what must be so at the end, and how the world is laid out."""

    name: str
    steps: tuple[Act, ...]
    end: Act
    wishes: Mapping[str, Any] = field(default_factory=dict)
    sure: bool = True
    """Whether it comes to the same end, whatever fails; else only what `MemoryWorld.check` says holds."""


@dataclass(frozen=True)
class Pass:
    """One pass of the undisturbed walk: the world before it, and all its calls."""

    step: int
    before: bytes
    calls: tuple[Call, ...]
    subject: str = ""
    """What was looked at; empty where it is a whole pass."""


@dataclass
class Telling:
    """An undisturbed walk: its passes, when each step began, and what there was to be seen after each."""

    story: Story
    passes: list[Pass] = field(default_factory=list)
    begins: list[datetime] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)
    good: set[tuple[int, bytes]] = field(default_factory=set)
    """Worlds at the end of a faulty pass, by step, that are known to come to a good end."""


def tell(story: Story) -> Telling:
    """Walk the story without faults."""
    telling, world = Telling(story), MemoryWorld(**story.wishes)
    for step in range(len(story.steps)):
        begin(telling, world, step)
        for _ in range(PASSES):
            injector, before, writes = Injector(), world.freeze(), world.store.writes
            world.one_pass(faulty(world.ports(), injector))
            telling.passes.append(Pass(step, before, tuple(injector.calls)))
            world.check()
            if world.idle(writes):
                break
            world.now += PASS
        else:
            raise AssertionError(f"{story.name}: step {step} does not come to rest")
        telling.ends.append(seen(world, telling.begins))
    story.end(world)
    return telling


def begin(telling: Telling, world: MemoryWorld, step: int) -> None:
    """People act, an hour after the last step at the earliest."""
    if step:
        world.now = telling.begins[step - 1]
        world.later(hours=1)
        world.begins.append(world.now)
    telling.story.steps[step](world)
    world.began = world.now
    if step == len(telling.begins):
        telling.begins.append(world.now)


@dataclass
class Walk:
    """A walk with faults, from one of the passes on; `struck` are those that it met, as (pass, call, kind)."""

    telling: Telling
    start: int
    struck: list[tuple[int, Call, Kind]] = field(default_factory=list)
    shortcuts: bool = True
    """Whether it ends where nothing can be told any more; otherwise the story is walked to its end."""
    faults: int = 1
    """How many faults are to come; a pass that met fewer is no end yet, however well the world looks."""

    def run(self, choose: Callable[[int, Call], Kind | None]) -> None:
        """Walk; `choose` says what becomes of a call, given the number of the pass since the start."""
        first = self.telling.passes[self.start]
        self.world = MemoryWorld.thaw(first.before)
        step = first.step
        self.number = 0
        while True:
            if self._rest(step, choose):
                return
            if not self.telling.story.sure or given_up(self.world.state()):
                return
            found, expected = seen(self.world, self.telling.begins[: step + 1]), self.telling.ends[step]
            assert found == expected, difference(expected, found)
            if self.shortcuts:
                return
            step += 1
            if step == len(self.telling.story.steps):
                break
            begin(self.telling, self.world, step)
        self.telling.story.end(self.world)

    def _rest(self, step: int, choose: Callable[[int, Call], Kind | None]) -> bool:
        """Passes until nothing moves; whether that is known to come to a good end."""
        for _ in range(PASSES):
            writes, before, struck = self.world.store.writes, self.world.freeze(), len(self.struck)
            well = self._pass(choose)
            if self.shortcuts and struck < len(self.struck) >= self.faults:
                if self.world.freeze() == before:
                    return True  # nothing has happened: what comes now is what would have come
                key = (step, self.world.freeze())
                if key in self.telling.good:
                    return True
                self.telling.good.add(key)  # a walk that fails is reported, and nothing hangs on this any more
            if well and self.world.idle(writes):
                return False
            self.world.now += PASS
        raise AssertionError("it does not come to rest")

    def _pass(self, choose: Callable[[int, Call], Kind | None]) -> bool:
        """One process; whether it ended well."""
        number, world = self.number, self.world
        this: Choose = lambda call: choose(number, call)  # noqa: E731 - bound to this pass
        injector = Injector(this, self._others)
        ports = faulty(world.ports(), injector)
        well = survived(lambda: world.one_pass(ports))
        self.struck += [(number, call, kind) for call, kind in injector.struck]
        self.number += 1
        world.check()
        return well and not any(kind not in (Kind.OVERTAKEN, Kind.PAUSED) for _, kind in injector.struck)

    def _others(self, kind: Kind) -> None:
        """Another process: one pass at the same time, or all that are due in some minutes."""
        world, moment = self.world, self.world.now
        survived(world.one_pass)
        if kind is Kind.PAUSED:
            world.now += PAUSE
            world.calm()
            world.now = max(world.now, moment + PAUSE)
        world.at(world.now)
