"""The connection to Redis: from its address to a client, and from its errors to one line for a human."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from redis import ConnectionError as LostConnection
from redis import Redis, RedisError
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from bot.errors import ServerUnreachable, WrongUsage
from bot.providers import trace
from bot.providers.secrets import redact, remember

SCHEMES = ("redis", "rediss", "unix")

CONNECT = 5
"""Seconds that a connection may take."""

ANSWER = 15
"""Seconds that an answer may take; RQ's workers would raise a smaller one themselves."""

GONE = (LostConnection, NoAnswer)
"""Redis is not there, or not yet (again)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis server: its client, and its address as people may read it, without user and password."""

    client: Redis
    url: str

    @contextmanager
    def asked(self, request: str) -> Iterator[None]:
        """Trace a request, and say in one line what became of it where it failed."""
        with self.explained(request), trace.operation("QUEUE", f"{self.url} {request}"):
            yield

    @contextmanager
    def explained(self, request: str) -> Iterator[None]:
        """Say in one line what became of a request where it failed."""
        try:
            yield
        except RedisError as error:
            raise self.unreachable(request, error) from error

    def unreachable(self, request: str, error: RedisError) -> ServerUnreachable:
        """The error for a request that failed."""
        cause, hint = _explained(error)
        return ServerUnreachable(redact(f"{self.url}: cannot {request}: {cause}"), hint=hint)


def connect(url: str, password: str | None, ca: str = "") -> Server:
    """A client for an address (`redis://`, `rediss://` with TLS, `unix://`); nothing is asked yet.

    Raises WrongUsage for an address that makes no sense.
    """
    shown = _shown(url)
    options: dict[str, Any] = {"ssl_ca_certs": ca} if ca and url.startswith("rediss:") else {}
    if password:
        options["password"] = password
    try:
        client = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT,
            socket_timeout=ANSWER,
            encoding_errors="surrogateescape",  # what others have put there may be no text
            # A connection that the server has dropped is found out by its next use; all may be asked twice.
            retry=Retry(ConstantBackoff(0.05), 1),
            **options,
        )
    except (ValueError, TypeError) as error:
        raise WrongUsage(
            f"saasbot.yml: queue.url {shown!r} is no address of a Redis server",
            hint="write redis://HOST:PORT/DATABASE, rediss:// for TLS, or unix:///PATH",
        ) from error
    return Server(client, shown)


def _shown(url: str) -> str:
    """An address without what opens it; a password in it is remembered as a secret."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise WrongUsage(
            f"saasbot.yml: queue.url: {parts.scheme or 'nothing'}: is not known to this release",
            hint=f"it knows: {', '.join(f'{scheme}:' for scheme in SCHEMES)}",
        )
    login, _, place = parts.netloc.rpartition("@")
    for secret in (login.partition(":")[2], *parse_qs(parts.query).get("password", ())):
        remember(secret)
    return f"{parts.scheme}://{place}{parts.path}"


def _explained(error: RedisError) -> tuple[str, str]:
    """The cause and the advice."""
    text = redact(str(error)).splitlines()[0] if str(error) else type(error).__name__
    match error:
        case AuthenticationError() | NoPermissionError():
            return text, "check queue.password, the user in queue.url and what that user may do"
        case BusyLoadingError():
            return "it is still reading its data", "try again in a moment"
        case NoAnswer():
            return f"no answer: {text}", "check queue.url, and whether the server is overloaded"
        case LostConnection():
            return text, "check queue.url, and whether the server runs; nothing in the queue is lost by that"
        case _:
            return (
                text,
                "the queue's keys may belong to somebody else: check the database in queue.url and queue.prefix",
            )
