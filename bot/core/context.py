"""Context: the one frozen value that a decision is made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core.focus import Focus
from bot.model.desired import Desired
from bot.model.observed import Observed
from bot.model.state import State, Thread
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """Desired, observed and recorded at one `now` (aware, UTC). `state` is None where there is no statefile."""

    settings: Settings
    desired: Desired
    observed: Observed
    state: State | None
    now: datetime
    started: int = 0
    """Runs that earlier passes of the same invocation have started; they count against `runs.maxStarts`."""
    heard: frozenset[str] = frozenset()
    """Threads that an event told of (`heard_of`): their notes are read whether `commands.poll` is set or not."""
    report_key: bytes | None = None
    """The key that signs markers; it is never saved with a context."""
    focus: Focus | None = None
    """The one subject that is decided about; None where everything is."""
    in_flight: int = 0
    """Runs in flight that a focused context does not hold; they count against `runs.maxInFlight`."""
    bootstrap: str = ""
    """`adopt`, `run`, or empty where the command line did not say."""


def heard_of(thread: Thread, iid: int) -> str:
    """The name of a thread in `Context.heard`."""
    return f"{thread.value}:{iid}"
