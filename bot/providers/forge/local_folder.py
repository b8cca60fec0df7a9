"""The folder of a local forge: what the bot and people do there alike, with the author as an argument.

Git computes heads, conflicts and merges; the documents are in `local_store`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path

from bot.errors import ServerUnreachable
from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note
from bot.ports import Refused
from bot.providers.forge.local_board import LocalBoard
from bot.providers.forge.local_git import HEADS, contains, move_to_merge, why_not_merge, write_merge
from bot.providers.forge.local_store import LocalStore, StoredMergeRequest, StoredNote
from bot.providers.git import GitError, for_each_ref
from bot.providers.git_commits import merge_conflicts, update_ref
from bot.settings import BotSettings

ATTEMPTS = 5
"""How often a merge is tried again when somebody pushes to the target branch meanwhile."""

Change = Callable[[StoredMergeRequest], StoredMergeRequest]
"""What a writer makes of a document; the same document means nothing is to be written."""


class LocalFolder:
    """A local forge for anybody; safe with any number of processes and threads.

    `branch` is the config branch, `bot` the bot's user name, `now` the clock that dates what is written. Raises
    `ServerUnreachable` where the folder is missing or git fails on a question; a write that git turns down is a
    `Refused`.
    """

    def __init__(self, folder: Path, branch: str, bot: str, now: Callable[[], datetime]) -> None:
        self.store = LocalStore(folder)
        self.board = LocalBoard(self.store, bot, now)
        self.repo = folder / "config.git"
        self.branch = branch
        self.bot = bot
        self._now = now
        self._conflicts = lru_cache(1024)(partial(merge_conflicts, self.repo))

    def show(self, iid: int) -> MergeRequest | None:
        """One merge request in any state; None if there is no such."""
        document = self.store.get(iid)
        return self.view(document, self.heads()) if document else None

    def open_for(
        self, user: str, branch: str, title: str, description: str, labels: Sequence[str], *, draft: bool = False
    ) -> MergeRequest | Refused:
        """Open a merge request of a user into the config branch, or return the open one of this branch."""
        with self.store.writing():
            heads = self.heads()
            if branch not in heads or branch == self.branch:
                return Refused(f"there is no branch {branch} to open a merge request for")
            for document in self.open_documents():
                if (document.source_branch, document.target_branch) == (branch, self.branch):
                    return self.view(document, heads)
            document = StoredMergeRequest(
                self.store.next_merge_request(),
                title,
                branch,
                self.branch,
                user,
                self._now(),
                description=description,
                labels=tuple(labels),
                draft=draft,
                head_sha=heads[branch],
            )
            return self.view(self.store.put(document), heads)

    def comment_for(self, user: str, iid: int, body: str, note: str = "") -> Note | Refused:
        """Write a note of a user, or edit their own one with id `note`."""
        if note:
            return self._edit(user, iid, note, body)
        with self.store.writing():
            heads = self.heads()
            document = self.found(iid, heads)
            if isinstance(document, Refused):
                return document
            stored = self._note(document, user, body, heads)
            self.store.put(replace(document, notes=(*document.notes, stored)))
            return self._note_view(stored)

    def merge_for(self, identity: BotSettings, iid: int, head: str = "") -> MergeRequest | Refused:
        """Merge as this identity, if the head is `head` (empty: whatever it is now), and delete the branch.

        Somebody who pushes meanwhile is waited for a few times, and what they pushed is looked at.
        """
        with self.store.writing():
            for attempt in range(1, ATTEMPTS):
                try:
                    return self._try_merge(identity, iid, head)
                except GitError:
                    time.sleep(0.01 * attempt)
            try:
                return self._try_merge(identity, iid, head)
            except GitError as error:
                return Refused(f"merge request {iid} was not merged: {error.line}")

    def change(self, iid: int, how: Change) -> StoredMergeRequest | Refused:
        """Replace the document of a merge request by what `how` makes of it; nothing is written if it is equal."""
        with self.store.writing():
            document = self.found(iid, self.heads())
            if isinstance(document, Refused):
                return document
            changed = how(document)
            return changed if changed == document else self.store.put(changed)

    def found(self, iid: int, heads: Mapping[str, str]) -> StoredMergeRequest | Refused:
        """The document with its present state and head, or a no."""
        document = self.store.get(iid)
        return self._settled(document, heads) if document else Refused(f"there is no merge request {iid}")

    def put_closed(self, document: StoredMergeRequest, user: str, comment: str = "") -> StoredMergeRequest:
        """Close with an optional last note, in one write."""
        notes = document.notes
        if comment:
            notes = (*notes, self._note(document, user, comment, self.heads()))
        return self.store.put(replace(document, state=MergeRequestStatus.CLOSED, closed_by=user, notes=notes))

    def heads(self, prefix: str = "") -> dict[str, str]:
        """Branches that start with `prefix` and their heads, in one look."""
        self.store.require()
        with self.asking():
            refs = for_each_ref(self.repo, HEADS + prefix)
        return {name.removeprefix(HEADS): sha for name, sha in refs.items()}

    def view(self, document: StoredMergeRequest, heads: Mapping[str, str]) -> MergeRequest:
        """The merge request as everybody sees it; an open one whose branch is gone has an empty head."""
        document = self._settled(document, heads)
        head, base = document.head_sha, heads.get(document.target_branch, "")
        conflicts = False
        if document.state is MergeRequestStatus.OPENED and head and base:
            with self.asking():
                conflicts = self._conflicts(base, head)
        return MergeRequest(
            document.iid,
            document.title,
            document.state,
            document.source_branch,
            document.target_branch,
            head,
            document.author,
            document.description,
            document.labels,
            document.draft,
            conflicts,
            document.ci.get(head, CiStatus.NONE),
            document.approved_by,
            document.auto_merge,
            self.bot if document.auto_merge else "",
            document.closed_by,
            self.store.path(document.iid).absolute().as_uri(),
            tuple(map(self._note_view, document.notes)),
        )

    def views(self, *, only_open: bool) -> Iterator[MergeRequest]:
        """All merge requests, or the open ones, by number, as seen with one look at the branches."""
        heads = self.heads()
        for document in self.store.all():
            settled = self._settled(document, heads)
            if not only_open or settled.state is MergeRequestStatus.OPENED:
                yield self.view(settled, heads)

    def open_documents(self) -> list[StoredMergeRequest]:
        """The documents of the open merge requests with their present heads; only inside `writing`.

        A merge that was cut short between git and its document is finished on the way.
        """
        heads = self.heads()
        opened = []
        for document in self.store.all():
            settled = self._settled(document, heads)
            if settled.state is MergeRequestStatus.OPENED:
                opened.append(settled)
            elif document.state is MergeRequestStatus.OPENED:
                self.delete(settled.source_branch, settled.head_sha)
                self.store.put(settled)
        return opened

    def recover(self) -> None:
        """Finish what was cut short by a crash."""
        with self.store.writing():
            self.open_documents()

    def _settled(self, document: StoredMergeRequest, heads: Mapping[str, str]) -> StoredMergeRequest:
        """The document with its present head, and `merged` where the merge was made but not noted any more."""
        if document.state is not MergeRequestStatus.OPENED:
            return document
        base = heads.get(document.target_branch, "")
        if document.merge_sha and base:
            with self.asking():
                if contains(self.repo, base, document.merge_sha):
                    return replace(document, state=MergeRequestStatus.MERGED)
        return replace(document, head_sha=heads.get(document.source_branch, ""))

    def _try_merge(self, identity: BotSettings, iid: int, head: str) -> MergeRequest | Refused:
        """One attempt to merge, under the lock; raises `GitError` if somebody pushed meanwhile."""
        heads = self.heads()
        document = self.found(iid, heads)
        if isinstance(document, Refused):
            return document
        no = why_not_merge(document, head)
        if no:
            return Refused(f"merge request {iid} was not merged: {no}")
        if document.state is MergeRequestStatus.MERGED:
            self.open_documents()
            return self.view(document, heads)
        base = heads.get(document.target_branch, "")
        merge = write_merge(self.repo, document, base, identity, self._now())
        if merge is None:
            return Refused(f"merge request {iid} conflicts with {document.target_branch}")
        document = self.store.put(replace(document, merge_sha=merge, merged_by=identity.name))
        move_to_merge(self.repo, document, base, merge)
        return self.view(self.store.put(replace(document, state=MergeRequestStatus.MERGED)), heads)

    def delete(self, branch: str, head: str) -> Refused | None:
        """Delete a branch that still is at `head`; one that is gone or went on is left as it is."""
        if not head:
            return None
        try:
            update_ref(self.repo, branch, "", head)
        except GitError as error:
            return Refused(f"{branch} was not deleted: {error.line}")
        return None

    def _note(self, document: StoredMergeRequest, user: str, body: str, heads: Mapping[str, str]) -> StoredNote:
        """A fresh note; only inside `writing`."""
        head = heads.get(document.source_branch, document.head_sha)
        return StoredNote(self.store.next_note(), user, body, self._now(), head)

    def _note_view(self, note: StoredNote) -> Note:
        bot = note.author == self.bot
        return Note(
            note.id, note.author, note.body, note.created_at, bot=bot, head=note.head, edited=note.edited and not bot
        )

    def _edit(self, user: str, iid: int, note: str, body: str) -> Note | Refused:
        document = self.store.get(iid)
        authors = {stored.author for stored in document.notes if stored.id == note} if document else set()
        if authors - {user}:
            return Refused(f"note {note} is not {user}'s")
        changed = self.change_note(iid, note, lambda stored: replace(stored, body=body, edited=True))
        return changed if isinstance(changed, Refused) else self._note_view(changed)

    def change_note(self, iid: int, note: str, how: Callable[[StoredNote], StoredNote]) -> StoredNote | Refused:
        """Replace one note by what `how` makes of it."""

        def with_note(document: StoredMergeRequest) -> StoredMergeRequest:
            return replace(document, notes=tuple(how(n) if n.id == note else n for n in document.notes))

        document = self.change(iid, with_note)
        if isinstance(document, Refused):
            return document
        missing = Refused(f"merge request {iid} has no note {note}")
        return next((stored for stored in document.notes if stored.id == note), missing)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Turn a failure of git into one line for the human."""
        try:
            yield
        except GitError as error:
            raise ServerUnreachable(f"cannot read the local forge {self.repo}: {error.line}") from error
