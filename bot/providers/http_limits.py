"""How often a server may be asked, and when again: the rate budget, the waits that answers ask for, what is repeated.

Sources: RFC 9110 (Retry-After), GitHub's "Rate limits for the REST API", GitLab's "Rate limits".
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz
from types import TracebackType
from typing import Any, Self

import requests
import urllib3.exceptions
from requests.structures import CaseInsensitiveDict
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

from bot.providers import trace

LONGEST_WAIT = 60.0
"""Seconds; a longer wait is an error that says until when."""

LONGEST_SAID = 24 * 3600.0
"""Seconds that a server is believed; a longer wait is asked about again after a day."""

PROMPT = LONGEST_WAIT
"""Seconds within which the last try of a request in a block of `promptly` is begun, all waits before it included."""

ATTEMPTS = 4
"""How often one request is sent at most."""

_BROKEN = frozenset({500, 502, 503, 504})
_WAITING = frozenset({403, 429, 503})
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

Seconds = Callable[[], float]
Sleep = Callable[[float], None]

_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def promptly(seconds: float = PROMPT) -> Iterator[None]:
    """Within the block, or the function that it decorates, no request begins later than so many seconds after it did.

    What would have to wait longer (for the rate budget, for what an answer asks for, for a repeat) is not waited for;
    what comes too late all the same is not sent, and raises `TooLate`. The clock is the one that `bot.act` looks at: it
    goes on while the machine is suspended.
    """
    token = _until.set(time.time() + min(seconds, time_left()))
    try:
        yield
    finally:
        _until.reset(token)


def time_left() -> float:
    """Seconds in which a request may still begin; infinite outside of `promptly`."""
    until = _until.get()
    return math.inf if until is None else until - time.time()


class RateLimited(requests.RequestException):
    """The server (or the rate budget) wants a longer wait than is slept here; nothing was done. `until` is in UTC."""

    def __init__(self, until: float, *, request: requests.PreparedRequest | None = None) -> None:
        """Keep the moment, given in seconds since 1970."""
        self.until = datetime.fromtimestamp(int(until) + 1, UTC)
        super().__init__(
            f"too many requests, it takes the next one at {self.until:%Y-%m-%dT%H:%M:%SZ}", request=request
        )


class TooLate(requests.RequestException):
    """What came before the request took too long (see `promptly`); it was not sent."""

    def __init__(self, *, request: requests.PreparedRequest | None = None) -> None:
        """Say so."""
        super().__init__("not sent: what came before it took too long", request=request)


class Budget:
    """How many requests a server takes, as `rateLimit` says (`10/s`, `20/m`, `5000/h`), shared by any threads.

    In no stretch of that unit's length are more requests let through. Raises `ValueError` for another notation.
    """

    def __init__(self, rate: str, *, clock: Seconds = time.monotonic, sleep: Sleep = time.sleep) -> None:
        found = re.fullmatch(r"([1-9][0-9]{0,5})/([smh])", rate)
        if not found:
            raise ValueError(f"{rate!r} is not a number of requests and a unit, such as 10/s")
        self.count, self.period = int(found[1]), _UNITS[found[2]]
        self._clock = clock
        self._sleep = sleep
        self._taken: deque[float] = deque(maxlen=self.count)
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait until a request may be sent; raises `RateLimited` for more than `LONGEST_WAIT` or the time left."""
        with self._lock:
            now = self._clock()
            full = len(self._taken) == self.count
            at = max(now, self._taken[0] + self.period) if full else now
            if at - now > min(LONGEST_WAIT, max(0.0, time_left())):
                raise RateLimited(time.time() + at - now)
            self._taken.append(at)  # the place is kept before the wait, so that others queue behind it
        if at > now:
            self._sleep(at - now)


