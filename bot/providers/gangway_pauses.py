"""Pauses after a 429: for a while, in real time, this process asks no more questions of the same kind.

Gangway's limit counts starts and polls alike, so polls that go on at their pace would leave no room for starts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from bot.errors import ServerUnreachable

POLL = timedelta(seconds=10)
"""How far apart polls are as long as the server takes them; also the pause after a 429 that names no time."""

LONGEST = timedelta(seconds=300)
"""The longest pause between polls that is ours; the server may ask for a longer one."""

Answer = TypeVar("Answer")


class Pauses:
    """Questions of one kind to one server. Each 429 doubles the pause, up to `LONGEST`; a good answer ends that."""

    def __init__(self, server: str, now: Callable[[], datetime]) -> None:
        self._server = server
        self._now = now
        self._lock = threading.Lock()
        self._pause = POLL
        self._until = datetime.min.replace(tzinfo=UTC)

    def left(self) -> timedelta | None:
        """How long nothing is asked yet; None where there is no pause."""
        left = self._until - self._now()
        return left if left > timedelta() else None

    def begin(self, asked: timedelta) -> None:
        """The server has no room: nothing is asked for as long as it says, or for the time between two polls."""
        with self._lock:
            self._until = self._now() + (asked or POLL)

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer, or ServerUnreachable with the time to the end of the pause, then without a request."""
        began, left = self._now(), self.left()
        if left is not None:
            words = f"{self._server} was asked too often: how its runs stand is asked again in {left.seconds + 1} s"
            raise ServerUnreachable(words, again=left)
        try:
            answer = question()
        except ServerUnreachable as error:
            if error.again is None:
                raise
            raise ServerUnreachable(error.message, hint=error.hint, again=self._refused(began, error.again)) from error
        self._answered(began)
        return answer

    def _refused(self, began: datetime, asked: timedelta) -> timedelta:
        """The pause after a 429. Questions that were on their way together with another one count as one."""
        with self._lock:
            if began >= self._until:
                self._pause = min(2 * self._pause, LONGEST)
                self._until = self._now() + max(self._pause, asked)
            return max(self._until - self._now(), timedelta())

    def _answered(self, began: datetime) -> None:
        with self._lock:
            if began >= self._until:
                self._pause = POLL
