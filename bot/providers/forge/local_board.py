"""The dashboard of a local forge: one JSON document beside the merge requests.

<forge>/dashboard.json    one `StoredBoard`
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as with_changes
from datetime import datetime

import msgspec

from bot.errors import ServerUnreachable
from bot.model.observed import Issue, Note
from bot.ports import Refused
from bot.providers.files import replace
from bot.providers.forge.local_store import LocalStore, StoredNote

IID = 1
"""Its number: there is one in a folder."""


@dataclass(frozen=True, slots=True)
class StoredBoard:
    """The dashboard issue."""

    title: str
    body: str
    notes: tuple[StoredNote, ...] = ()


class LocalBoard:
    """The dashboard for anybody; safe with any number of processes and threads, as the store's lock is held."""

    def __init__(self, store: LocalStore, bot: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._path = store.folder / "dashboard.json"
        self._bot = bot
        self._now = now

    def show(self, title: str = "") -> Issue | None:
        """The dashboard, if there is one (of this title)."""
        board = self._read()
        return self._view(board) if board is not None and title in ("", board.title) else None

    def put(self, title: str, body: str) -> Issue:
        """Set title and text; the comments stay."""
        with self._store.writing():
            board = self._read()
            notes = board.notes if board is not None else ()
            return self._view(self._write(StoredBoard(title, body, notes)))

    def comment_for(self, user: str, body: str, note: str = "") -> Note | Refused:
        """Write a comment of a user, or edit their own one with id `note`."""
        with self._store.writing():
            board = self._read()
            if board is None:
                return Refused("there is no dashboard")
            if note:
                return self._edited(board, user, note, body)
            stored = StoredNote(self._store.next_note(), user, body, self._now())
            self._write(with_changes(board, notes=(*board.notes, stored)))
            return self._note(stored)

    def react_for(self, user: str, note: str, word: str) -> Refused | None:
        """Add a reaction of a user to a comment; once more changes nothing."""
        with self._store.writing():
            board = self._read()
            found = next((each for each in board.notes if each.id == note), None) if board is not None else None
            if board is None or found is None:
                return Refused(f"the dashboard has no note {note}")
            self._put_note(board, found.reacted(user, word))
            return None

    def _edited(self, board: StoredBoard, user: str, note: str, body: str) -> Note | Refused:
        found = next((each for each in board.notes if each.id == note and each.author == user), None)
        if found is None:
            return Refused(f"the dashboard has no note {note} of {user}")
        return self._note(self._put_note(board, with_changes(found, body=body)))

    def _put_note(self, board: StoredBoard, note: StoredNote) -> StoredNote:
        changed = with_changes(board, notes=tuple(note if each.id == note.id else each for each in board.notes))
        if changed != board:
            self._write(changed)
        return note

    def _read(self) -> StoredBoard | None:
        self._store.require()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=StoredBoard)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ServerUnreachable(
                f"cannot read the local forge's {self._path}: {error}", hint="remove it; the next pass writes it anew"
            ) from error

    def _write(self, board: StoredBoard) -> StoredBoard:
        replace(self._path, msgspec.json.format(msgspec.json.encode(board)) + b"\n")
        return board

    def _view(self, board: StoredBoard) -> Issue:
        notes = tuple(map(self._note, board.notes))
        return Issue(IID, board.body, self._path.absolute().as_uri(), notes)

    def _note(self, note: StoredNote) -> Note:
        return Note(note.id, note.author, note.body, note.created_at, bot=note.author == self._bot)
