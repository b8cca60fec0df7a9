"""Transport: requests to a registry and its token server, failures in one line, rest for a server in trouble."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

from bot.errors import ServerUnreachable
from bot.providers.http import RateLimited, cause
from bot.providers.sources.registry_place import shown

Clock = Callable[[], float]

FAILURES = 3
"""How many requests in a row have to fail, each after its repeats, before a server is left alone."""

REST = 60.0
"""Seconds for which it then is: hundreds of images must not wait for the same time-out one after the other."""

BROKEN = 500

_LATER = "try again later; check the address, the network, the proxy and the certificates"


@dataclass(slots=True)
class _Host:
    """How a server did lately; until `until` it is not asked, for the reason `why`."""

    failures: int = 0
    until: float = 0.0
    why: str = ""


class RegistryTransport:
    """Requests of one instance, from any number of threads; redirects are answers. `clock` is the real time."""

    def __init__(self, session: requests.Session, clock: Clock = time.time) -> None:
        self._session = session
        self._clock = clock
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], params: Mapping[str, str] | None = None
    ) -> requests.Response:
        """The answer, of any status below 500. Raises ServerUnreachable, also for a server that is left alone."""
        parts = urlsplit(url)
        where = f"{shown(url)}: {method} {parts.path}"
        host = self._awake(parts.netloc, where)
        try:
            response = self._session.request(method, url, headers=dict(headers), params=params, allow_redirects=False)
        except RateLimited as error:
            why = cause(error)
            self._rests(host, error.until.timestamp(), why)
            raise ServerUnreachable(f"{where}: {why}", hint="ask less often, or raise its limit") from error
        except requests.RequestException as error:
            why = cause(error)
            self._failed(host, why)
            raise ServerUnreachable(f"{where}: {why}", hint=_LATER) from error
        if response.status_code >= BROKEN:
            why = f"the server answered {response.status_code} {response.reason or ''}".rstrip()
            self._failed(host, why)
            raise ServerUnreachable(f"{where}: {why}", hint="try again later")
        with self._lock:
            host.failures = 0
        return response

    def _awake(self, netloc: str, where: str) -> _Host:
        with self._lock:
            host = self._hosts.setdefault(netloc, _Host())
            if self._clock() < host.until:
                raise ServerUnreachable(f"{where}: not asked again: {host.why}", hint="try again later")
            return host

    def _failed(self, host: _Host, why: str) -> None:
        with self._lock:
            host.failures += 1
            enough = host.failures >= FAILURES
        if enough:
            self._rests(host, self._clock() + REST, why)

    def _rests(self, host: _Host, until: float, why: str) -> None:
        with self._lock:
            host.failures = 0
            host.until, host.why = until, why
