"""Secrets that are written into the config, where only the place they are read from belongs; no finding shows one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.config.documents import maps, text_of
from bot.config.rules import Issue
from bot.config.source import Pointer

_FREE = frozenset({"freeze", "namespace"})
"""Kinds that name no server and no secret; they are the most numerous but one."""

_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?<![A-Za-z0-9])(?:gl[a-z]{2,5}-|gh[pousr]_|github_pat_|xox[a-z]-)(?=[A-Za-z_.-]*[0-9])[A-Za-z0-9_.-]{16,}"
    r"|(?<![A-Za-z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Za-z0-9])"
)
_MARKS = ("gl", "gh", "github_", "xox", "AKIA", "ASIA", "BEGIN ")  # one stands in each shape; quickly looked for
_SHORTEST = 16
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#]*)@")
_QUERY = re.compile(
    r"[?&;](?:[\w.-]{0,40}(?:token|passw(?:or)?d|secret|signature|api[_-]?key)|sig)=(?![${<])[^\s&;#]", re.IGNORECASE
)
_STANDS_FOR_ONE = ("$", "{", "<")  # `$TOKEN`, `{token}`, `<token>`: somebody else puts it in

_SHAPE_HINT = "take it out, revoke it (history keeps it), and say where it is read: `{env: NAME}` or `{file: PATH}`"
_ADDRESS_HINT = "write the address without it: git has logins of its own, a server's is named by `token: {env: NAME}`"


def secret_issues(kind: str, doc: dict[str, Any]) -> Iterator[Issue]:
    """Yield the places of a document in which a secret stands; of a SaaS file, the addresses of its code alone."""
    if kind in _FREE:
        return
    if kind == "saas-file":
        for index, template in maps(doc.get("resourceTemplates")):
            yield from _judged(text_of(template.get("url")), ("resourceTemplates", index, "url"))
        return
    for text, at in _texts(doc, ()):
        yield from _judged(text, at)


def _texts(value: Any, at: Pointer) -> Iterator[tuple[str, Pointer]]:
    """Yield every string of a document with its place; not below what the loader would not have let through."""
    if isinstance(value, str):
        yield value, at
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*at, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*at, index))


def _judged(text: str, at: Pointer) -> Iterator[Issue]:
    if len(text) >= _SHORTEST and any(mark in text for mark in _MARKS) and _SHAPES.search(text):
        yield Issue("secret-in-config", at, "a secret stands here; it is not shown", _SHAPE_HINT)
    elif "://" in text and _opens(text):
        yield Issue("secret-in-config", at, "this address holds a password or token; it is not shown", _ADDRESS_HINT)


def _opens(text: str) -> bool:
    """Whether an address in a text has a password, or a parameter called like one; a name alone (`git@`) is none."""
    if "=" in text and _QUERY.search(text):
        return True
    passwords = [user.partition(":")[2] for user in _AUTHORITY.findall(text)] if "@" in text else []
    return any(password and not password.startswith(_STANDS_FOR_ONE) for password in passwords)
