"""Downstream: what the providers of servers that run pipelines share: when a start was asked for, and small words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.config.placeholders import fill
from bot.model.observed import Unreachable
from bot.model.runs import Run
from bot.model.servers import Instance, SecretRef
from bot.providers.http import Budget

SKEW = timedelta(minutes=5)
"""How far a server's clock may be from ours."""

CARRIED_OUT = timedelta(minutes=4)
"""How long after its intent was saved a run that its server does not know may still come about by the same intent.

The longest way of a start: `bot.act` begins it within 30 s (`FRESH`), its last try is begun 60 s after that at most
(`promptly`: with all requests, repeats, `Retry-After` and waits for the rate budget before it), a connection stands in
10 s (`CONNECT`; twice that for a server with two addresses), and a server, or what stands before it, gives a request
up after 60 to 90 s. That is 30 + 60 + 20 + 90 = 200 s; 40 s are left for the clocks of two machines. A provider that
answers `find` with None waits so long before it does.
"""

NAMED = 5
"""How many names a sentence lists."""


def utc_now() -> datetime:
    """The real time: servers know no other, whatever `--now` says."""
    return datetime.now(UTC)


class StartTimes:
    """When this process asked for each run, by key; for those of another process the time of the intent counts."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._asked: dict[str, datetime] = {}

    def asks(self, run: Run) -> None:
        """A request to start this run is about to be made."""
        self._asked[run.key] = self._now()

    def settled(self, run: Run, within: timedelta) -> bool:
        """Whether a request for this run was made long enough ago that the server has carried it out or never will.

        An intent that lies in the future was dated with `--now` and says nothing.
        """
        asked = self._asked.get(run.key) or run.intent_at
        return asked is None or not -SKEW <= self._now() - asked < within

    def since(self, run: Run) -> datetime:
        """The server's time before which the run was not started."""
        now = self._now()
        return min(run.intent_at or now, now) - SKEW


def filled(value: Any, environment: Mapping[str, str]) -> Any:
    """A value of a `with` block with the placeholders in its texts replaced."""
    match value:
        case str():
            return fill(value, environment)
        case list():
            return [filled(item, environment) for item in value]
        case _:
            return value


def moment(value: Any) -> datetime | None:
    """A server's time in UTC; None where there is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        return None


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first few of many."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def secret_text(ref: SecretRef | None) -> str:
    """Where a secret is read from, in words."""
    if ref is None:
        return "its definition"
    return f"the environment variable {ref.env}" if ref.env else f"the file {ref.file}"


def budget_of(instance: Instance) -> Budget | Unreachable | None:
    """The instance's rate limit, shared by all requests to it; None where it has none."""
    try:
        return Budget(instance.rate_limit) if instance.rate_limit else None
    except ValueError as error:
        return Unreachable(f"instance {instance.name}: rateLimit: {error}")
