"""Ports that carry no secret: what servers answer is cleared on its way in, what is said and kept on its way out.

Servers echo tokens in their errors, and people paste them into comments. Every port that deals with servers is sealed
once, by `bot.providers.build`, so no provider and no decision has to think of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from bot.errors import SaasbotError
from bot.model.observed import Issue, MergeRequest, Note, RunFact, Title, Unreachable
from bot.model.plan import Commit
from bot.model.state import Thread
from bot.ports import Forge, Refused, StateStore
from bot.providers.secrets import redact, redact_bytes

Port = TypeVar("Port")

WORDS = frozenset({"text", "reason", "title", "url"})
"""The keys of the statefile under which words of servers and people stand; all else in it names things."""

ACCOUNTS = frozenset({"details", "preview"})
"""What ports tell in a server's own keys: every text in it is a word of somebody's, however deep it stands."""

_MARKER = re.compile(r"(<!-- saasbot:[a-z_]+ [A-Za-z0-9._=]+ (?:[0-9a-f]{64}|unsigned) -->)")


class Sealed:
    """A port whose answers and errors carry no secret; all else is `port`'s own."""

    def __init__(self, port: Any) -> None:
        self.port = port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.port, name)
        if not callable(found):
            return found
        return partial(_told if name in ACCOUNTS else _asked, found)


def sealed(port: Port) -> Port:
    """The same port, sealed; `Unreachable` in the place of one only cleared."""
    return cast("Port", _clean(port) if isinstance(port, Unreachable) else Sealed(port))


def sealed_forge(forge: Forge) -> Forge:
    """The same forge, sealed in both directions."""
    return cast("Forge", _SealedForge(forge))


def sealed_state(store: StateStore) -> StateStore:
    """The same store, sealed: words in a statefile that is written carry no secret."""
    return cast("StateStore", _SealedState(store))


def _asked(ask: Callable[..., Any], *args: Any, **named: Any) -> Any:
    try:
        return _clean(ask(*args, **named))
    except SaasbotError as error:
        error.message, error.hint = redact(error.message), redact(error.hint)
        error.args = (error.message,)
        raise


def _told(ask: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """An account of a run, with no secret in any of its texts."""
    answer = _asked(ask, *args, **named)
    return _without_secrets(answer) if isinstance(answer, Mapping) else answer


def _without_secrets(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {name: _without_secrets(item) for name, item in value.items()}
        case list() | tuple():
            return [_without_secrets(item) for item in value]
        case _:
            return value


def _clean(answer: Any) -> Any:  # noqa: PLR0911 - one arm a kind
    match answer:
        case Refused():
            return replace(answer, text=redact(answer.text))
        case Unreachable():
            return replace(answer, text=redact(answer.text))
        case RunFact():
            return replace(answer, text=redact(answer.text), url=redact(answer.url))
        case Note():
            body = _spoken(answer.body)
            return answer if body == answer.body else replace(answer, body=body)
        case MergeRequest():
            title, description = redact(answer.title), _spoken(answer.description)
            return replace(answer, title=title, description=description, notes=_clean(answer.notes))
        case Issue():
            return replace(answer, notes=_clean(answer.notes))
        case Title():
            return replace(answer, text=redact(answer.text))
        case tuple() | list() if type(answer) in (tuple, list):  # not a kind of tuple that has names
            return type(answer)(map(_clean, answer))
        case _:
            return answer


def _spoken(text: str) -> str:
    """A comment without secrets; the bot's own markers stay whole, or it would not know its comment again."""
    if redact(text) == text:
        return text
    return "".join(part if number % 2 else redact(part) for number, part in enumerate(_MARKER.split(text)))


class _SealedForge(Sealed):
    """A forge that is told no secret; the contents of files and the names of things are passed on as they are."""

    def push(self, commit: Commit) -> str | Refused:
        found: str | Refused = _asked(self.port.push, replace(commit, message=redact(commit.message)))
        return found

    def open(self, branch: str, title: str, description: str, labels: Sequence[str]) -> MergeRequest | Refused:
        found: MergeRequest | Refused = _asked(self.port.open, branch, redact(title), _spoken(description), labels)
        return found

    def update(self, iid: int, title: str, description: str) -> Refused | None:
        found: Refused | None = _asked(self.port.update, iid, redact(title), _spoken(description))
        return found

    def close(self, iid: int, branch: str, comment: str) -> Refused | None:
        found: Refused | None = _asked(self.port.close, iid, branch, _spoken(comment))
        return found

    def comment(self, thread: Thread, iid: int, body: str, note: str = "") -> Note | Refused:
        found: Note | Refused = _asked(self.port.comment, thread, iid, _spoken(body), note)
        return found

    def put_dashboard(self, iid: int, title: str, body: str) -> Issue | Refused:
        found: Issue | Refused = _asked(self.port.put_dashboard, iid, title, _spoken(body))
        return found


class _SealedState(Sealed):
    """A store to which no secret is written in words."""

    def write(self, data: bytes, etag: str) -> str | Refused:
        if redact_bytes(data) != data:  # hardly ever, so the document is taken apart only then
            data = msgspec.json.encode(_cleared(msgspec.json.decode(data)), order="deterministic") + b"\n"
        found: str | Refused = _asked(self.port.write, data, etag)
        return found


def _cleared(value: Any, key: str = "") -> Any:
    """A document with its words cleared; keys, ids and shas stay, even if somebody's password is called like one."""
    match value:
        case str():
            return redact(value) if key in WORDS else value
        case Mapping():
            return {name: _cleared(item, name) for name, item in value.items()}
        case list():
            return [_cleared(item, key) for item in value]
        case _:
            return value