def wait_asked(status: int, headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that an answer asks to wait before the request is sent again; None where it does not say.

    Read from `Retry-After` (seconds or a date), else from the time at which a used-up rate limit starts anew.
    """
    now = time.time() if now is None else now
    if status not in _WAITING:
        return None
    plain = CaseInsensitiveDict(headers)
    said = plain.get("Retry-After", "").strip()
    if said.isdecimal():
        return _bounded(float(said))
    date = _moment(said)
    if date is not None:
        return _bounded(date - now)
    for prefix in ("X-RateLimit", "RateLimit"):
        reset = plain.get(f"{prefix}-Reset", "").strip()
        if plain.get(f"{prefix}-Remaining", "").strip() == "0" and reset.isdecimal():
            return _bounded(float(reset) - now) + 1  # it starts anew somewhere within that second
    return None


def _bounded(wait: float) -> float:
    return min(max(wait, 0.0), LONGEST_SAID)


def _moment(said: str) -> float | None:
    """The seconds since 1970 of a date as mail writes it; None for what is none, or is beyond the calendar."""
    date = parsedate_tz(said) if said else None
    try:
        return float(mktime_tz(date)) if date else None
    except (ValueError, OverflowError):
        return None


def too_long(status: int, headers: Mapping[str, str], now: float | None = None) -> RateLimited | None:
    """The error for an answer that asks for a longer wait than `LONGEST_WAIT`, or None.

    For libraries that have sessions of their own (PyGithub); `session` raises it by itself.
    """
    now = time.time() if now is None else now
    wait = wait_asked(status, headers, now)
    return RateLimited(now + wait) if wait is not None and wait > LONGEST_WAIT else None


class PoliteRetry(Retry):
    """What is sent again, and after which wait (see `polite_retry`); a final answer is handed on, even a bad one."""

    budget: Budget | None = None
    sleeper: Sleep = staticmethod(time.sleep)
    asked: float = 0.0

    def new(self, **changed: Any) -> Self:
        """As urllib3 copies it, with what is ours."""
        copy = super().new(**changed)
        copy.budget, copy.sleeper = self.budget, self.sleeper
        return copy

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Whether an answer of this status may be repeated; `increment` sees its headers and has the last word."""
        del has_retry_after  # some servers say it in other headers
        return status_code in _WAITING or (status_code in _BROKEN and self._is_method_retryable(method))

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """The next state, or `MaxRetryError` where there is none, which hands the answer on."""
        asked = None
        if response is not None and response.status in _WAITING:
            asked = wait_asked(response.status, response.headers)
            hopeless = asked is not None and asked > LONGEST_WAIT
            unsaid = asked is None and not self._may_repeat(method or "", response.status)
            if hopeless or unsaid:
                raise urllib3.exceptions.MaxRetryError(_pool, url or "", urllib3.exceptions.ResponseError("final"))
        silent = urllib3.exceptions.ReadTimeoutError
        if isinstance(error, silent) and any(isinstance(each.error, silent) for each in self.history):
            raise error  # a connection may have gone dead, but a server that is silent twice stays so for this pass
        following = super().increment(method, url, response, error, _pool, _stacktrace)
        following.asked = asked or 0.0
        if (following.asked or following.get_backoff_time()) > time_left():
            raise urllib3.exceptions.MaxRetryError(_pool, url or "", error or urllib3.exceptions.ResponseError("late"))
        trace.repeated(response.status if response is not None else 0, error)
        return following

    def _may_repeat(self, method: str, status: int) -> bool:
        """Whether a request whose answer names no wait is sent again: 429 always, 503 when it only reads."""
        return status == requests.codes.too_many_requests or (status in _BROKEN and self._is_method_retryable(method))

    def get_backoff_time(self) -> float:
        """Seconds: half of one, doubled with each repeat."""
        return float(self.backoff_factor * 2 ** max(0, len(self.history) - 1))

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """Wait as long as the server asked, else a growing while; then for the rate budget."""
        del response
        self.sleeper(self.asked or self.get_backoff_time())
        if self.budget:
            self.budget.take()
        trace.resumed()


def polite_retry(*, budget: Budget | None = None, sleep: Sleep = time.sleep) -> Retry:
    """What to repeat, for requests' adapters.

    GET and HEAD after a lost connection, once after silence, and after 500, 502, 503, 504; anything where no connection
    came about, and after 429, or 403 and 503 with a wait of up to `LONGEST_WAIT` in their headers. Each repeat takes
    from the budget.
    """
    retry = PoliteRetry(
        total=ATTEMPTS - 1,
        other=0,  # a certificate or a proxy that says no will say it again
        redirect=False,
        allowed_methods=frozenset({"GET", "HEAD"}),
        backoff_factor=0.5,
        raise_on_status=False,
    )
    retry.budget, retry.sleeper = budget, sleep
    return retry
