"""Walks of a story by looks at one subject at a time, instead of whole passes: a queue, and processors that share it.

Every third minute, and whenever nothing else is due, the collector is run; every minute everything that is due is
looked at in random order, the same one each time. Each look is a process of its own. Where one is overtaken, another
processor works in between: on another subject, or a person has the same one looked at (`process item`), or a whole pass
is made. In the end everything is as it is after passes, and a pass finds nothing to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from worlds.faulty_ports import Call, Choose, Faulty, Injector, Killed, Kind, faulty, survived
from worlds.memory_rounds import given_up
from worlds.memory_seen import difference, seen
from worlds.memory_walk import PAUSE, Pass, Telling, begin
from worlds.memory_world import PASS, MemoryWorld

from bot.core.candidates import ATTENTION_LABEL
from bot.core.focus import is_subject
from bot.core.queueing import COLLECT
from bot.errors import ServerUnreachable, StateRace
from bot.looks import look
from bot.model.work import Due, Ending, Failed
from bot.work import handler

MOST = 8
"""Looks at a subject within a minute: one that asks for another at once is let go in the end."""

OFTEN = 3
"""Minutes from one run of the collector to the next."""

LONGEST = timedelta(minutes=59)
"""How long a step may take: what broke is tried again after a quarter of an hour, and then after half an hour."""

Run = Callable[[str], bool]


def minute(world: MemoryWorld, run: Run) -> bool:
    """Look at all that is due, and collect in time; whether all went well, and a collection was made."""
    if world.now.minute % OFTEN == 0 or not world.queue.due(world.now):
        world.queue.ask(Due(COLLECT, world.now))
    looks: Counter[str] = Counter()
    well = True
    dice = Random(str(world.now))  # noqa: S311 - no secret, the same order each time
    while subjects := [each for each in world.queue.due(world.now) if looks[each] < MOST]:
        subject = dice.choice(subjects)
        looks[subject] += 1
        well &= run(subject)
    return well and bool(looks[COLLECT])


def process(world: MemoryWorld, subject: str, injector: Injector) -> None:
    """One processor takes one subject that is due."""
    item = world.queue.take(subject)
    job = world.job(faulty(world.ports(), injector))
    ending = ended(lambda: handler(job, Faulty(world.queue, "queue", injector))(item))
    world.queue.settle(item, ending, world.now)
    world.check()


def ended(handle: Callable[[], Ending]) -> Ending | None:
    """How a look ended; None where its process is gone. What nobody foresaw is not taken for a failure here."""
    try:
        return handle()
    except Killed:
        return None
    except (ServerUnreachable, StateRace) as error:
        return Failed(error.message)


def at_rest(world: MemoryWorld, writes: int, *, well: bool) -> bool:
    """Whether nothing moves any more; else it is the next minute, or when something is looked at again.

    Who comes while a subject waits for its next look waits for that as well, up to twenty minutes.
    """
    later = world.now + PASS
    if well and world.idle(writes):
        broken = world.queue.broken()
        if not broken and not world.plans():
            return True
        later = max(later, min(broken or [item.at for item in world.queue.items()]))
    world.at(later)
    assert world.now - world.began < LONGEST, f"it does not come to rest: {world.queue.items()}"
    return False


def looked_at(telling: Telling) -> Telling:
    """The same story walked by looks; what is seen after each step is what is seen after passes."""
    found, world = replace(telling, passes=[], good=set()), MemoryWorld(**telling.story.wishes)
    for step in range(len(telling.story.steps)):
        begins(found, world, step)

        def run(subject: str, step: int = step) -> bool:
            before, injector = world.freeze(), Injector()
            process(world, subject, injector)
            found.passes.append(Pass(step, before, tuple(injector.calls), subject))
            return True

        while True:
            writes = world.store.writes
            if at_rest(world, writes, well=minute(world, run)):
                break
        settled(found, world, step)
    telling.story.end(world)
    return found


def begins(telling: Telling, world: MemoryWorld, step: int) -> None:
    """People act; whoever was asked to do something takes the label off."""
    begin(telling, world, step)
    for each in world.merge_requests():
        if ATTENTION_LABEL in each.labels:
            world.people.set_label(each.iid, ATTENTION_LABEL, on=False)


def settled(telling: Telling, world: MemoryWorld, step: int) -> None:
    """Everything is as it is after passes, and a pass finds nothing to do."""
    writes = world.store.writes
    report = world.one_pass()
    told = [type(each).__name__ + ": " + each.subject for each in report.plan.actions]
    assert not told, f"a pass still does something: {told}"
    assert world.store.writes == writes, "a pass still changes the statefile"
    if not telling.story.sure or given_up(world.state()):
        return
    found, expected = seen(world, telling.begins[: step + 1]), telling.ends[step]
    assert found == expected, difference(expected, found)


@dataclass
class LookWalk:
    """A walk with faults, from one of the looks on; `struck` are those that it met, as (look, call, kind)."""

    telling: Telling
    start: int
    struck: list[tuple[int, Call, Kind]] = field(default_factory=list)
    shortcuts: bool = True
    faults: int = 1

    def run(self, choose: Callable[[int, Call], Kind | None]) -> None:
        """Walk; `choose` says what becomes of a call, given the number of the look since the start."""
        first = self.telling.passes[self.start]
        self.world, self.number, self.choose = MemoryWorld.thaw(first.before), 0, choose
        self._look(first.subject)
        for step in range(first.step, len(self.telling.story.steps)):
            if step > first.step:
                begins(self.telling, self.world, step)
            if self._rest(step):
                return
            settled(self.telling, self.world, step)
            if self.shortcuts or not self.telling.story.sure or given_up(self.world.state()):
                return
        self.telling.story.end(self.world)

    def _rest(self, step: int) -> bool:
        """Look until nothing moves; whether that is known to come to a good end."""
        met = 0
        while True:
            writes = self.world.store.writes
            well = minute(self.world, self._look)
            if self.shortcuts and met < len(self.struck) >= self.faults:
                met, key = len(self.struck), (step, self.world.freeze())
                if key in self.telling.good:
                    return True
                self.telling.good.add(key)  # a walk that fails is reported, and nothing hangs on this any more
            if at_rest(self.world, writes, well=well):
                return False

    def _look(self, subject: str) -> bool:
        """One process; whether it ended well."""
        number, choose = self.number, self.choose
        this: Choose = lambda call: choose(number, call)  # noqa: E731 - bound to this look
        injector = Injector(this, lambda kind: self._others(kind, number))
        process(self.world, subject, injector)
        self.struck += [(number, call, kind) for call, kind in injector.struck]
        self.number += 1
        return not injector.struck

    def _others(self, kind: Kind, number: int) -> None:
        """Other processors: one of them at the same time, or all that is due in some minutes."""
        world, moment = self.world, self.world.now
        if kind is Kind.PAUSED:
            while world.now < moment + PAUSE:
                minute(world, self._other)
                world.at(world.now + PASS)
            return
        dice = Random(f"{self.start} {number} {len(self.struck)}")  # noqa: S311 - as above
        taken = [item.subject for item in world.queue.items() if item.taken]
        again = [partial(look, world.job(), subject) for subject in taken if is_subject(subject)]
        others = [partial(self._other, each) for each in world.queue.due(world.now)]
        acts: list[Callable[[], Any]] = [*again, *again, *others, partial(survived, world.one_pass)]
        dice.choice(acts)()
        world.check()

    def _other(self, subject: str) -> bool:
        process(self.world, subject, Injector())
        return True
