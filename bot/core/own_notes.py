"""Own notes: the bot's comments, known by author *and* marker; a foreign comment with our marker is ignored."""

from __future__ import annotations

from collections.abc import Iterable

from bot.model.observed import Note
from bot.render import marker

ANSWER = "answer"
"""The kind of the marker of a reply to a command; its data names the note that it answers."""


def own_note(notes: Iterable[Note], me: str, kind: str, key: bytes | None) -> Note | None:
    """The bot's first note of this kind."""
    return next((each for each in notes if each.author == me and marker.read(each.body, kind, key) is not None), None)


def answered(notes: Iterable[Note], me: str, note: str, key: bytes | None) -> bool:
    """Whether the bot has replied to this note already."""
    return any(each.author == me and (marker.read(each.body, ANSWER, key) or {}).get("note") == note for each in notes)


def mark_answer(body: str, note: str, key: bytes | None) -> str:
    """A reply with the marker that names the note it answers."""
    return f"{body}\n{marker.mark(ANSWER, {'note': note}, key)}\n"
