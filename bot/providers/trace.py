"""Traces of `--debug`: one line for each request to a server, and for each git command that talks to one.

Off, it costs a look at a variable. On, every line is cleared of secrets before it is cut: headers that carry
credentials are masked whatever their value, so are parameters and fields that are called like one.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol, Self

from bot.providers.secrets import MASK, redact

LONGEST_BODY = 2000
"""Characters of a body that are shown."""

LONGEST_ERROR = 300
"""Characters of an error that are shown; libraries wrap it several times and add the address each time."""

REMOTE = frozenset({"clone", "fetch", "ls-remote", "pull", "push"})
"""Git commands that talk to a server (or to another repository in the same way)."""

_LOOKED_AT = 2 * LONGEST_BODY  # characters of a body in which things shaped like a secret are looked for
_CREDENTIAL = re.compile(
    r"auth|token|cookie|secret|crumb|passw|credential|signature|session|(?:api|access|private|subscription)[-_]?key"
    r"|[-_]api$",  # such as X-JFrog-Art-Api
    re.IGNORECASE,
)
_SCHEMES = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm", "token", "sharedkey", "aws4-hmac-sha256"})
_FIELD = re.compile(
    r"((?<![A-Za-z0-9])(?:[\w-]{0,40}(?:token|passw(?:or)?d|secret|signature|credential|api[_-]?key)|sig)\"?\s{0,3}[=:]\s{0,3})"
    r"(?:(\")(?:[^\"\\]|\\.)+|[^&\"\s,;{}]+)",  # within quotes all of it, blanks too
    re.IGNORECASE,
)
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Body = bytes | bytearray | str | object | None


class Sink(Protocol):
    """Takes each line: a sentence for people, and the same as fields for programs."""

    def __call__(self, message: str, /, **fields: object) -> None:
        """Write one line."""


_sink: Sink | None = None
_thread = threading.local()


def begin(sink: Sink) -> None:
    """Trace from now on."""
    global _sink  # noqa: PLW0603 - one switch a process
    _sink = sink


def end() -> None:
    """Trace no more."""
    global _sink  # noqa: PLW0603 - as above
    _sink = None


def on() -> bool:
    """Whether anything is traced."""
    return _sink is not None


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, Any] | None = None,
    body: Body = None,
    status: int = 0,
    error: str = "",
    ms: float = 0.0,
    attempt: int = 1,
) -> None:
    """One request: `status` 0 where no answer came, `error` then says why; `ms` until the answer began."""
    if _sink is None:
        return
    fields: dict[str, object] = {
        "kind": "request",
        "method": method,
        "url": _clean(url),
        "headers": {name: _header(name, value) for name, value in (headers or {}).items()},
        "body": _body(body),
        "status": status or None,
        "error": _clean(error) or None,
        "ms": round(ms, 1),
        "attempt": attempt,
    }
    said = ", ".join(f"{name}: {value}" for name, value in _pairs(fields["headers"]))
    parts = [
        f"{method} {fields['url']}: {status or fields['error'] or 'no answer'} in {ms:.0f} ms, attempt {attempt}",
        *([f"headers {said}"] if said else ()),
        *([f"body {fields['body']}"] if fields["body"] else ()),
    ]
    _sink(_line("; ".join(parts)), **fields)


def command(args: Sequence[str], code: int, ms: float) -> None:
    """One git command that talked to a server: its arguments, exit code and duration."""
    if _sink is None:
        return
    words = [_clean(arg) for arg in args]
    text = _line(f"git {' '.join(words)}: exit code {code} in {ms:.0f} ms")
    _sink(text, kind="git", args=words, code=code, ms=round(ms, 1))


def talks(args: Sequence[str]) -> bool:
    """Whether a git command talks to a server; options before its name (`-c key=value`) are passed over."""
    return next((arg for arg in args if arg[:1] != "-" and "=" not in arg), "") in REMOTE


def since(started: float) -> float:
    """Milliseconds since a moment of `time.monotonic`."""
    return (time.monotonic() - started) * 1000


class Exchange:
    """A request that a transport may send several times: a line for each try.

    A context manager around the whole; `answered` takes the last status, an exception that passes through is the
    error. What the transport tries again in between reports itself by `repeated` and `resumed`, in the same thread.
    """

    def __init__(
        self, method: str | None, url: str | None, headers: Mapping[str, Any], body: Body, attempt: int = 1
    ) -> None:
        self._asked = (method or "GET", url or "", dict(headers), body)
        self._attempt = attempt
        self._started = time.monotonic()
        self._status = 0

    def answered(self, status: int) -> None:
        """Note the status of the final answer."""
        self._status = status

    def failed(self, status: int, error: str) -> None:
        """Write the line of a try that is not the last, and count the next."""
        self._write(status, error)
        self._attempt += 1
        self._started = time.monotonic()

    def resume(self) -> None:
        """Begin to measure the next try, after the wait before it."""
        self._started = time.monotonic()

    def _write(self, status: int, error: str) -> None:
        method, url, headers, body = self._asked
        request(
            method,
            url,
            headers=headers,
            body=body,
            status=status,
            error=error,
            ms=since(self._started),
            attempt=self._attempt,
        )

    def __enter__(self) -> Self:
        _thread.exchange = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _thread.exchange = None
        answered = self._status or getattr(error, "code", 0)  # urllib makes a refusal an error that carries the status
        self._write(answered if isinstance(answered, int) else 0, _words(error))


@contextmanager
def operation(method: str, url: str, body: Body = None) -> Iterator[None]:
    """A request that a library sends by itself, as one line: how often it tried, it does not tell."""
    with Exchange(method, url, {}, body) as exchange:
        yield
        exchange.answered(200)


def repeated(status: int, error: BaseException | None) -> None:
    """Say that the exchange of this thread is tried again, after this answer or error."""
    exchange: Exchange | None = getattr(_thread, "exchange", None)
    if exchange is not None:
        exchange.failed(status, _words(error))


def resumed() -> None:
    """Say that the wait before the next try is over."""
    exchange: Exchange | None = getattr(_thread, "exchange", None)
    if exchange is not None:
        exchange.resume()


def _words(error: BaseException | None) -> str:
    return "" if error is None else redact(f"{type(error).__name__}: {error}")[:LONGEST_ERROR]


def _pairs(value: object) -> Sequence[tuple[str, str]]:
    return list(value.items()) if isinstance(value, dict) else []


def _header(name: str, value: Any) -> str:
    """A header's value; of one that may be a credential only the scheme before it, such as `Bearer`."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if not _CREDENTIAL.search(name):
        return _clean(text)
    scheme, space, _ = text.partition(" ")
    return f"{scheme} {MASK}" if space and scheme.lower() in _SCHEMES else MASK


def _body(body: Body) -> str:
    """A body as it may be shown: cleared, then cut; of what is no text only the size."""
    if isinstance(body, bytes | bytearray):
        try:
            text = bytes(body).decode("utf-8")
        except UnicodeDecodeError:
            return f"({len(body)} bytes)"
        if "\0" in text:
            return f"({len(body)} bytes)"
    elif body is None or isinstance(body, str):
        text = body or ""
    else:
        return "(a stream)"
    known = redact(text)
    shown = _shapeless(known[:_LOOKED_AT])[:LONGEST_BODY]
    return shown if len(known) <= LONGEST_BODY else f"{shown}... ({len(text)} characters)"


def _clean(text: str) -> str:
    return _shapeless(redact(text))


def _shapeless(text: str) -> str:
    """Without what looks like a secret by its shape or by the name before it, though none like it was read."""
    from bot.render import neutral  # noqa: PLC0415 - its patterns are compiled for those who trace

    return _FIELD.sub(lambda found: f"{found[1]}{found[2] or ''}{MASK}", neutral.redact(text))


def _line(text: str) -> str:
    """One line: control characters are shown as they are written in Python."""
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)
