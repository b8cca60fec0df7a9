"""What GitLab tells of merge requests, people and the dashboard: the reading half of the forge.

Lists are stale for a minute or two after a push, so the bot's own merge requests are read in detail, one request each,
and their heads are taken from their branches; those of people are taken from the list. What was said on them comes
from the cache as long as nothing was added (`gitlab_talk`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from gitlab.exceptions import GitlabError

from bot.core.batches import PREFIX
from bot.errors import ServerUnreachable
from bot.model.desired import Freeze
from bot.model.observed import BranchDiff, CiStatus, Issue, MergeRequest, Role, Unreachable
from bot.model.state import Thread
from bot.ports import Cache, ConfigTree
from bot.providers.config_repo import GitConfig
from bot.providers.forge import gitlab_wire as wire
from bot.providers.forge.gitlab_ci import ci_status, of_merge
from bot.providers.forge.gitlab_freezes import freeze
from bot.providers.forge.gitlab_place import Place
from bot.providers.forge.gitlab_talk import Said, Talk, Talks
from bot.providers.git_merge_requests import CheckoutHeads
from bot.providers.gitlab_api import FORBIDDEN, NOT_FOUND, UNAUTHORIZED, missing

CHECKS = (0.05, 0.4, 1.2)
"""Seconds before each time that a merge status which GitLab still works out is asked for again."""


class GitLabReader:
    """Implements `bot.ports.ForgeReader`; asks nothing before it is asked. May be used by several threads.

    python-gitlab keeps no state between requests and the session's connections are pooled under a lock, so that one
    client serves all threads. Raises `ServerUnreachable`.
    """

    def __init__(
        self, place: Place, config: GitConfig, heads: CheckoutHeads, cache: Cache, now: Callable[[], datetime]
    ) -> None:
        self.place = place
        self.heads = heads
        self.seen: dict[int, wire.MergeRequestWire] = {}
        """The last detail read of each merge request."""
        self.talks = Talks(place, cache, now, self.me)
        self._cache = cache
        self._now = now
        self._config = config
        self._me = ""
        self._fetched = ""
        self._lock = threading.Lock()

    def me(self) -> str:
        """The bot's own user name as GitLab spells it: who the settings name, else whose token it is."""
        with self._lock:
            if not self._me:
                with self.place.asking("the user of the token"):
                    self._me = self._spelled() if self.place.user else self._asked()
            return self._me

    def _asked(self) -> str:
        return wire.read(wire.User, self.place.api.http_get("/user")).username

    def _spelled(self) -> str:
        """The name of the settings with GitLab's capitals: names are the same in any, and compared everywhere."""
        said = self.place.user
        if self.place.api.job_token:  # it may not ask about users
            return said
        try:
            found = wire.users(self.place.api.http_get("/users", {"username": said}))
        except GitlabError as error:
            if error.response_code in (UNAUTHORIZED, FORBIDDEN, NOT_FOUND):
                return said
            raise
        return next((name for name in found if name.casefold() == said.casefold()), said)

    def knows_me(self) -> bool:
        """Whether the bot has a branch here, or ever opened a merge request for one; its user may do other things."""
        if self.branches(PREFIX):
            return True
        with self.place.asking("merge requests of the bot"):
            listed = self.place.pages("merge_requests", author_username=self.me(), state="all")
            return any(_own(wire.read(wire.MergeRequestWire, each)) for each in listed)

    def open_merge_requests(self) -> Sequence[MergeRequest]:
        """All open merge requests into the config branch: the bot's in detail, people's as listed."""
        self._fetched = ""
        listed = {each.iid: each for each in self.listed(state="opened", target_branch=self.place.branch)}
        own = [each for each in listed.values() if _own(each)]
        branches = self.branches(PREFIX) if own else {}
        details = {each.iid: detail for each in own if (detail := self.detail(each.iid)) is not None}
        heads = {iid: self._head(each, branches) for iid, each in details.items()}
        details = self._checked(details, heads)
        found = [self._own_view(each, heads[iid]) for iid, each in details.items() if each.opened]
        found += [self._listed_view(each) for each in listed.values() if not _own(each)]
        self.heads.expect((each.iid, each.head_sha) for each in found)
        return sorted(found, key=lambda each: each.iid)

    def own_merge_requests(self, ended: int) -> Sequence[MergeRequest]:
        """The bot's own into the config branch: the open ones, and of merged and closed ones the newest each."""
        me, found = self.me(), [each for each in self.open_merge_requests() if each.source_branch.startswith(PREFIX)]
        query = {"author_username": me, "target_branch": self.place.branch, "order_by": "created_at", "sort": "desc"}
        listed: list[wire.MergeRequestWire] = []
        with self.place.asking("merge requests of the bot"):
            for state in ("merged", "closed"):
                pages = (
                    wire.read(wire.MergeRequestWire, e)
                    for e in self.place.pages("merge_requests", state=state, **query)
                )
                listed += islice(filter(_own, pages), ended)
        over = (self.merge_request(each.iid) for each in listed)
        found += [each for each in over if each is not None]
        return sorted((each for each in found if each.author == me), key=lambda each: each.iid)

    def merge_request(self, iid: int) -> MergeRequest | None:
        """One merge request in any state, in detail, with its notes as they are this moment while it is open."""
        found = self.detail(iid)
        if found is None:
            return None
        if not (_own(found) and found.opened):
            return self._own_view(found, found.sha or "", fresh=found.opened)
        head = self.branch_head(found.source_branch)
        found = self._checked({iid: found}, {iid: head})[iid]
        return self._own_view(found, head if found.opened else found.sha or "", fresh=True)

    def branches(self, prefix: str) -> Mapping[str, str]:
        """Branches of the config project that start with `prefix`, with their heads."""
        with self.place.asking(f"branches {prefix}*"):
            pages = self.place.pages("repository/branches", search=f"^{prefix}")
            found = [wire.read(wire.BranchWire, each) for each in pages]
        return {each.name: each.commit.id for each in found if each.name.startswith(prefix)}

    def branch_head(self, name: str) -> str:
        """The head of a branch, empty where there is none."""
        with self.place.asking(f"branch {name}"):
            try:
                branch = self.place.branches.get(name).attributes
            except GitlabError as error:
                if missing(error):
                    return ""
                raise
            return wire.read(wire.BranchWire, branch).commit.id

    def diff(self, merge_request: MergeRequest) -> BranchDiff:
        """The head against its merge base with the target branch; no changes where the branch is gone."""
        base, head = self._base(), merge_request.head_sha
        return self.heads.diff(merge_request.iid, head, base) if head else BranchDiff(base, ())

    def merged_tree(self, merge_request: MergeRequest) -> ConfigTree | Unreachable:
        """The config as it would be after the merge; `Unreachable` where it conflicts."""
        if not merge_request.head_sha:
            return Unreachable(f"a branch of merge request {merge_request.iid} is gone")
        return self.heads.merged_tree(merge_request.iid, merge_request.head_sha, self._base())

    def role(self, user: str) -> Role:
        """The user's role in the project, inherited ones included, read live; a blocked user has none."""
        with self.place.asking(f"role of {user}"):
            found = [wire.read(wire.MemberWire, each) for each in self.place.pages("members/all", query=user)]
        return wire.role(found, user, self._now().date())

    def freezes(self) -> Sequence[Freeze]:
        """The project's Freeze Periods."""
        with self.place.asking("freeze periods"):
            found = [wire.read(wire.FreezeWire, each) for each in self.place.pages("freeze_periods")]
        return [freeze(each, self.place.project) for each in found]

    def dashboard(self, title: str) -> Issue | None:
        """The bot's own oldest open issue of this title, with its notes."""
        me = self.me()
        with self.place.asking("the dashboard issue"):
            query = {"state": "opened", "author_username": me, "order_by": "created_at", "sort": "asc"}
            issues = [wire.read(wire.IssueWire, each) for each in self.place.pages("issues", **query)]
            mine = [each for each in issues if each.title == title and each.author and each.author.username == me]
            if not mine:
                return None
            found = min(mine, key=lambda each: each.iid)
            talk = self.talks.on(Said(Thread.DASHBOARD, found.iid, found.updated_at, found.user_notes_count))
        return Issue(found.iid, found.description or "", found.web_url or "", talk.notes)

    def listed(self, **query: str) -> Sequence[wire.MergeRequestWire]:
        """Merge requests of the project as a list shows them, oldest first."""
        with self.place.asking("merge requests"):
            found = self.place.pages("merge_requests", order_by="created_at", sort="asc", **query)
            return [wire.read(wire.MergeRequestWire, each) for each in found]

    def detail(self, iid: int) -> wire.MergeRequestWire | None:
        """One merge request by itself; None if there is no such."""
        with self.place.asking(f"merge request {iid}"):
            try:
                answer = self.place.get(f"merge_requests/{iid}")
            except GitlabError as error:
                if missing(error):
                    return None
                raise
            found = wire.read(wire.MergeRequestWire, answer)
        self.seen[iid] = found
        return found

    def _head(self, found: wire.MergeRequestWire, branches: Mapping[str, str]) -> str:
        """The head of one of the bot's; that its branch is gone has consequences, so that is asked twice."""
        return branches.get(found.source_branch) or (self.branch_head(found.source_branch) if found.opened else "")

    def _checked(
        self, details: Mapping[int, wire.MergeRequestWire], heads: Mapping[int, str]
    ) -> dict[int, wire.MergeRequestWire]:
        """The details again, asked a few times more where GitLab has not looked at that very head yet."""
        found = dict(details)
        for pause in CHECKS:
            open_questions = [iid for iid, each in found.items() if not _knows(each, heads[iid])]
            if not open_questions:
                break
            time.sleep(pause)
            found.update((iid, detail) for iid in open_questions if (detail := self.detail(iid)) is not None)
        return found

    def _base(self) -> str:
        """The head of the config branch, brought into the checkout once a pass."""
        with self._lock:
            self._fetched = self._fetched or self._config.fetch(self.place.branch)
            return self._fetched

    def _own_view(self, found: wire.MergeRequestWire, head: str, *, fresh: bool = False) -> MergeRequest:
        talk = self._talk(found, head, approvals=_own(found), fresh=fresh)
        facts = wire.Facts(
            head=head,
            has_conflicts=self._conflicts(found, head),
            ci=self._ci(found, head),
            approved_by=talk.approved_by,
            notes=talk.notes,
        )
        return wire.merge_request(found, facts)

    def _listed_view(self, found: wire.MergeRequestWire) -> MergeRequest:
        """A person's: where its versions were just read, they know the head better than the list."""
        talk = self._talk(found, found.sha or "", approvals=False)
        head = talk.head or found.sha or ""
        return wire.merge_request(found, wire.Facts(head, bool(found.has_conflicts), notes=talk.notes))

    def _talk(self, found: wire.MergeRequestWire, head: str, *, approvals: bool, fresh: bool = False) -> Talk:
        with self.place.asking(f"notes of merge request {found.iid}"):
            said = Said(
                Thread.MERGE_REQUEST, found.iid, found.updated_at, found.user_notes_count, head, approvals=approvals
            )
            return self.talks.on(said, fresh=fresh)

    def _ci(self, found: wire.MergeRequestWire, head: str) -> CiStatus:
        """The state of the CI at a head."""
        return ci_status(self.at_head(found, head), head, self._now())

    def at_head(self, found: wire.MergeRequestWire, head: str) -> wire.MergeRequestWire:
        """The merge request with the head as its pipeline's commit, where that is a merge of this very head."""
        pipeline = found.head_pipeline
        if pipeline is None or not pipeline.sha or pipeline.sha == head or not of_merge(pipeline):
            return found
        merged = found.opened and head in self._parents(pipeline.sha)
        return replace(found, head_pipeline=replace(pipeline, sha=head)) if merged else found

    def _parents(self, sha: str) -> Sequence[str]:
        """The parents of a commit, asked for once and for all; none of one that GitLab has no more."""
        name = f"gitlab parents {self.place.api.url} {self.place.path} {sha}"
        kept = self._cache.get(name)
        if kept is not None:
            return kept.decode("utf-8", "replace").split()
        with self.place.asking(f"commit {sha[:12]}"):
            try:
                found = wire.read(wire.CommitWire, self.place.get(f"repository/commits/{sha}")).parent_ids or ()
            except GitlabError as error:
                if missing(error):
                    return ()
                raise
        self._cache.put(name, " ".join(found).encode())
        return found

    def _conflicts(self, found: wire.MergeRequestWire, head: str) -> bool:
        """Whether it conflicts: as GitLab says, or as git finds where GitLab has not come to it yet.

        One of the bot's that GitLab wants rebased conflicts as well: it is rebuilt, or never merged.
        """
        if not found.opened or not head:
            return False
        if _knows(found, head):
            stuck = _own(found) and found.detailed_merge_status in wire.REBUILT
            return bool(found.has_conflicts) or stuck
        try:
            return self.heads.conflicts(found.iid, head, self._base())
        except ServerUnreachable:  # git may be cut off where the API is not; a conflict shows in the next pass
            return bool(found.has_conflicts)


def _own(found: wire.MergeRequestWire) -> bool:
    """Whether it is on a branch of the bot's, in the project itself."""
    return found.source_branch.startswith(PREFIX) and not found.forked


def _knows(found: wire.MergeRequestWire, head: str) -> bool:
    """Whether what GitLab says of merging is about this head."""
    settled = found.detailed_merge_status not in wire.CHECKING and found.sha == head
    return settled or not found.opened or not head
