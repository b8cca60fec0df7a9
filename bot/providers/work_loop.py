"""Work loop: what a processor does, whichever queue its subjects come from."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from bot.errors import SaasbotError
from bot.model.work import Ending, Failed, QueueItem
from bot.ports import Until

Taken = TypeVar("Taken")


class Source(Protocol, Generic[Taken]):
    """A queue as its processor sees it."""

    def take(self) -> Taken | None:
        """Take the earliest subject that is due; None where nothing is."""

    def item(self, taken: Taken) -> QueueItem:
        """What was taken."""

    def held(self, taken: Taken) -> AbstractContextManager[object]:
        """Keep it from everybody else within the block."""

    def settle(self, taken: Taken, ending: Ending) -> None:
        """Put down how the look ended, and let go of it."""

    def give_back(self, taken: Taken) -> None:
        """Let go of it as if it had not been taken."""

    def rest(self) -> None:
        """Wait a moment for something to become due."""


def work(
    source: Source[Taken], handle: Callable[[QueueItem], Ending], *, until: Until, stopped: Callable[[], bool]
) -> int:
    """Take due subjects one after the other, hand each to `handle`, settle how that ended; returns how many.

    What ends the process in the middle (an interrupt) gives the subject back.
    """
    count = 0
    while not stopped():
        taken = source.take()
        if taken is not None:
            _look(source, taken, handle)
            count += 1
            if until is Until.ONE:
                break
        elif until is Until.STOPPED:
            source.rest()
        else:
            break
    return count


def _look(source: Source[Taken], taken: Taken, handle: Callable[[QueueItem], Ending]) -> None:
    ending: Ending | None = None
    try:
        with source.held(taken):
            ending = handed(handle, source.item(taken))
    finally:
        if ending is None:
            source.give_back(taken)
    source.settle(taken, ending)


def handed(handle: Callable[[QueueItem], Ending], item: QueueItem) -> Ending:
    """How the look at an item ended; an error that `handle` lets through is a look that failed."""
    raised = _Raised()
    with raised:
        return handle(item)
    return Failed(_words(raised.error))


@dataclass(slots=True)
class _Raised:
    """Keeps an error, so that one subject that nobody foresaw does not end the processor of all others.

    What ends the process (`SystemExit`, `KeyboardInterrupt`) goes its way.
    """

    error: BaseException = field(default_factory=lambda: RuntimeError("nothing was raised"))

    def __enter__(self) -> None:
        """Nothing was raised yet."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.error = error
        return True


def _words(error: BaseException) -> str:
    """An ordinary error in its own words; one that nobody foresaw with the place where it was raised."""
    if isinstance(error, SaasbotError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
