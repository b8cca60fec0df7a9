"""Secrets: read from the environment or a file when needed, kept only to be taken out of texts again.

`redact` is for a text on its way out, and the ways out are few: standard output and error (`guarded_output`), what is
said to a forge and the statefile (`bot.providers.sealed`), entries of the cache, saved contexts, request traces.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, cast
from urllib.parse import quote, quote_plus, unquote

if TYPE_CHECKING:  # what reads files and runs git waits for no model
    from bot.model.servers import SecretRef

SHORTEST = 6
"""Characters; a shorter value is not looked for in texts, it would blot out ordinary words."""

MASK = "[secret]"

MOST_PASSING = 256
"""How many passing secrets (tokens that a server gives for an hour or less) are remembered; the oldest go first."""

CI_TOKENS = ("CI_JOB_TOKEN", "GITHUB_TOKEN")
"""What CI systems give a job; they leave it in the checkout's configuration too, so git may show it."""

_LINE = 16  # characters; a line of a longer secret (a key in PEM) that is shorter says nothing
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_LEAST_INNER = 7  # characters of Base64
_ESCAPED = re.compile(r"%[0-9A-F]{2}")
_MARKDOWN = re.compile(r"([\\`*_\[\]~|$])")


class _Forms(NamedTuple):
    """What a text is searched for: `plain` as it is, `inner` as part of something in Base64."""

    plain: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()


_lasting: dict[str, _Forms] = {}
_passing: dict[str, _Forms] = {}
_all = _Forms()
_lock = threading.Lock()


def read_secret(
    ref: SecretRef | None, base: Path | None = None, environ: Mapping[str, str] | None = None
) -> str | None:
    """The secret's value without surrounding white space, or None where there is none or it is empty.

    A relative file is seen from `base`. The value is remembered for `redact`; it must never be logged or saved.
    """
    value = _value(ref, base or Path(), os.environ if environ is None else environ) if ref else ""
    remember(value)
    password = value.partition(":")[2]
    if "\n" not in value and any(map(str.isdigit, password)):
        remember(password)  # of `user:token` the token alone is a secret too, if it is no mere word
    return value or None


def _value(ref: SecretRef, base: Path, environ: Mapping[str, str]) -> str:
    if ref.env:
        return environ.get(ref.env, "").strip()
    if not ref.file:
        return ""
    try:
        return (base / ref.file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def remember(value: str, *, passing: bool = False) -> None:
    """Add a value to those that `redact` takes out, in every form of `_forms`; `passing` for what ends by itself."""
    global _all  # noqa: PLW0603 - one register a process, replaced whole so that readers need no lock
    if len(value) < SHORTEST or value in _lasting or value in _passing:
        return
    with _lock:
        (_passing if passing else _lasting)[value] = _forms(value)
        while len(_passing) > MOST_PASSING:
            del _passing[next(iter(_passing))]
        known = [*_lasting.values(), *_passing.values()]
        _all = _Forms(_longest(form for each in known for form in each.plain), _longest(i for e in known for i in e[1]))


def remember_surroundings(environ: Mapping[str, str], origin: str = "") -> None:
    """Remember what nobody named, but git uses: a CI job's own tokens, and the login in the address of origin."""
    for name in CI_TOKENS:
        remember(environ.get(name, "").strip())
    user, _, password = origin.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")
    remember(unquote(password or (user if len(user) >= _LINE else "")))  # GitHub takes a token alone for a user


def _longest(forms: Iterable[str]) -> tuple[str, ...]:
    """Without repetition, the longest first: a secret may contain another."""
    return tuple(sorted(set(forms), key=len, reverse=True))


def _forms(value: str) -> _Forms:
    """How a value is written: as it is, in URLs, in JSON, in Markdown, on one line, each long line of it, in Base64."""
    plain = {value, " ".join(value.split())}
    if "\n" in value:
        plain |= {line for line in map(str.strip, value.splitlines()) if len(line) >= _LINE and line[:5] != "-----"}
    for form in [*plain]:
        quoted = {quote(form, safe=""), quote(form), quote_plus(form)}
        plain |= quoted | {_ESCAPED.sub(lambda found: found[0].lower(), each) for each in quoted}
        plain |= {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
        plain.add(_MARKDOWN.sub(r"\\\1", form))
    raw = value.encode("utf-8", "surrogateescape")
    inner = {_inner(raw, shift, also) for shift in range(3) for also in (b"+/", b"-_")}
    return _Forms(tuple(plain), tuple(each for each in inner if len(each) >= _LEAST_INNER))


def _inner(raw: bytes, shift: int, also: bytes) -> str:
    """The characters of Base64 that depend on the value alone, where `shift` bytes (modulo 3) stand before it."""
    encoded = base64.b64encode(b"\0" * shift + raw, also).decode()
    return encoded[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]


def redact(text: str) -> str:
    """The text with every secret that this process has read replaced by a mark, in whichever form it stands there."""
    plain, inner = _all
    for value in plain:
        if value in text:
            text = text.replace(value, MASK)
    for value in inner:
        if value in text:
            text = _blotted(text, value)
    return text


def _blotted(text: str, inner: str) -> str:
    """The text with the whole of each word in Base64 that contains `inner` replaced by the mark."""
    head, *rest = text.split(inner)
    for part in rest:
        head = head.rstrip(_BASE64) + MASK + part.lstrip(_BASE64).lstrip("=")
    return head


def redact_bytes(data: bytes) -> bytes:
    """As `redact`, for a document in UTF-8; what is not UTF-8 in it stays as it is."""
    return redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape") if _all.plain else data


class _Guarded:
    """A stream that takes secrets out of what is written to it, as text or as bytes; all else is the stream's own."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: str | bytes) -> int:
        """Write the redacted text or document; returns the size of what was given, as if all of it were there now."""
        self._stream.write(redact(data) if isinstance(data, str) else redact_bytes(data))
        return len(data)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write one line after the other."""
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> Any:
        """The stream of bytes below a text stream, guarded too."""
        return _Guarded(self._stream.buffer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def guarded_output() -> Iterator[None]:
    """Within the block, nothing that is printed on standard output or error carries a secret."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = cast("TextIO", _Guarded(out)), cast("TextIO", _Guarded(err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
