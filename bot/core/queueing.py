"""Queueing: what may stand in the work queue, and what becomes of a subject there after a look (SYSTEMS WQ-4); pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from bot.core.focus import is_subject
from bot.model.work import Again, Attention, Done, Ending, Failed, QueueItem, Wait

COLLECT = "collect"
"""The item that has the collector run; it is no subject of a decision."""

MOST_AGAINS = 5
"""Looks in a row that may ask for another one at once."""

TOO_OFTEN = timedelta(minutes=20)
"""How long a subject rests that asked for more."""

MOST_ATTEMPTS = 5
"""Looks in a row that may fail. After the last one the item is due at once, for a person to be asked."""

FIRST_PAUSE = timedelta(minutes=15)
"""After the first look that failed; each one that follows doubles it."""

LONGEST_PAUSE = timedelta(hours=4)

_MOST_DOUBLINGS = 10  # far beyond the longest pause


def fault(subject: str) -> str:
    """Why nobody can make anything of a subject; empty where it can be looked at."""
    if not subject.isprintable():
        return "its name has characters that cannot be shown"
    if subject == COLLECT or is_subject(subject):
        return ""
    return "no such kind of subject is known to this release"


def settled(item: QueueItem, ending: Ending, now: datetime, asked: datetime | None = None) -> QueueItem | None:
    """The item as it goes on waiting, or None where it leaves the queue; no processor is at it any more.

    `asked` is when somebody wanted it to be looked at who came while it was handled: that is not forgotten, however
    the look ended.
    """
    after = _after(item, ending, now)
    if asked is None:
        return after
    return QueueItem(item.subject, asked, text=ending.why) if after is None else replace(after, at=min(after.at, asked))


def abandoned(item: QueueItem) -> QueueItem:
    """The item after its processor died: it is due as before, and the look counts as one that failed.

    Without that, a subject that ends every processor would go round for ever.
    """
    return QueueItem(item.subject, item.at, attempts=item.attempts + 1, text="its processor ended in the middle")


def _after(item: QueueItem, ending: Ending, now: datetime) -> QueueItem | None:
    match ending:
        case Done() | Attention():
            return None
        case Wait(why, delay) if delay > timedelta(0):
            return QueueItem(item.subject, now + delay, text=why)
        case Wait(why) | Again(why):
            return _again(item, why, now)
        case Failed(why):
            attempts = item.attempts + 1
            return QueueItem(item.subject, now + pause(attempts), attempts=attempts, text=why)
        case _:
            assert_never(ending)


def _again(item: QueueItem, why: str, now: datetime) -> QueueItem:
    if item.agains < MOST_AGAINS:
        return QueueItem(item.subject, now, agains=item.agains + 1, text=why)
    return QueueItem(item.subject, now + TOO_OFTEN, text=f"after {MOST_AGAINS + 1} looks in a row: {why}")


def pause(attempts: int) -> timedelta:
    """How long a subject rests that failed so many times in a row.

    None at `MOST_ATTEMPTS`: it is handed over once more at once, for a person to be asked. Where even that fails, it
    is tried again, with the longest pause.
    """
    if attempts == MOST_ATTEMPTS:
        return timedelta(0)
    return min(FIRST_PAUSE * int(2 ** min(attempts - 1, _MOST_DOUBLINGS)), LONGEST_PAUSE)
