"""A forge in memory: branches, merge requests with notes and CI, merges; what the local forge is, without a folder.

`MemoryForge` is what a server keeps, with the port on it (`bot.ports.Forge`); `MemoryPeople` are the humans there. The
shapes of what is kept are those of the local forge's documents. Stories told in memory are told at the local forge too,
with the same expectations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from worlds.memory_git import COMMITS, MemoryTree, changes, merge_base, merged, write_commit

from bot.model.desired import Freeze
from bot.model.observed import BranchDiff, CiStatus, Issue, MergeRequest, MergeRequestStatus, Note, Role, Unreachable
from bot.model.plan import Commit
from bot.model.state import Thread
from bot.ports import ConfigTree, Refused
from bot.providers.forge.local_store import StoredMergeRequest, StoredNote

BOT = "saasbot"
MAIN = "main"
OPEN = MergeRequestStatus.OPENED

How = Callable[[StoredMergeRequest], StoredMergeRequest]


@dataclass
class MemoryForge:
    """A forge with one repository; `now` is set by the world before each use."""

    roles: Mapping[str, Role]
    now: datetime
    heads: dict[str, str] = field(default_factory=dict)
    documents: dict[int, StoredMergeRequest] = field(default_factory=dict)
    board: Issue | None = None
    board_reactions: dict[str, str] = field(default_factory=dict)
    notes: int = 0
    ci: CiStatus = CiStatus.NONE
    """What the CI has to say of a head as soon as there is one."""

    def me(self) -> str:
        """The bot."""
        return BOT

    def knows_me(self) -> bool:
        """Whether it ever did something here."""
        return bool(self.branches(f"{BOT}/")) or any(each.author == BOT for each in self.documents.values())

    def open_merge_requests(self) -> Sequence[MergeRequest]:
        """All open ones into `main`."""
        return [self.view(each) for each in self.documents.values() if each.state is OPEN]

    def own_merge_requests(self, ended: int) -> Sequence[MergeRequest]:
        """The bot's own in any state."""
        del ended
        return [self.view(each) for each in self.documents.values() if each.author == BOT]

    def merge_request(self, iid: int) -> MergeRequest | None:
        """One in any state."""
        return self.view(self.documents[iid]) if iid in self.documents else None

    def branches(self, prefix: str) -> Mapping[str, str]:
        """Heads by name."""
        return {name: head for name, head in self.heads.items() if name.startswith(prefix)}

    def diff(self, merge_request: MergeRequest) -> BranchDiff:
        """The head against its merge base with `main`."""
        head = merge_request.head_sha
        if not head:
            return BranchDiff(self.heads[MAIN], ())
        base = merge_base(self.heads[MAIN], head)
        return BranchDiff(base, changes(base, head))

    def merged_tree(self, merge_request: MergeRequest) -> ConfigTree | Unreachable:
        """The config after the merge."""
        files = merged(self.heads[MAIN], merge_request.head_sha)
        return Unreachable(f"!{merge_request.iid} conflicts with main") if files is None else MemoryTree(None, files)

    def role(self, user: str) -> Role:
        """What somebody may do."""
        return self.roles.get(user, Role.NONE)

    def freezes(self) -> Sequence[Freeze]:
        """None are kept here."""
        return ()

    def dashboard(self, title: str) -> Issue | None:
        """The one dashboard."""
        del title
        return self.board

    def push(self, commit: Commit) -> str | Refused:
        """One commit on the parent, with a lease on the branch."""
        if commit.keep:
            return Refused("nobody's commits are replayed here")
        new = write_commit((commit.parent,), {**COMMITS[commit.parent].files, **commit.files}, BOT, commit.message)
        if self.heads.get(commit.branch, "") not in (commit.expected_head, new):
            return Refused(f"somebody else moved {commit.branch}")
        self.heads[commit.branch] = new
        return new

    def open(self, branch: str, title: str, description: str, labels: Sequence[str]) -> MergeRequest | Refused:
        """Open one, or adopt the open one of the branch."""
        return self.opened(BOT, branch, title, description, labels)

    def opened(self, user: str, branch: str, title: str, description: str, labels: Sequence[str] = ()) -> MergeRequest:
        """Open one for anybody."""
        for each in self.documents.values():
            if each.state is OPEN and each.source_branch == branch:
                return self.view(each)
        iid = len(self.documents) + 1
        head, labels = self.heads[branch], tuple(labels)
        document = StoredMergeRequest(
            iid, title, branch, MAIN, user, self.now, description=description, labels=labels, head_sha=head
        )
        return self._put(document)

    def update(self, iid: int, title: str, description: str) -> Refused | None:
        """Set the texts."""
        self.change(iid, lambda document: replace(document, title=title, description=description))
        return None

    def close(self, iid: int, branch: str, comment: str) -> Refused | None:
        """Say why, close, delete the branch."""
        document = self.documents[iid]
        if document.state is MergeRequestStatus.MERGED:
            return Refused(f"!{iid} is merged already")
        if document.state is OPEN:
            self.noted(BOT, iid, comment)
            self.change(iid, lambda each: replace(each, state=MergeRequestStatus.CLOSED, closed_by=BOT))
        self.heads.pop(branch, None)
        return None

    def merge(self, iid: int, head: str, *, when_green: bool = False) -> MergeRequest | Refused:
        """Merge if the head is still the one that was judged; or set it to merge."""
        document = self._present(self.documents[iid])
        if document.state is OPEN and document.head_sha != head:
            return Refused(f"!{iid} has moved")
        if when_green and document.state is OPEN and self._ci(document) is CiStatus.RUNNING:
            return self.change(iid, lambda each: replace(each, auto_merge=True))
        return self.merged_by(BOT, iid)

    def merged_by(self, user: str, iid: int) -> MergeRequest | Refused:
        """Merge for anybody, whatever the head is."""
        document = self._present(self.documents[iid])
        if document.state is not OPEN:
            merged_already = document.state is MergeRequestStatus.MERGED
            return self.view(document) if merged_already else Refused(f"!{iid} is {document.state}")
        files = merged(self.heads[MAIN], document.head_sha) if document.head_sha else None
        if files is None:
            return Refused(f"!{iid} cannot be merged")
        self.heads[MAIN] = write_commit((self.heads[MAIN], document.head_sha), files, user, f"Merge !{iid}")
        self.heads.pop(document.source_branch, None)
        return self._put(replace(document, state=MergeRequestStatus.MERGED, merged_by=user, auto_merge=False))

    def cancel_auto_merge(self, iid: int) -> Refused | None:
        """It merges no more by itself."""
        self.change(iid, lambda document: replace(document, auto_merge=False))
        return None

    def label(self, iid: int, label: str, *, on: bool) -> Refused | None:
        """Put a label on, or take it off."""
        self.change(iid, lambda document: document.labelled(label, on=on))
        return None

    def comment(self, thread: Thread, iid: int, body: str, note: str = "") -> Note | Refused:
        """A note, or an edit of the bot's own."""
        if thread is Thread.DASHBOARD:
            return self.noted_on_board(BOT, body)
        return self._edited(iid, note, body) if note else self.noted(BOT, iid, body)

    def react(self, thread: Thread, iid: int, note: str, *, ok: bool) -> Refused | None:
        """Acknowledge a note."""
        word = "ok" if ok else "no"
        if thread is Thread.DASHBOARD:
            self.board_reactions[note] = word
            return None
        self._change_note(iid, note, lambda stored: stored.reacted(BOT, word))
        return None

    def put_dashboard(self, iid: int, title: str, body: str) -> Issue | Refused:
        """Set the text of the dashboard `iid`, or open one."""
        del title
        if not iid and self.board is not None:
            raise AssertionError("a second dashboard was opened")
        self.board = Issue(1, body) if self.board is None else replace(self.board, body=body)
        return self.board

    def noted(self, user: str, iid: int, body: str) -> Note:
        """A note of anybody."""
        self.notes += 1
        stored = StoredNote(str(self.notes), user, body, self.now, self._present(self.documents[iid]).head_sha)
        self.change(iid, lambda document: replace(document, notes=(*document.notes, stored)))
        return _note(stored)

    def noted_on_board(self, user: str, body: str) -> Note | Refused:
        """A note of anybody on the dashboard."""
        if self.board is None:
            return Refused("there is no dashboard")
        self.notes += 1
        note = Note(str(self.notes), user, body, self.now, bot=user == BOT)
        self.board = replace(self.board, notes=(*self.board.notes, note))
        return note

    def change(self, iid: int, how: How) -> MergeRequest:
        """Change a merge request."""
        return self._put(how(self._present(self.documents[iid])))

    def view(self, document: StoredMergeRequest) -> MergeRequest:
        """A merge request as everybody sees it."""
        present = self._present(document)
        head, is_open = present.head_sha, present.state is OPEN
        return MergeRequest(
            iid=present.iid,
            title=present.title,
            state=present.state,
            source_branch=present.source_branch,
            target_branch=present.target_branch,
            head_sha=head,
            author=present.author,
            description=present.description,
            labels=present.labels,
            draft=present.draft,
            has_conflicts=bool(is_open and head and merged(self.heads[MAIN], head) is None),
            ci=self._ci(present),
            approved_by=present.approved_by,
            auto_merge=present.auto_merge,
            auto_merge_by=BOT if present.auto_merge else "",
            closed_by=present.closed_by,
            notes=tuple(map(_note, present.notes)),
        )

    def _present(self, document: StoredMergeRequest) -> StoredMergeRequest:
        """With the head that an open one has now."""
        is_open = document.state is OPEN
        return replace(document, head_sha=self.heads.get(document.source_branch, "")) if is_open else document

    def _ci(self, document: StoredMergeRequest) -> CiStatus:
        return document.ci.get(document.head_sha, self.ci)

    def _put(self, document: StoredMergeRequest) -> MergeRequest:
        document = self._present(document)
        self.documents[document.iid] = document
        return self.view(document)

    def _edited(self, iid: int, note: str, body: str) -> Note | Refused:
        return self._change_note(iid, note, lambda stored: replace(stored, body=body, edited=True))

    def _change_note(self, iid: int, note: str, how: Callable[[StoredNote], StoredNote]) -> Note | Refused:
        notes = tuple(how(each) if each.id == note else each for each in self.documents[iid].notes)
        found = self.change(iid, lambda document: replace(document, notes=notes)).notes
        return next((each for each in found if each.id == note), Refused(f"!{iid} has no note {note}"))


