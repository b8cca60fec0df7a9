"""Stories told by looks: what a pass would do is done subject by subject, as the work queue brings them up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from worlds.memory_seen import difference, seen
from worlds.memory_state import MemoryClock
from worlds.memory_walk import Story, tell
from worlds.memory_world import PASS, PASSES, MemoryWorld

from bot.model.work import Due, Ending, QueueItem
from bot.ports import Until
from bot.providers.queue.memory import MemoryQueue
from bot.providers.work_loop import handed
from bot.reconcile import Job
from bot.work import COLLECT, handler


@dataclass
class Looks:
    """Any world with a queue and one processor; `endings` are those of all looks, by subject, in order."""

    world: Any
    endings: list[tuple[str, Ending]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The queue lives as long as the world does, and asks it for the time."""
        self.queue = MemoryQueue(MemoryClock(lambda: self.world.now))

    def drain(self, job: Job | None = None, *, collects: bool = True) -> list[tuple[str, Ending]]:
        """A moment of a processor: the collector, and whatever is due then; the looks it has made, in order."""
        if collects:
            self.queue.ask(Due(COLLECT, self.world.now))
        handle = handler(job or self.world.job(), self.queue)
        before = len(self.endings)

        def noted(item: QueueItem) -> Ending:
            ending = handed(handle, item)
            self.endings.append((item.subject, ending))
            return ending

        self.queue.work(noted, until=Until.DRAINED, stopped=lambda: False)
        return self.endings[before:]

    def calm(self) -> None:
        """Minutes of a processor until nothing moves any more; of a world in memory."""
        for _ in range(PASSES):
            before = self.world.store.writes
            self.drain()
            self.world.check()
            if self.world.idle(before):
                return
            self.world.now += PASS
        raise AssertionError(f"not idle after {PASSES} minutes: {self.endings[-10:]}")


def told_by_looks(story: Story) -> None:
    """Tell a story by passes and by looks: the same is to be seen after each step."""
    telling, looks = tell(story), Looks(MemoryWorld(**story.wishes))
    for step, act in enumerate(story.steps):
        if step:
            looks.world.at(telling.begins[step - 1])
            looks.world.later(hours=1)
        act(looks.world)
        looks.calm()
        found, expected = seen(looks.world, telling.begins[: step + 1]), telling.ends[step]
        assert found == expected, f"step {step} ({act.__name__}):\n{difference(expected, found)}"
    story.end(looks.world)


class Poisoned:
    """A port with a method that breaks where it is asked about one thing (None: always)."""

    def __init__(self, port: Any, name: str, about: Any, error: Exception) -> None:
        self._port, self._name, self._about, self._error = port, name, about, error

    def __getattr__(self, name: str) -> Any:
        """The port's own, but for the one method."""
        found = getattr(self._port, name)
        if name != self._name:
            return found

        def ask(*given: Any, **named: Any) -> Any:
            if self._about is None or self._about in given:
                raise self._error
            return found(*given, **named)

        return ask


def poison(job: Job, port: str, name: str, about: Any, error: Exception) -> Job:
    """The same job with one question that breaks."""
    broken: dict[str, Any] = {port: Poisoned(getattr(job.ports, port), name, about, error)}
    return replace(job, ports=replace(job.ports, **broken))
