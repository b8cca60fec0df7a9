"""Merge requests as files: one JSON document each under `merge_requests/`, written whole and under one kernel lock.

    <forge>/lock                      the lock of all writers
    <forge>/numbers.json              {"merge_request", "note"}: the last numbers given out
    <forge>/merge_requests/<iid>.json one `StoredMergeRequest`

Readers take no lock, since a document is only ever replaced by a whole one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from bot.errors import ServerUnreachable
from bot.model.observed import CiStatus, MergeRequestStatus
from bot.providers.files import locked, replace


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A comment. `id` is a decimal number, unique in the forge and rising; `head` is the head when it was written.

    `reactions` maps `ok` and `no` to the users who reacted so.
    """

    id: str
    author: str
    body: str
    created_at: datetime
    head: str = ""
    edited: bool = False
    reactions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def reacted(self, user: str, word: str) -> StoredNote:
        """The note with a reaction of a user; once more changes nothing."""
        users = tuple(dict.fromkeys((*self.reactions.get(word, ()), user)))
        return dataclasses.replace(self, reactions={**self.reactions, word: users})


@dataclass(frozen=True, slots=True)
class StoredMergeRequest:
    """A merge request; what git knows is asked of git.

    `head_sha`: the last head, kept when the merge request is merged or closed (an open one has its branch's head).
    `ci`: the CI's word by head sha, so that a new head has none. `merge_sha`, `merged_by`: the commit that merges
    it and who made it, written before the target branch moves there; a document that says `opened` is merged
    nevertheless once the target contains that commit.
    """

    iid: int
    title: str
    source_branch: str
    target_branch: str
    author: str
    created_at: datetime
    state: MergeRequestStatus = MergeRequestStatus.OPENED
    description: str = ""
    labels: tuple[str, ...] = ()
    draft: bool = False
    head_sha: str = ""
    ci: Mapping[str, CiStatus] = field(default_factory=dict)
    approved_by: tuple[str, ...] = ()
    auto_merge: bool = False
    closed_by: str = ""
    merged_by: str = ""
    merge_sha: str = ""
    notes: tuple[StoredNote, ...] = ()

    def labelled(self, label: str, *, on: bool) -> StoredMergeRequest:
        """The merge request with a label, or without it; once more changes nothing."""
        others = tuple(each for each in self.labels if each != label)
        if on:
            return self if label in self.labels else dataclasses.replace(self, labels=(*others, label))
        return dataclasses.replace(self, labels=others)


@dataclass(frozen=True, slots=True)
class Numbers:
    """The last numbers given out; a number is never given twice, not even after its file was deleted."""

    merge_request: int = 0
    note: int = 0


_DECODER = msgspec.json.Decoder(StoredMergeRequest)


class LocalStore:
    """The documents of one local forge. What the file system refuses is a `ServerUnreachable` of one line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._documents = folder / "merge_requests"

    def require(self) -> None:
        """Raise `ServerUnreachable` where there is no local forge."""
        if not (self.folder / "config.git").is_dir():
            raise ServerUnreachable(
                f"there is no local forge in {self.folder}: config.git is missing",
                hint="check forge.path in saasbot.yml, or lay out a new one with `saasbot init`",
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock of all writers; not to be nested."""
        self.require()
        try:
            with locked(self.folder / "lock"):
                self._documents.mkdir(exist_ok=True)
                yield
        except OSError as error:
            raise self._unreachable("write to", error.strerror or str(error)) from error

    def all(self) -> tuple[StoredMergeRequest, ...]:
        """Every merge request by number."""
        self.require()
        try:
            names = (name.partition(".") for name in os.listdir(self._documents))  # noqa: PTH208 - names, thousands
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreachable("read", error.strerror or str(error)) from error
        numbers = sorted(int(stem) for stem, _, ending in names if stem.isdecimal() and ending == "json")
        return tuple(document for number in numbers if (document := self._read(number)) is not None)

    def get(self, iid: int) -> StoredMergeRequest | None:
        """One merge request, or None if there is no such."""
        self.require()
        return self._read(iid)

    def _read(self, iid: int) -> StoredMergeRequest | None:
        path = f"{self._documents}/{iid}.json"
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - there may be thousands of them
                return _DECODER.decode(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreachable("read", error.strerror or str(error)) from error
        except msgspec.DecodeError as error:
            raise self._unreachable("read", f"{iid}.json: {error}") from error

    def put(self, document: StoredMergeRequest) -> StoredMergeRequest:
        """Write a merge request; only inside `writing`."""
        replace(self.path(document.iid), msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        return document

    def next_merge_request(self) -> int:
        """A fresh number for a merge request; only inside `writing`."""
        last = self._numbers()
        return self._give(Numbers(last.merge_request + 1, last.note)).merge_request

    def next_note(self) -> str:
        """A fresh id for a note; only inside `writing`."""
        last = self._numbers()
        return str(self._give(Numbers(last.merge_request, last.note + 1)).note)

    def path(self, iid: int) -> Path:
        """The document of a merge request."""
        return self._documents / f"{iid}.json"

    def _numbers(self) -> Numbers:
        """The last numbers given out; without the file, what the documents show."""
        try:
            return msgspec.json.decode((self.folder / "numbers.json").read_bytes(), type=Numbers)
        except (FileNotFoundError, msgspec.DecodeError):
            documents = self.all()
        return Numbers(
            max((document.iid for document in documents), default=0),
            max((int(note.id) for document in documents for note in document.notes), default=0),
        )

    def _give(self, numbers: Numbers) -> Numbers:
        """Remember the numbers before they are used: a crash in between skips one and repeats none."""
        replace(self.folder / "numbers.json", msgspec.json.encode(numbers) + b"\n")
        return numbers

    def _unreachable(self, verb: str, cause: str) -> ServerUnreachable:
        """One line for the human."""
        return ServerUnreachable(
            f"cannot {verb} the local forge {self.folder}: {cause}",
            hint="check forge.path in saasbot.yml",
        )