def _note(stored: StoredNote) -> Note:
    own = stored.author == BOT
    return Note(stored.id, stored.author, stored.body, stored.created_at, bot=own, head=stored.head)


@dataclass(frozen=True)
class MemoryPeople:
    """Humans at the forge and their CI; the verbs are those of `bot.providers.forge.local_people`."""

    forge: MemoryForge

    def list_all(self) -> tuple[MergeRequest, ...]:
        """Every merge request."""
        return tuple(map(self.forge.view, self.forge.documents.values()))

    def comment_as(self, user: str, iid: int, text: str) -> Note:
        """Write a comment."""
        return self.forge.noted(user, iid, text)

    def set_ci(self, iid: int, word: CiStatus) -> MergeRequest | Refused:
        """What the CI says of the present head; a green one merges what is set to merge."""
        head = self.forge.view(self.forge.documents[iid]).head_sha
        changed = self.forge.change(iid, lambda document: replace(document, ci={**document.ci, head: word}))
        merges = changed.auto_merge and word is CiStatus.SUCCESS
        return self.forge.merged_by(BOT, iid) if merges else changed

    def approve_as(self, user: str, iid: int) -> MergeRequest:
        """Approve."""
        return self.forge.change(iid, lambda document: replace(document, approved_by=(*document.approved_by, user)))

    def set_label(self, iid: int, label: str, *, on: bool) -> MergeRequest:
        """Put a label on, or take it off."""
        return self.forge.change(iid, lambda document: document.labelled(label, on=on))

    def merge_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Merge."""
        return self.forge.merged_by(user, iid)

    def close_as(self, user: str, iid: int) -> MergeRequest:
        """Close; the branch stays."""
        return self.forge.change(
            iid, lambda document: replace(document, state=MergeRequestStatus.CLOSED, closed_by=user)
        )

    def comment_dashboard_as(self, user: str, text: str) -> Note | Refused:
        """Write a comment on the dashboard."""
        return self.forge.noted_on_board(user, text)
