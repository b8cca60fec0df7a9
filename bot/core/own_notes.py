"""Own notes: the bot's comments, known by author *and* marker; a foreign comment with our marker is ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bot.model.observed import Note
from bot.render import marker

ANSWER = "answer"
"""The kind of the marker of a reply to a command; its data names the note that it answers."""


def own_note(notes: Iterable[Note], me: str, kind: str, key: bytes | None) -> Note | None:
    """The bot's first note of this kind."""
    return next((each for each in notes if each.author == me and marker.read(each.body, kind, key) is not None), None)


def answered(notes: Iterable[Note], me: str, note: str, key: bytes | None, number: int = 0) -> bool:
    """Whether the bot has replied to this command already: the one of this number in a note, from 0."""
    return _replied(notes, me, _command(note, number), key)


def said_already(notes: Iterable[Note], me: str, body: str, key: bytes | None) -> bool:
    """Whether the bot has replied to the command that this reply is for."""
    data = marker.read(body, ANSWER, key)
    return data is not None and _replied(notes, me, data, key)


def _replied(notes: Iterable[Note], me: str, command: Mapping[str, Any], key: bytes | None) -> bool:
    return any(each.author == me and marker.read(each.body, ANSWER, key) == command for each in notes)


def mark_answer(body: str, note: str, key: bytes | None, number: int = 0) -> str:
    """A reply with the marker that names the note and the command in it that it answers."""
    return f"{body}\n{marker.mark(ANSWER, _command(note, number), key)}\n"


def number_of(key: str) -> int:
    """Which command of its note an answer in the statefile is for; 0 where its key does not tell."""
    number = key.rpartition(":")[2]
    return int(number) if number.isdecimal() else 0


def _command(note: str, number: int) -> dict[str, Any]:
    """The data of a marker; most notes hold one command."""
    return {"note": note, "number": number} if number else {"note": note}
