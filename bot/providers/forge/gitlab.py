"""The GitLab forge: merge requests, comments and the dashboard of a GitLab project, through python-gitlab.

Reading is `gitlab_reader`; this is what is written. A request that writes is sent once; where its answer is lost, the
next pass looks at what became of it, and everything here may be asked for twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.model.observed import CiStatus, Issue, MergeRequest, MergeRequestStatus, Note
from bot.model.plan import Commit
from bot.model.state import Thread
from bot.ports import Cache, Refused
from bot.providers.config_repo import GitConfig
from bot.providers.forge import gitlab_wire as wire
from bot.providers.forge.gitlab_ci import on_its_way
from bot.providers.forge.gitlab_comments import GitLabComments
from bot.providers.forge.gitlab_place import Place
from bot.providers.forge.gitlab_push import commit_fields, committers
from bot.providers.forge.gitlab_reader import GitLabReader
from bot.providers.forge.gitlab_settings import gitlab_place, served_by
from bot.providers.forge_access import ca_of
from bot.providers.git_merge_requests import CheckoutHeads
from bot.providers.gitlab_api import UNAUTHORIZED
from bot.settings import BotSettings, Settings

DRAFT = "Draft: "
"""What GitLab puts in front of a draft's title."""

WHY_NOT = {
    "draft_status": "it is a draft",
    "conflict": "it conflicts",
    "ci_must_pass": "its CI has not succeeded",
    "ci_still_running": "its CI is still running",
    "not_approved": "it lacks approvals",
    "requested_changes": "a reviewer asked for changes",
    "discussions_not_resolved": "it has open discussions",
    "commits_status": "its branch is gone, or has no commits of its own",
    "need_rebase": "it must be rebased first",
    "not_open": "it is not open",
    "checking": "GitLab is still looking whether it can be merged",
    "unchecked": "GitLab is still looking whether it can be merged",
    "preparing": "GitLab is still preparing it",
}
"""Values of `detailed_merge_status` in words; any other is told as it is."""

_PRESENT = re.compile(r"open merge request already exists.*!(\d+)")


