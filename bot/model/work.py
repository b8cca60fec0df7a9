"""Work: subjects that wait in a queue for their due time, and how the look at one of them ended (SYSTEMS section C)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.model.plan import Report
from bot.model.state import Flag


@dataclass(frozen=True, slots=True)
class Due:
    """A subject (`target:ID`, `merge-request:BRANCH`, `trigger:NAME`) that is to be looked at, when, and why."""

    subject: str
    at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A subject in the queue. `taken` says that a processor is at it; `text` is how the last look at it ended.

    `attempts` are the looks in a row that failed, `agains` those that asked for another one at once. `dead` is why
    nobody can make anything of it; such an item is never taken.
    """

    subject: str
    at: datetime
    taken: bool = False
    attempts: int = 0
    agains: int = 0
    text: str = ""
    dead: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing more to do; the collector adds the subject again when there is."""

    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The subject is looked at again after `delay`."""

    why: str
    delay: timedelta = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Again:
    """The subject is looked at again at once, a bounded number of times in a row."""

    why: str


@dataclass(frozen=True, slots=True)
class Attention:
    """A person must do something; the subject leaves the queue until then."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The look broke; it is tried again with a growing pause, and in the end a person is asked."""

    why: str


Ending = Done | Wait | Again | Attention | Failed
"""How the look at a subject ended; each with a sentence for a human."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a subject: how it ended, and the pass that it made (None where it broke before one).

    `iid` is the number of its open merge request, 0 where there is none; `flag` what a person was asked for before.
    `ordered` are the other subjects that something was ordered of.
    """

    subject: str
    ending: Ending
    report: Report | None = None
    iid: int = 0
    flag: Flag | None = None
    ordered: tuple[str, ...] = ()
