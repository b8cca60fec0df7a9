"""Other people's text made harmless before the bot says it with its own rights (DESIGN section 6).

Forges look for references in the *rendered* text, so a backslash does not stop `@user` or `#1`: a zero-width space
after the sign does. Backslashes stop Markdown, entities stop HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

REDACTED = "[redacted]"
"""What stands where a secret was."""

BREAK = "\u200b"
"""The zero-width space that keeps a sign from being read as a reference."""

_SECRETS = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9 ]+-----(?:.*?-----END\ [A-Z0-9 ]+-----|.*)               # PEM
    | gl(?:pat|dt|rtr?|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-[A-Za-z0-9_.-]{16,} # GitLab
    | (?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{16,}                                # GitHub
    | xox[abceoprs]-[A-Za-z0-9-]{8,}                                             # Slack
    | (?:AKIA|ASIA)[A-Z0-9]{16}                                                  # AWS
    | (?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,}
    | eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?               # JWT
    """,
    re.VERBOSE | re.DOTALL,
)
_USERINFO = re.compile(r"(://)[^\s/@]{1,500}(?:/[^\s@]{0,500})?@")
_HEADER = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:passw(?:or)?d|secret|token|api[_-]?key)\w{0,40}[\"']?\s{0,9}[=:]\s{0,9})(?=\S{0,500}\d)[^\s,;]{8,}",
    re.IGNORECASE,
)

_LONGEST = 10_000  # characters that are looked at; far above every limit, and the patterns stay quick on them
_ENTITIES = {"&": "&amp;", "<": "&lt;"}
_ESCAPED = frozenset("\\`*_[]~|$")
_FIRST = frozenset("/#+-=:>.^%")
_REFERENCE = re.compile(r"([@#!&%~$^*\[])(?=[^\s\u200b])")
_CODE_REFERENCE = re.compile(r"([@#!])(?=[^\s\u200b])")
# GitLab looks for closing words in the text as it is stored, code spans included.
_CODE_CLOSING = re.compile(
    r"\b((?i:clos|fix|resolv|implement)\w*)"
    r"(?=(?::\s*|\s+)(?:(?i:issues?):?\s+)?(?:https?://|\S*[#!&]|(?:[A-Z][A-Z0-9_]+|[Gg][Hh])-\d))"
)
_KEY = re.compile(r"\b([A-Z][A-Z0-9_]+|[Gg][Hh])-(?=\d)")
_WWW = re.compile(r"\b(www)\.", re.IGNORECASE)
_NUMBERED = re.compile(r"(\d+)([.)])")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace the given secrets, plain or percent-encoded, and whatever is shaped like one."""
    known = {form for secret in secrets for form in (secret, quote(secret, safe="")) if form.strip()}
    for form in sorted(known, key=len, reverse=True):
        text = text.replace(form, REDACTED)
    text = _SECRETS.sub(REDACTED, text)
    text = _USERINFO.sub(rf"\1{REDACTED}@", text)
    text = _HEADER.sub(rf"\1 {REDACTED}", text)
    return _NAMED.sub(rf"\1{REDACTED}", text)


def plain(text: str, limit: int = 200) -> str:
    """Neutralise for a place that is not Markdown (title, commit message): one line, no secret, no reference."""
    line = _unlinked(_line(text, limit))
    return BREAK + line if line.startswith("/") else line


def shown(text: str, limit: int = 200) -> str:
    """Neutralise for a terminal: one line that steers nothing and shows no secret."""
    return _line(text, limit)


def inline(text: str, limit: int = 200) -> str:
    """Neutralise for a place inside a line of Markdown; at most `limit` characters of the original are shown."""
    line = _unlinked(_line(text, limit))
    numbered = _NUMBERED.match(line)
    if numbered:
        return f"{numbered[1]}\\{numbered[2]}{_markdown(line[numbered.end() :])}"
    return ("\\" if line and line[0] in _FIRST else "") + _markdown(line)


def code(text: str, limit: int = 200) -> str:
    """Neutralise as a code span, also inside a table."""
    line = _line(text, limit).replace("`", "'").replace("|", "¦") or " "
    line = _CODE_CLOSING.sub(rf"\1{BREAK}", line)
    return "`" + _CODE_REFERENCE.sub(rf"\1{BREAK}", line) + "`"


def sentence(text: str, limit: int = 500) -> str:
    """Neutralise a sentence of the bot that quotes other people's text; code spans of its own stay code spans."""
    pieces = _line(text, limit).split("`")
    if len(pieces) % 2 == 0:
        return inline(text, limit)
    said = []
    for number, piece in enumerate(pieces):
        if number % 2:
            said.append(code(piece, limit))
        else:
            before, after = piece[: len(piece) - len(piece.lstrip())], piece[len(piece.rstrip()) :]
            said.append(before + inline(piece, limit) + (after if piece.strip() else ""))
    return "".join(said)


@lru_cache(maxsize=2048)
def _line(text: str, limit: int) -> str:
    """One line without control, format or separator characters, redacted, cut at the limit.

    Remembered: a text that is too long for a forge is written again and again with fewer of the same entries.
    """
    printable = "".join(char if char.isprintable() else " " for char in text[:_LONGEST].replace(BREAK, ""))
    line = " ".join(redact(printable).split())
    return line if len(line) <= limit else line[: max(limit - 1, 0)].rstrip() + "…"


def _unlinked(line: str) -> str:
    """Break everything that a forge could turn into a mention, a reference or a link."""
    line = _KEY.sub(rf"\1-{BREAK}", line)
    line = _WWW.sub(rf"\1{BREAK}.", line.replace("://", f":{BREAK}//"))
    return _REFERENCE.sub(rf"\1{BREAK}", line)


def _markdown(line: str) -> str:
    """Escape what Markdown and HTML would act on."""
    return "".join("\\" + char if char in _ESCAPED else _ENTITIES.get(char, char) for char in line)
