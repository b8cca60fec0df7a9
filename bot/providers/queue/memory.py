"""The work queue in the process itself: a heap of due times behind one lock. It ends with the process."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.core.queueing import fault, settled
from bot.model.work import Due, Ending, QueueItem
from bot.ports import Clock, Until
from bot.providers import work_loop
from bot.providers.secrets import redact

PAUSE = 0.2
"""Seconds between two looks for something that is due."""


@dataclass(slots=True)
class _Place:
    """A subject's place in the queue; `asked` is when to look again that was asked for while it is handled."""

    item: QueueItem
    asked: datetime | None = None


@dataclass(slots=True)
class MemoryQueue:
    """A `bot.ports.Queue` for the threads of one process; due times are whole seconds and are judged by `clock`."""

    clock: Clock
    _places: dict[str, _Place] = field(default_factory=dict)
    _heap: list[tuple[datetime, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def items(self) -> Sequence[QueueItem]:
        """Every subject in it, by due time and then by name; dead ones last."""
        with self._lock:
            found = [place.item for place in self._places.values()]
        return sorted(found, key=lambda item: (bool(item.dead), item.at, item.subject))

    def add(self, due: Due) -> bool:
        """Put a subject in that is not there; one that is keeps its due time. Returns whether it was added."""
        with self._lock:
            if due.subject in self._places:
                return False
            self._put(_new(due))
            return True

    def ask(self, due: Due) -> None:
        """Bring a subject forward, or put it in; one that is just being handled is looked at again after that."""
        new = _new(due)
        with self._lock:
            place = self._places.get(due.subject)
            if place is None:
                self._put(new)
            elif place.item.taken:
                place.asked = new.at if place.asked is None else min(place.asked, new.at)
            elif new.at < place.item.at and not place.item.dead:
                self._put(replace(place.item, at=new.at, text=new.text or place.item.text))

    def remove(self, subject: str) -> bool:
        """Take a subject out, unless a processor is at it; returns whether it was there."""
        with self._lock:
            place = self._places.get(subject)
            if place is None or place.item.taken:
                return False
            del self._places[subject]
            return True

    def clear(self) -> int:
        """Take everything out that no processor is at; returns how many there were."""
        with self._lock:
            kept = {subject: place for subject, place in self._places.items() if place.item.taken}
            count = len(self._places) - len(kept)
            self._places = kept
            return count

    def work(self, handle: Callable[[QueueItem], Ending], *, until: Until, stopped: Callable[[], bool]) -> int:
        """Take due subjects, the earliest first, hand each to `handle` and settle how that ended; returns how many."""
        return work_loop.work(self, handle, until=until, stopped=stopped)

    def take(self) -> QueueItem | None:
        """Take the earliest subject that is due, as a processor."""
        now = self.clock.now()
        with self._lock:
            for subject in self._due(now):
                place = self._places[subject]
                place.item = replace(place.item, taken=True)
                return place.item
        return None

    def item(self, taken: QueueItem) -> QueueItem:
        """What was taken."""
        return taken

    def held(self, taken: QueueItem) -> AbstractContextManager[object]:
        """It is kept from everybody else by its mark."""
        return nullcontext(taken)

    def settle(self, taken: QueueItem, ending: Ending) -> None:
        """Put down how the look ended."""
        now = self.clock.now()
        with self._lock:
            after = settled(taken, ending, now, self._places.pop(taken.subject).asked)
            if after is not None:
                self._put(replace(after, text=redact(after.text)))

    def give_back(self, taken: QueueItem) -> None:
        """Let go of a subject as if it had not been taken."""
        with self._lock:
            self._put(replace(taken, taken=False))

    def rest(self) -> None:
        """Wait a moment for something to become due."""
        self.clock.sleep(PAUSE)

    def _put(self, item: QueueItem) -> None:
        self._places[item.subject] = _Place(item)
        if not item.dead:
            heapq.heappush(self._heap, (item.at, item.subject))

    def _due(self, now: datetime) -> Iterator[str]:
        """What is due, taken off the heap; entries that are no longer true are dropped on the way."""
        while self._heap and self._heap[0][0] <= now:
            at, subject = heapq.heappop(self._heap)
            place = self._places.get(subject)
            if place is not None and place.item.at == at and not place.item.taken:
                yield subject


def _new(due: Due) -> QueueItem:
    return QueueItem(due.subject, due.at.replace(microsecond=0), text=redact(due.why), dead=fault(due.subject))