class GitLabForge(GitLabReader):
    """Implements `bot.ports.Forge`. Raises `ServerUnreachable` where GitLab cannot be asked or its answer is lost."""

    def __init__(
        self,
        place: Place,
        config: GitConfig,
        heads: CheckoutHeads,
        cache: Cache,
        now: Callable[[], datetime],
        bot: BotSettings,
        *,
        sign: bool = False,
    ) -> None:
        super().__init__(place, config, heads, cache, now)
        self.comments = GitLabComments(place, self.me)
        self._bot = bot
        self._sign = sign
        self.origin = heads.origin

    def push(self, commit: Commit) -> str | Refused:
        """Put the commit on its branch if that is at `expected_head`; return the head that the branch has now.

        Built by GitLab in one request, or by git where it must be signed or a person's commits follow it. Git has a
        lease; GitLab has one for new branches only, and else replaces what comes between the look and that request.
        """
        present = self.branch_head(commit.branch)
        if present and self.heads.content_is(present, commit):
            return present
        if present != commit.expected_head:
            return Refused(f"somebody else moved {commit.branch}")
        if self._sign or commit.keep:
            return self.heads.push(commit)
        fields = commit_fields(commit, self._bot, self.heads.modes(commit.parent, commit.files))
        # All that is slow lies behind: GitLab knows no lease, so that the look must be as young as can be.
        if commit.expected_head and self.branch_head(commit.branch) != commit.expected_head:
            return Refused(f"somebody else moved {commit.branch}")
        what = f"{commit.branch} was not pushed"
        answer = self.place.try_to(f"push {commit.branch}", lambda: self.place.post("repository/commits", fields), what)
        if isinstance(answer, Refused):
            return answer
        with self.place.asking(f"push {commit.branch}"):
            return wire.read(wire.CommitWire, answer).id

    def open(self, branch: str, title: str, description: str, labels: Sequence[str]) -> MergeRequest | Refused:
        """Open a merge request for a branch, or adopt the open one."""
        fields = {
            "source_branch": branch,
            "target_branch": self.place.branch,
            "title": title,
            "description": description,
            "labels": list(labels),
            "remove_source_branch": True,
        }
        opened = self.place.try_to(
            f"open a merge request for {branch}", lambda: self.place.post("merge_requests", fields), "it was not opened"
        )
        if not isinstance(opened, Refused):
            return self._view(opened)
        return self._present(opened, branch) or opened

    def _present(self, refused: Refused, branch: str) -> MergeRequest | None:
        """The open merge request that was in the way; GitLab names it, and its list may not know it yet."""
        named = _PRESENT.search(refused.text)
        listed = [] if named else self.listed(state="opened", source_branch=branch, target_branch=self.place.branch)
        iid = int(named[1]) if named else next((each.iid for each in listed if not each.forked), 0)
        found = self.merge_request(iid) if iid else None
        there = found is not None and (found.source_branch, found.state) == (branch, MergeRequestStatus.OPENED)
        return found if there else None

    def update(self, iid: int, title: str, description: str) -> Refused | None:
        """Set title and description, as far as they differ from what is there now. A draft stays one."""
        seen = self.detail(iid)
        if seen is None:
            return _no_such(iid)
        if seen.draft and not title.startswith(DRAFT):
            title = DRAFT + title
        present = {"title": seen.title, "description": seen.description or ""}
        wished = {"title": title, "description": description}
        fields = {name: value for name, value in wished.items() if value != present[name]}
        return self._change(iid, fields, f"!{iid} was not updated") if fields else None

    def close(self, iid: int, branch: str, comment: str) -> Refused | None:
        """Say why, close, and delete the branch (unless another open merge request has it)."""
        found = self.detail(iid)
        if found is None:
            return _no_such(iid)
        if found.state == "merged":
            return Refused(f"merge request {iid} is merged already")
        if found.opened:
            refused = self._say_once(iid, comment) or self._change(iid, {"state_event": "close"}, f"!{iid} stays open")
            if refused:
                return refused
        if branch != found.source_branch or found.forked:
            return None
        others = self.listed(state="opened", source_branch=branch)
        return None if any(each.iid != iid and not each.forked for each in others) else self._delete(branch)

    def merge(self, iid: int, head: str, *, when_green: bool = False) -> MergeRequest | Refused:
        """Merge if the head still is `head`, and delete the branch; with `when_green`, as soon as its CI succeeds.

        Without a pipeline of that head GitLab would have nothing to wait for and merge at once: one whose CI is still
        to begin is left, and answered, as it is.
        """
        before = self._before_its_ci(iid, head) if when_green else None
        if before is not None:
            return before
        answer = self._merge(iid, head, when_green=when_green)
        if not isinstance(answer, Refused):
            return self._view(answer)
        found = self.merge_request(iid)
        if found is None:
            return _no_such(iid)
        if found.state is MergeRequestStatus.MERGED and self.seen[iid].sha == head:
            return found
        if found.state is not MergeRequestStatus.OPENED:
            return Refused(f"merge request {iid} was not merged: it is {found.state}")
        if found.head_sha != head:
            return Refused(f"merge request {iid} was not merged: its branch has moved")
        if when_green and found.auto_merge:
            return found
        if when_green and found.ci in (CiStatus.NONE, CiStatus.SUCCESS) and not found.has_conflicts:
            answer = self._merge(iid, head, when_green=False)  # there was nothing to wait for
        return self._view(answer) if not isinstance(answer, Refused) else self._why_not(iid, answer)

    def _before_its_ci(self, iid: int, head: str) -> MergeRequest | Refused | None:
        """The answer to a merge by CI at a head whose CI has not begun, or ended badly; None where GitLab is asked."""
        found = self.merge_request(iid)
        if found is None or found.state is not MergeRequestStatus.OPENED or found.head_sha != head:
            return None
        if found.ci is CiStatus.FAILED:
            return Refused(f"merge request {iid} was not merged: its CI has not succeeded")
        waits = found.ci in (CiStatus.RUNNING, CiStatus.WAITING)
        return found if found.auto_merge or (waits and not self._is_awaited(iid, head)) else None

    def _is_awaited(self, iid: int, head: str) -> bool:
        """Whether a pipeline of the head is on its way, by the last look."""
        return on_its_way(self.at_head(self.seen[iid], head), head)

    def _merge(self, iid: int, head: str, *, when_green: bool) -> Any | Refused:
        # GitLab before 17.11 knows only the second name, and would merge at once if it were given the first alone.
        wait = {"auto_merge": True, "merge_when_pipeline_succeeds": True} if when_green else {}
        fields = {"sha": head, "should_remove_source_branch": True, **wait}
        return self.place.try_to(
            f"merge merge request {iid}",
            lambda: self.place.put(f"merge_requests/{iid}/merge", fields),
            f"merge request {iid} was not merged",
            {UNAUTHORIZED: f"the bot's user may not merge into {self.place.branch}"},
        )

    def _why_not(self, iid: int, answer: Refused) -> Refused:
        """GitLab's bare 405 in the words of the status that led to it."""
        status = self.seen[iid].detailed_merge_status or ""
        if status in ("", "mergeable"):
            return answer
        return Refused(f"merge request {iid} was not merged: {WHY_NOT.get(status, status)}")

    def cancel_auto_merge(self, iid: int) -> Refused | None:
        """Take back that it merges when its CI succeeds; one that is not set to is fine."""
        path = f"merge_requests/{iid}/cancel_merge_when_pipeline_succeeds"
        what = f"!{iid} stays set to merge"
        rights = {UNAUTHORIZED: f"the bot's user may not merge into {self.place.branch}"}
        answer = self.place.try_to(f"do not merge merge request {iid}", lambda: self.place.post(path, {}), what, rights)
        if not isinstance(answer, Refused):
            return None
        found = self.detail(iid)
        return answer if found is not None and found.merge_when_pipeline_succeeds and found.opened else None

    def comment(self, thread: Thread, iid: int, body: str, note: str = "") -> Note | Refused:
        """Write a note, or edit the bot's own one with id `note`; one that says so already is left as it is."""
        return self.comments.write(thread, iid, body, note)

    def react(self, thread: Thread, iid: int, note: str, *, ok: bool) -> Refused | None:
        """Acknowledge a note with a thumb up or down; one that is there already is fine."""
        return self.comments.react(thread, iid, note, ok=ok)

    def label(self, iid: int, label: str, *, on: bool) -> Refused | None:
        """Put a label on, or take it off; one that is as it should be is fine. GitLab makes one that is new to it."""
        what = f"!{iid} was not {'given' if on else 'relieved of'} the label {label}"
        refused = self._change(iid, {"add_labels" if on else "remove_labels": label}, what)
        if refused is not None or (label in self.seen[iid].labels) is on:
            return refused
        return Refused(f"{what}: the bot's user may not set labels")

    def put_dashboard(self, iid: int, title: str, body: str) -> Issue | Refused:
        """Set title and text of the dashboard issue, or open one where `iid` is 0."""
        return self.comments.put_dashboard(iid, title, body)

    def _change(self, iid: int, fields: Mapping[str, str], what: str) -> Refused | None:
        answer = self.place.try_to(
            f"change merge request {iid}", lambda: self.place.put(f"merge_requests/{iid}", fields), what
        )
        if isinstance(answer, Refused):
            return answer
        self._view(answer)
        return None

    def _say_once(self, iid: int, body: str) -> Refused | None:
        """Write a note, unless it was written just before a crash."""
        if not body:
            return None
        me = self.me()
        with self.place.asking(f"notes of merge request {iid}"):
            notes = [wire.note(each, me) for each in self.talks.notes_of(Thread.MERGE_REQUEST, iid)]
        if any(each.author == me and each.body.strip() == body.strip() for each in notes):
            return None
        answer = self.comment(Thread.MERGE_REQUEST, iid, body)
        return answer if isinstance(answer, Refused) else None

    def _delete(self, branch: str) -> Refused | None:
        """Delete a branch; one that is gone is fine."""
        answer = self.place.try_to(
            f"delete branch {branch}", lambda: self.place.branches.delete(branch), f"{branch} was not deleted"
        )
        return answer if isinstance(answer, Refused) and self.branch_head(branch) else None

    def _view(self, answer: Any) -> MergeRequest:
        """The merge request in the answer to a write: as much as it tells, without notes."""
        with self.place.asking("the merge request that was written"):
            found = wire.read(wire.MergeRequestWire, answer)
        self.seen[found.iid] = found
        facts = wire.Facts(found.sha or "", bool(found.has_conflicts), self._ci(found, found.sha or ""))
        return wire.merge_request(found, facts)


def gitlab_forge(
    settings: Settings, config: Path, environ: Mapping[str, str], cache: Cache, now: Callable[[], datetime]
) -> GitLabForge:
    """The forge that `saasbot.yml` in `config` asks for; asks no server. Raises `WrongUsage` where it cannot work."""
    place, secret = gitlab_place(settings, config, environ, cache)
    sign = settings.forge.options.get("sign") is True
    heads = CheckoutHeads(
        config,
        settings.branch,
        settings.bot,
        refs=lambda iid: f"refs/merge-requests/{iid}/head",
        authorization=(lambda: secret) if served_by(config, place.api.url) else None,
        ca=ca_of(settings.forge.options.get("ca"), config),
        sign=sign,
        committers=lambda: committers(place),
    )
    return GitLabForge(place, GitConfig(config, heads.origin), heads, cache, now, settings.bot, sign=sign)


def _no_such(iid: int) -> Refused:
    return Refused(f"there is no merge request {iid}")
