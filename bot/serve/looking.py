"""Looking: a question that takes its time, asked by a thread of its own, one at a time, and kept for a while."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bot.errors import SaasbotError

STEP = 0.02
"""Seconds between two glances at a question that is being asked."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A question that was not answered, and why in one sentence."""

    text: str


@dataclass(slots=True)
class Looking(Generic[Answer]):
    """A question with its last answer, which is good for `age` seconds.

    However many ask, it is asked once; whoever does not want to wait any longer gets the last answer, if there is one.
    """

    ask: Callable[[], Answer]
    age: float
    _answer: Answer | Trouble | None = field(init=False, default=None)
    _at: float = field(init=False, default=0.0)
    _at_work: bool = field(init=False, default=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    async def within(self, seconds: float) -> Answer | Trouble | None:
        """The answer, waited for at most so long; then the last one, however old, or None where there is none yet."""
        await self._waited(time.monotonic(), seconds)
        return self._answer

    async def now(self, seconds: float) -> Answer | Trouble:
        """As `within`, but an answer that is past its age is none."""
        asked = time.monotonic()
        await self._waited(asked, seconds)
        found = self._answer
        return found if found is not None and self._good(asked) else Trouble(f"no answer within {seconds:g} s")

    async def _waited(self, asked: float, seconds: float) -> None:
        while not self._told(asked) and time.monotonic() < asked + seconds:  # noqa: ASYNC110 - a thread answers
            await asyncio.sleep(STEP)

    def _good(self, asked: float) -> bool:
        """Whether there is an answer that is good for whoever asked then."""
        return self._answer is not None and self._at > min(asked, time.monotonic() - self.age)

    def _told(self, asked: float) -> bool:
        """Whether there is a good answer; if not, the question is being asked."""
        with self._lock:
            if self._good(asked):
                return True
            if not self._at_work:
                self._at_work = True
                threading.Thread(target=self._look, daemon=True, name="saasbot-look").start()
            return False

    def _look(self) -> None:
        found: Answer | Trouble = Trouble("the look broke")
        try:
            found = self.ask()
        except SaasbotError as error:
            found = Trouble(error.message)
        finally:
            with self._lock:
                self._answer, self._at, self._at_work = found, time.monotonic(), False
