"""A work queue in memory that can be frozen with its world; whoever takes a subject says which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bot.core.queueing import abandoned, settled
from bot.model.work import Due, Ending, QueueItem
from bot.ports import Until

MINUTE = timedelta(minutes=1)


@dataclass
class OpenQueue:
    """A `bot.ports.Queue`; the rules of what becomes of a subject are those of `bot.core.queueing`."""

    places: dict[str, QueueItem] = field(default_factory=dict)
    asked: dict[str, datetime] = field(default_factory=dict)

    def items(self) -> Sequence[QueueItem]:
        """By due time."""
        return sorted(self.places.values(), key=lambda item: (item.at, item.subject))

    def add(self, due: Due) -> bool:
        """Put a subject in that is not there."""
        if due.subject in self.places:
            return False
        self.places[due.subject] = QueueItem(due.subject, due.at, text=due.why)
        return True

    def ask(self, due: Due) -> None:
        """Bring a subject forward, or put it in."""
        if self.add(due):
            return
        item = self.places[due.subject]
        if item.taken:
            self.asked[due.subject] = min(self.asked.get(due.subject, due.at), due.at)
        elif due.at < item.at:
            self.places[due.subject] = replace(item, at=due.at)

    def remove(self, subject: str) -> bool:
        """Take a subject out, unless a processor is at it."""
        found = self.places.get(subject)
        if found is None or found.taken:
            return False
        del self.places[subject]
        return True

    def clear(self) -> int:
        """Nobody does."""
        raise NotImplementedError

    def work(self, handle: Callable[[QueueItem], Ending], *, until: Until, stopped: Callable[[], bool]) -> int:
        """The walk itself does."""
        raise NotImplementedError((handle, until, stopped))

    # What a processor does, in the hands of the walk.

    def due(self, now: datetime) -> list[str]:
        """What may be taken now."""
        return [item.subject for item in self.items() if item.at <= now and not item.taken]

    def broken(self) -> list[datetime]:
        """When those are due that broke, or asked for more, and wait for another try."""
        return [item.at for item in self.items() if item.attempts or item.agains]

    def take(self, subject: str) -> QueueItem:
        """Take it."""
        self.places[subject] = replace(self.places[subject], taken=True)
        return self.places[subject]

    def settle(self, taken: QueueItem, ending: Ending | None, now: datetime) -> None:
        """Put down how the look ended; None where the processor died."""
        asked = self.asked.pop(taken.subject, None)
        after = abandoned(taken) if ending is None else settled(taken, ending, now, asked)
        if after is None:
            del self.places[taken.subject]
        else:
            self.places[taken.subject] = after
