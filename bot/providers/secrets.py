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
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO, cast
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


class _Form(NamedTuple):
    """One thing that texts are searched for: as it is, or (`inner`) as a part of a word in Base64."""

    text: str
    inner: bool = False


class _Index:
    """Which forms a text may hold, found by looking at every text once, however many secrets are known.

    A text is cut into blocks of equal size. Whatever form of at least `2 * size - 1` bytes stands in it covers one of
    these blocks whole, and that is one of `size` parts of the form: those are kept here. So nothing is missed, and
    hardly anything is searched for that is not there. Blocks are read as numbers, by code that is not Python's own.
    """

    def __init__(self, size: int, code: Literal["Q", "I"]) -> None:
        self.size, self._code = size, code
        self._forms: dict[int, tuple[_Form, ...]] = {}

    def add(self, form: _Form) -> None:
        """Look for one form more; one that is added twice has to be dropped twice. Readers may be at work meanwhile."""
        for part in self._parts(form):
            self._forms[part] = (*self._forms.get(part, ()), form)

    def drop(self, form: _Form) -> None:
        """Look for it no more."""
        for part in self._parts(form):
            left = list(self._forms.get(part, ()))
            left.remove(form)
            if left:
                self._forms[part] = tuple(left)
            else:
                del self._forms[part]

    def among(self, data: bytes) -> set[_Form]:
        """The forms that a text in UTF-8 may hold."""
        if not self._forms:
            return set()
        seen = set(filter(self._forms.__contains__, self._numbers(data)))
        return {form for part in seen for form in self._forms.get(part, ())}

    def _parts(self, form: _Form) -> set[int]:
        """The parts of its end, which differs even among tokens that begin alike."""
        end = _encoded(form.text)[1 - 2 * self.size :]
        return {self._numbers(end[at : at + self.size])[0] for at in range(self.size)}

    def _numbers(self, data: bytes) -> memoryview[int]:
        whole = len(data) - len(data) % self.size
        return memoryview(data)[:whole].cast(self._code)


class _Few:
    """Forms that are too short for an index: few passwords are."""

    def __init__(self) -> None:
        self._forms: tuple[_Form, ...] = ()

    def add(self, form: _Form) -> None:
        """As an index does."""
        self._forms = (*self._forms, form)

    def drop(self, form: _Form) -> None:
        """As an index does."""
        left = list(self._forms)
        left.remove(form)
        self._forms = tuple(left)

    def among(self, data: bytes) -> set[_Form]:
        """All of them."""
        del data
        return set(self._forms)


_lasting: dict[str, tuple[_Form, ...]] = {}
_passing: dict[str, tuple[_Form, ...]] = {}
_long, _middling = _Index(8, "Q"), _Index(4, "I")
_short = _Few()
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
    if len(value) < SHORTEST or value in _lasting or value in _passing:
        return
    forms = _forms(value)
    with _lock:
        if value in _lasting or value in _passing:
            return
        (_passing if passing else _lasting)[value] = forms
        for form in forms:
            _where(form).add(form)
        while len(_passing) > MOST_PASSING:
            for form in _passing.pop(next(iter(_passing))):
                _where(form).drop(form)


def remember_surroundings(environ: Mapping[str, str], origin: str = "") -> None:
    """Remember what nobody named, but git uses: a CI job's own tokens, and the login in the address of origin."""
    for name in CI_TOKENS:
        remember(environ.get(name, "").strip())
    user, _, password = origin.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")
    remember(unquote(password or (user if len(user) >= _LINE else "")))  # GitHub takes a token alone for a user


def _where(form: _Form) -> _Index | _Few:
    """Where a form is kept, by its length."""
    size = len(_encoded(form.text))
    return next((index for index in (_long, _middling) if size >= 2 * index.size - 1), _short)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a byte that is not UTF-8 is a surrogate in a variable's value


def _forms(value: str) -> tuple[_Form, ...]:
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
    return (*map(_Form, filter(None, plain)), *(_Form(each, inner=True) for each in inner if len(each) >= _LEAST_INNER))


def _inner(raw: bytes, shift: int, also: bytes) -> str:
    """The characters of Base64 that depend on the value alone, where `shift` bytes (modulo 3) stand before it."""
    encoded = base64.b64encode(b"\0" * shift + raw, also).decode()
    return encoded[(shift * 8 + 5) // 6 : (shift + len(raw)) * 8 // 6]


def redact(text: str) -> str:
    """The text with every secret that this process has read replaced by a mark, in whichever form it stands there.

    A text without any is handed back itself.
    """
    for form in _held(text):
        if form.text in text:
            text = _blotted(text, form.text) if form.inner else text.replace(form.text, MASK)
    return text


def _held(text: str) -> list[_Form]:
    """The forms that may be in a text: those in Base64 last, the longest first, for a secret may contain another."""
    data = _encoded(text)
    found = _long.among(data) | _middling.among(data) | _short.among(data)
    return sorted(found, key=lambda form: (form.inner, -len(form.text), form.text))


def _blotted(text: str, inner: str) -> str:
    """The text with the whole of each word in Base64 that contains `inner` replaced by the mark."""
    head, *rest = text.split(inner)
    for part in rest:
        head = head.rstrip(_BASE64) + MASK + part.lstrip(_BASE64).lstrip("=")
    return head


def redact_bytes(data: bytes) -> bytes:
    """As `redact`, for a document in UTF-8; what is not UTF-8 in it stays as it is."""
    text = data.decode("utf-8", "surrogateescape")
    cleared = redact(text)
    return data if cleared is text else cleared.encode("utf-8", "surrogateescape")


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
