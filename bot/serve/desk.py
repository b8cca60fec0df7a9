"""The desk: what all routes of one process work with."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from bot.ports import Queue
from bot.reconcile import Job
from bot.serve.answers import later
from bot.serve.bodies import LONGEST
from bot.serve.looking import Looking

PATIENCE = 60.0
"""Seconds that a request waits for its turn to make a pass."""

MOST_KNOWN = 10_000
"""Deliveries that are remembered; a forge repeats one within hours."""

Secret = Callable[[], str | None]
"""Reads a secret anew, so that one that was changed in its file holds from the next request on."""


@dataclass(slots=True)
class Deliveries:
    """The ids of the deliveries that were taken in last."""

    _known: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, key: str) -> bool:
        """Whether this one was taken in."""
        with self._lock:
            return key in self._known

    def keep(self, key: str) -> None:
        """Remember one that was taken in whole; the oldest is forgotten for it."""
        with self._lock:
            self._known[key] = None
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)


@dataclass(slots=True)
class Turns:
    """Passes of one process, one after the other: they share a checkout and what was seen of the statefile."""

    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn as long as it takes."""
        with self._lock:
            yield

    @contextmanager
    def asked(self, patience: float = PATIENCE) -> Iterator[None]:
        """Wait for the turn so many seconds. Raises Refusal where it does not come."""
        if not self._lock.acquire(timeout=patience):
            raise later("another pass is at work")
        try:
            yield
        finally:
            self._lock.release()


@dataclass(frozen=True, slots=True)
class Desk:
    """What all routes work with.

    `queue` is None where nobody would work what is put in; `parts` are the questions of `/readyz` by name; `dead` says
    why the processor of this process has ended, empty while it works or where there is none; `patience` are the
    seconds that a body may take to come.
    """

    job: Job
    queue: Queue | None
    webhook_secret: Secret
    token: Secret
    parts: Mapping[str, Looking[str]]
    page: Looking[str]
    metrics: Looking[str]
    dead: Callable[[], str] = lambda: ""
    patience: float = LONGEST
    turns: Turns = field(default_factory=Turns)
    deliveries: Deliveries = field(default_factory=Deliveries)


def _desk(request: Request) -> Desk:
    found: Desk = request.app.state.desk
    return found


At = Annotated[Desk, Depends(_desk)]
"""The desk, as a parameter of a route."""
