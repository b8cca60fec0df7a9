"""Commands of people, read from the text of a comment (DESIGN section 6); pure.

A command is a line that starts with the prefix or with a mention of the bot, outside code, quotes and links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from bot.core.phrases import parse_line
from bot.core.verbs import (
    Command,
    Unparsed,
)

if TYPE_CHECKING:  # most passes see no command, and the parser takes 30 ms to load
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_LONGEST_BODY = 100_000  # characters; forges allow more, commands do not need it
_MARKED = ("em_open", "em_close", "strong_open", "strong_close")
_DURATION = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?", re.IGNORECASE)


def parse(body: str, prefix: str, bot: str) -> tuple[Command | Unparsed, ...]:
    """Read every command of a comment, in order; a comment without one gives an empty tuple."""
    if len(body) > _LONGEST_BODY or (prefix not in body and f"@{bot}".lower() not in body.lower()):
        return ()
    start = re.compile(rf"(?:(?P<prefix>{re.escape(prefix)})|(?i:@{re.escape(bot)})[,:]?)(?:\s+|$)(?P<rest>.*)")
    commands = []
    for line in _lines(body):
        match = start.match(line)
        # A bare mention is small talk; a bare prefix asks for help.
        if match is not None and (match["prefix"] or match["rest"].strip()):
            commands.append(parse_line(match["rest"]))
    return tuple(commands)


def freeze_until(text: str, now: datetime) -> datetime | None:
    """Read the end of a freeze: a duration from `now` (`4h`, `2d`, `1h30m`) or a time with its zone, else None."""
    duration = _DURATION.fullmatch(text)
    try:
        if text and duration is not None:
            days, hours, minutes = (int(part or 0) for part in duration.groups())
            return now + timedelta(days=days, hours=hours, minutes=minutes)
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - as said above

    # Without joining, an escaped quote is still told from a plain one.
    return MarkdownIt("commonmark").disable("text_join")


def _lines(body: str) -> Iterator[str]:
    """Every line of running text: no code block, quote, HTML or list marker at its start."""
    tokens = _markdown().parse(body)
    quotes = lists = 0
    for token, before in zip(tokens, [None, *tokens], strict=False):
        quotes += token.nesting if token.type.startswith("blockquote") else 0
        lists += token.nesting if token.type.startswith("list_item") else 0
        if (
            token.type != "inline"
            or quotes
            or before is None
            or (before.type == "heading_open" and before.markup[0] == "#")
        ):
            continue
        lines = _split(token.children or ())
        # The first line of a list item starts with its bullet; a later one may be a command that follows a list.
        yield from lines[1:] if lists else lines


def _split(children: Sequence[Token]) -> list[str]:
    """Put the text of a paragraph back together, line by line; a line that starts in code or a link is left empty."""
    lines, blind = [""], [False]
    for child in children:
        if child.type in ("softbreak", "hardbreak"):
            lines.append("")
            blind.append(False)
            continue
        if not lines[-1] and child.type not in ("text", "text_special"):
            blind[-1] = True
        lines[-1] += child.markup if child.type in _MARKED or child.markup == '\\"' else child.content
    return ["" if hidden else line.strip() for line, hidden in zip(lines, blind, strict=True)]
