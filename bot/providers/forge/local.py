"""The local forge: a folder with the config repository as a bare git repository and merge requests as JSON.

A whole forge (`bot.ports.Forge`) that ships, so that nothing else is needed to run the bot; git computes heads,
conflicts, differences and merges, and people push to `config.git` as to any other origin. What people do at a real
forge's page is done by `bot.providers.forge.local_people`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bot.core.batches import PREFIX
from bot.errors import WrongUsage
from bot.model.desired import Freeze
from bot.model.observed import BranchDiff, CiStatus, Issue, MergeRequest, MergeRequestStatus, Note, Role, Unreachable
from bot.model.plan import Commit
from bot.model.state import Thread
from bot.ports import ConfigTree, Refused
from bot.providers.forge.local_folder import LocalFolder
from bot.providers.forge.local_git import HEADS
from bot.providers.git import GitError
from bot.providers.git_commits import build_push, update_ref
from bot.providers.git_merge_requests import branch_diff, merge_result
from bot.settings import BotSettings, Settings


class LocalForge:
    """A `bot.ports.Forge` in a folder; safe with any number of processes and threads.

    `branch` is the config branch, `bot` who the bot is, `members` the roles of people. `now` is the clock: it dates
    what is written here. Raises `ServerUnreachable` where the folder is missing or git fails on a question; a write
    that git turns down is a `Refused`.
    """

    def __init__(
        self, folder: Path, branch: str, bot: BotSettings, members: Mapping[str, Role], now: Callable[[], datetime]
    ) -> None:
        self.folder = LocalFolder(folder, branch, bot.name, now)
        self._bot = bot
        self._members = members

    def me(self) -> str:
        """The bot's own user name."""
        return self._bot.name

    def knows_me(self) -> bool:
        """Whether the bot has a branch here, or ever opened a merge request."""
        return bool(self.branches(PREFIX)) or any(
            each.author == self._bot.name for each in self.folder.views(only_open=False)
        )

    def open_merge_requests(self) -> Sequence[MergeRequest]:
        """All open merge requests into the config branch."""
        return [mr for mr in self.folder.views(only_open=True) if mr.target_branch == self.folder.branch]

    def own_merge_requests(self, ended: int) -> Sequence[MergeRequest]:
        """The bot's own into the config branch in any state, by number; there is no end to what is told here."""
        del ended
        found = self.folder.views(only_open=False)
        return [mr for mr in found if mr.author == self._bot.name and mr.target_branch == self.folder.branch]

    def merge_request(self, iid: int) -> MergeRequest | None:
        """One merge request in any state; None if there is no such."""
        return self.folder.show(iid)

    def branches(self, prefix: str) -> Mapping[str, str]:
        """Branches that start with `prefix`, with their heads."""
        return self.folder.heads(prefix)

    def diff(self, merge_request: MergeRequest) -> BranchDiff:
        """The head against its merge base with the target branch; no changes where the branch is gone."""
        head, base = merge_request.head_sha, self.folder.heads().get(merge_request.target_branch, "")
        if not head or not base:
            return BranchDiff(base, ())
        with self.folder.asking():
            return branch_diff(self.folder.repo, base, head)

    def merged_tree(self, merge_request: MergeRequest) -> ConfigTree | Unreachable:
        """The config as it would be after the merge; `Unreachable` where it conflicts."""
        head, base = merge_request.head_sha, self.folder.heads().get(merge_request.target_branch, "")
        if not head or not base:
            return Unreachable(f"a branch of merge request {merge_request.iid} is gone")
        with self.folder.asking():
            return merge_result(self.folder.repo, base, head, merge_request.iid, merge_request.target_branch)

    def role(self, user: str) -> Role:
        """The user's role as `forge.members` says; none for everybody else."""
        return self._members.get(user, Role.NONE)

    def push(self, commit: Commit) -> str | Refused:
        """Build the commit and put it on its branch with a lease on `expected_head`; return the new head."""
        self.folder.store.require()
        try:
            new = build_push(self.folder.repo, commit, self._bot, HEADS + self.folder.branch)
            if isinstance(new, Refused) or self._lease(commit, new):
                return new
            self.folder.recover()
            if self._lease(commit, new):
                return new
        except GitError as error:
            return Refused(f"{commit.branch} was not pushed: {error.line}")
        return Refused(f"somebody else moved {commit.branch}")

    def _lease(self, commit: Commit, new: str) -> bool:
        """Whether the branch is at `new` now, moved there or found there."""
        present = self.folder.heads(commit.branch).get(commit.branch, "")
        return present == new or (
            present == commit.expected_head and update_ref(self.folder.repo, commit.branch, new, present)
        )

    def open(self, branch: str, title: str, description: str, labels: Sequence[str]) -> MergeRequest | Refused:
        """Open a merge request for a branch, or adopt the open one."""
        return self.folder.open_for(self._bot.name, branch, title, description, labels)

    def update(self, iid: int, title: str, description: str) -> Refused | None:
        """Set title and description."""
        return _nothing(
            self.folder.change(iid, lambda document: replace(document, title=title, description=description))
        )

    def close(self, iid: int, branch: str, comment: str) -> Refused | None:
        """Say why, close, and delete the branch (unless another open merge request has it)."""
        with self.folder.store.writing():
            document = self.folder.found(iid, self.folder.heads())
            if isinstance(document, Refused):
                return document
            if document.state is MergeRequestStatus.MERGED:
                return Refused(f"merge request {iid} is merged already")
            if document.state is MergeRequestStatus.OPENED:
                document = self.folder.put_closed(document, self._bot.name, comment)
            others = {other.source_branch for other in self.folder.open_documents()}
            if branch == document.source_branch and branch not in others:
                return self.folder.delete(branch, document.head_sha)
            return None

    def freezes(self) -> Sequence[Freeze]:
        """None: freezes of this forge are files of the config."""
        return ()

    def dashboard(self, title: str) -> Issue | None:
        """The dashboard of this title."""
        return self.folder.board.show(title)

    def merge(self, iid: int, head: str, *, when_green: bool = False) -> MergeRequest | Refused:
        """Merge with a merge commit if the head still is `head`, and delete the branch; or set it to merge."""
        seen = self.folder.show(iid)
        if when_green and seen is not None and seen.ci is CiStatus.RUNNING and seen.head_sha == head:
            return self._auto_merge(iid, on=True) or replace(seen, auto_merge=True)
        return self.folder.merge_for(self._bot, iid, head)

    def cancel_auto_merge(self, iid: int) -> Refused | None:
        """It no longer merges when its CI succeeds."""
        return self._auto_merge(iid, on=False)

    def _auto_merge(self, iid: int, *, on: bool) -> Refused | None:
        return _nothing(self.folder.change(iid, lambda document: replace(document, auto_merge=on)))

    def comment(self, thread: Thread, iid: int, body: str, note: str = "") -> Note | Refused:
        """Write a note, or edit the bot's own one with id `note`."""
        if thread is Thread.DASHBOARD:
            return self.folder.board.comment_for(self._bot.name, body, note)
        return self.folder.comment_for(self._bot.name, iid, body, note)

    def label(self, iid: int, label: str, *, on: bool) -> Refused | None:
        """Put a label on, or take it off."""
        return _nothing(self.folder.change(iid, lambda document: document.labelled(label, on=on)))

    def put_dashboard(self, iid: int, title: str, body: str) -> Issue | Refused:
        """Write the dashboard; there is one in this folder, so its number says nothing."""
        del iid
        return self.folder.board.put(title, body)

    def react(self, thread: Thread, iid: int, note: str, *, ok: bool) -> Refused | None:
        """Acknowledge a note with the reaction `ok` or `no`."""
        word = "ok" if ok else "no"
        if thread is Thread.DASHBOARD:
            return self.folder.board.react_for(self._bot.name, note, word)
        return _nothing(self.folder.change_note(iid, note, lambda stored: stored.reacted(self._bot.name, word)))


def local_forge(settings: Settings, folder: Path, now: Callable[[], datetime]) -> LocalForge:
    """The forge that `saasbot.yml` in `folder` asks for; raises `WrongUsage` where its options cannot work."""
    options = settings.forge.options
    path, members = options.get("path"), options.get("members")
    if not isinstance(path, str) or not path:
        raise WrongUsage("forge.path is missing: the local forge needs a folder", hint="e.g. path: ../forge")
    if members is None:
        members = {}
    if not isinstance(members, Mapping):
        raise WrongUsage("forge.members is not a mapping of users to roles", hint="e.g. members: {alice: owner}")
    roles = {str(user): _role(str(user), word) for user, word in members.items()}
    return LocalForge((folder / path).resolve(), settings.branch, settings.bot, roles, now)


def _role(user: str, word: object) -> Role:
    try:
        return Role(str(word))
    except ValueError:
        raise WrongUsage(f"forge.members.{user}: {word} is not a role", hint=f"one of {', '.join(Role)}") from None


def _nothing(answer: object) -> Refused | None:
    """Only the no of an answer."""
    return answer if isinstance(answer, Refused) else None
