"""The state of the fake GitLab and what pushes do to it: users, ids, a clock that never stands still, heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from worlds import planted
from worlds.fake_gitlab_git import GitFailure, Repository
from worlds.fake_gitlab_model import (
    DEVELOPER,
    MAINTAINER,
    Issue,
    Mergeability,
    MergeRequest,
    Note,
    Project,
    QuickAction,
    StateEvent,
    User,
    Version,
)

MILLISECOND = timedelta(milliseconds=1)
THROTTLE = timedelta(minutes=1)
"""Notes and approvals move `updated_at` at most this often (GitLab's ThrottledTouch)."""


class State:
    """Everything the server knows; its methods are called under the server's lock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.url = ""
        self.users: dict[str, User] = {}
        self.projects: list[Project] = []
        self.quick_actions: list[QuickAction] = []
        self.stale_lists = 60.0
        """Seconds of the clock for which lists keep the last settled values after a change; 0: lists are true."""
        self.checking_reads = 1
        """How many detail reads answer `checking` after a change."""
        self.old_merges = False
        """Whether merging answers as GitLab did before version 18: other statuses, no merge at once by `auto_merge`."""
        self._ids: Counter[str] = Counter()
        self._last = datetime.min.replace(tzinfo=UTC)

    def new_id(self, kind: str) -> int:
        """A fresh id, rising for each kind over all projects."""
        self._ids[kind] += 1
        return {"note": 9000, "merge_request": 500, "pipeline": 70000, "issue": 300}.get(kind, 0) + self._ids[kind]

    def tick(self) -> datetime:
        """The time of an event: the clock's, but always later than the event before."""
        self._last = max(self.now().astimezone(UTC), self._last + MILLISECOND)
        return self._last

    def user(self, name: str) -> User:
        """The user of this name, who gets an account if there is none."""
        if name not in self.users:
            self.users[name] = User(self.new_id("user"), name, planted.token(f"user-{name}"))
        return self.users[name]

    def add_project(self, path: str, repository: Path, branch: str, members: Mapping[str, int]) -> Project:
        """A project over a bare repository, which is made if it is missing."""
        project = Project(
            self.new_id("project"), path, Repository(repository), branch, self.tick(), dict(members), protected={branch}
        )
        for name in members:
            self.user(name)
        project.heads = project.repository.heads()
        self.projects.append(project)
        return project

    def level(self, project: Project, user: User) -> int:
        """The access level of a user in a project, 0 for none or a blocked one."""
        return 0 if user.state != "active" else project.members.get(user.username, 0)

    def may_push(self, project: Project, user: User, branch: str) -> bool:
        """Whether a user may write a branch."""
        return self.level(project, user) >= (MAINTAINER if branch in project.protected else DEVELOPER)

    def may_merge(self, project: Project, user: User, merge_request: MergeRequest) -> bool:
        """Whether a user may merge into the target branch."""
        return self.may_push(project, user, merge_request.target)

    def touch(self, thing: Issue, *, throttled: bool = False) -> None:
        """Move `updated_at`."""
        when = self.tick()
        if not throttled or when - thing.updated_at >= THROTTLE:
            thing.updated_at = when

    def add_note(self, thing: Issue, user: User, body: str, *, system: bool = False) -> Note:
        """Keep a note."""
        when = self.tick()
        head = thing.sha if isinstance(thing, MergeRequest) else ""
        note = Note(self.new_id("note"), user, body, when, when, system, head)
        thing.notes.append(note)
        self.touch(thing, throttled=True)
        return note

    def add_event(self, thing: Issue, user: User, state: str) -> datetime:
        """Note that somebody closed, reopened or merged."""
        when = self.tick()
        thing.events.append(StateEvent(self.new_id("state_event"), user, state, when))
        thing.updated_at = when
        return when

    def opened(self, project: Project) -> Iterator[MergeRequest]:
        """The open merge requests."""
        return (found for found in list(project.merge_requests.values()) if found.state == "opened")

    def sync_all(self, pusher: User | None = None) -> None:
        """Take in what was pushed to any project, and merge what waited for it."""
        for project in self.projects:
            self.sync(project, pusher)
            for found in self.opened(project):
                if found.auto_merge is not None:
                    self.merge_what_waited(project, found, found.auto_merge)

    def merge_what_waited(self, project: Project, found: MergeRequest, user: User) -> None:
        """Merge what was set to merge by itself, if its last pipeline has succeeded and nothing else is in the way."""
        own = [pipeline for pipeline in project.pipelines.values() if pipeline.merge_request == found.iid]
        green = not own or own[-1].status == "success"
        if green and self.truth(project, found).detailed_merge_status == "mergeable":
            self.merge(project, found, user)

    def sync(self, project: Project, pusher: User | None = None) -> None:
        """Take in what was pushed: heads of merge requests, merges made by hand, targets that moved."""
        old, new = project.heads, project.repository.heads()
        project.heads = new
        for found in self.opened(project):
            head = (new if found.fork is None else found.fork.heads()).get(found.source, "")
            if head and head != found.sha:
                self._pushed(project, found, head, pusher)
            elif not head and found.fork is None and found.source in old:
                user = pusher or self.user("git")
                self.add_note(found, user, f"deleted source branch `{found.source}`", system=True)
                self.close(found, user)
                continue
            before, after = old.get(found.target, ""), new.get(found.target, "")
            if before == after:
                continue
            self.unsettle(found)
            repository = project.repository
            if repository.is_ancestor(found.sha, after) and not repository.is_ancestor(found.sha, before):
                self.mark_merged(found, self._author(project, after, pusher), after)

    def close(self, thing: Issue, user: User) -> None:
        """Close what is open; GitLab does so itself when the source branch of a merge request is deleted."""
        thing.state = "closed"
        thing.closed_by = user
        thing.closed_at = self.add_event(thing, user, "closed")

    def unsettle(self, merge_request: MergeRequest) -> None:
        """Its merge status has to be worked out anew."""
        merge_request.changed_at = self.tick()
        merge_request.checks_left = self.checking_reads

    def mark_merged(self, merge_request: MergeRequest, user: User, commit: str) -> None:
        """It is merged, by this commit of the target branch."""
        merge_request.state = "merged"
        merge_request.merged_by = user
        merge_request.merge_commit = commit
        merge_request.auto_merge = None
        merge_request.merged_at = self.add_event(merge_request, user, "merged")

    def add_version(self, project: Project, merge_request: MergeRequest) -> None:
        """Keep what was pushed as a version, and let it be fetched from `refs/merge-requests/IID/head`."""
        repository, head = project.repository, merge_request.sha
        if merge_request.fork is not None:
            repository.git("fetch", "--quiet", "--no-write-fetch-head", str(merge_request.fork.path), head)
        start = project.heads.get(merge_request.target, "")
        base = repository.merge_base(start, head) if start else ""
        version = Version(self.new_id("version"), head, base, start, self.tick())
        merge_request.versions.append(version)
        repository.update({f"refs/merge-requests/{merge_request.iid}/head": (head, None)})

    def _pushed(self, project: Project, merge_request: MergeRequest, head: str, pusher: User | None) -> None:
        """A merge request's branch moved."""
        old, merge_request.sha = merge_request.sha, head
        self.add_version(project, merge_request)
        user = self._author(project, head, pusher)
        commits = project.repository.between(old, head)
        count = "1 commit" if len(commits) == 1 else f"{len(commits)} commits"
        lines = "".join(f"<li>{commit.sha[:8]} - {commit.title}</li>" for commit in commits)
        self.add_note(merge_request, user, f"added {count}\n\n<ul>{lines}</ul>", system=True)
        if project.reset_approvals_on_push and merge_request.approvals:
            merge_request.approvals.clear()
            self.add_note(merge_request, user, "reset approvals by pushing to the branch", system=True)
        if merge_request.auto_merge is not None:
            merge_request.auto_merge = None
            text = "aborted the automatic merge because the source branch was updated"
            self.add_note(merge_request, user, text, system=True)
        self.unsettle(merge_request)
        self.touch(merge_request)

    def _author(self, project: Project, head: str, pusher: User | None) -> User:
        """Who pushed: the one that HTTP knows, else the commit's author where there is such a user."""
        if pusher is not None:
            return pusher
        return self.user(project.repository.commit(head).author.replace(" ", "-"))

    def truth(self, project: Project, merge_request: MergeRequest) -> Mergeability:
        """The merge status as it is now, worked out by git."""
        if merge_request.state != "opened":
            status = "can_be_merged" if merge_request.state == "merged" else "cannot_be_merged"
            if merge_request.state == "closed" and not merge_request.listed.has_conflicts:
                status = "can_be_merged"
            return Mergeability(merge_request.sha, merge_request.listed.has_conflicts, status, "not_open")
        target = project.heads.get(merge_request.target, "")
        gone = merge_request.fork is None and merge_request.source not in project.heads
        conflicts = bool(target) and project.repository.conflicts(target, merge_request.sha)
        mergeable = not conflicts and bool(target) and not gone
        return Mergeability(
            merge_request.sha,
            conflicts,
            "can_be_merged" if mergeable else "cannot_be_merged",
            self._detailed(project, merge_request, conflicts=conflicts, broken=gone or not target),
        )

    def _detailed(self, project: Project, found: MergeRequest, *, conflicts: bool, broken: bool) -> str:
        """The first check that fails, in GitLab's order."""
        if found.draft:
            return "draft_status"
        if broken or project.repository.is_ancestor(found.sha, project.heads.get(found.target, "")):
            return "commits_status"
        if len(found.approvals) < project.approvals_required:
            return "not_approved"
        if conflicts:
            return "conflict"
        return self._ci_check(project, found) or "mergeable"

    def _ci_check(self, project: Project, found: MergeRequest) -> str:
        """What the CI keeps from being merged, where the project asks for it."""
        if not project.pipelines_must_succeed:
            return ""
        own = [p for p in project.pipelines.values() if p.merge_request == found.iid and p.sha == found.sha]
        status = own[-1].status if own else ""
        if status in {"success", "skipped"}:
            return ""
        return "ci_must_pass" if status in {"failed", "canceled", ""} else "ci_still_running"

    def settle(self, project: Project, merge_request: MergeRequest, *, read: bool) -> Mergeability:
        """What a detail tells: `checking` for as many reads as are left, then the truth, which lists show too."""
        if merge_request.state == "opened" and merge_request.checks_left > 0:
            merge_request.checks_left -= read
            return Mergeability(
                merge_request.sha, has_conflicts=False, merge_status="checking", detailed_merge_status="checking"
            )
        merge_request.listed = self.truth(project, merge_request)
        return merge_request.listed

    def listing(self, project: Project, merge_request: MergeRequest) -> Mergeability:
        """What lists tell: the last settled values, until the change is old enough."""
        changed = merge_request.changed_at
        young = changed is not None and (self.now() - changed).total_seconds() < self.stale_lists
        return merge_request.listed if young and merge_request.state == "opened" else self.truth(project, merge_request)

    def merge(self, project: Project, merge_request: MergeRequest, user: User, message: str = "") -> str:
        """Merge with a merge commit and delete the source branch if wanted; empty, or why it was not merged."""
        repository, base = project.repository, project.heads.get(merge_request.target, "")
        tree = repository.merge_tree(base, merge_request.sha) if base else ""
        if not tree:
            return "Branch cannot be merged"
        text = message or (
            f"Merge branch '{merge_request.source}' into '{merge_request.target}'\n\n{merge_request.title}\n\n"
            f"See merge request {project.path}!{merge_request.iid}\n"
        )
        who = (user.username, f"{user.username}@localhost")
        commit = repository.write_commit(tree, (base, merge_request.sha), text, who, who, self.tick())
        try:
            repository.update({f"refs/heads/{merge_request.target}": (commit, base)})
        except GitFailure as failure:
            return f"Something went wrong during merge: {failure}"
        self.mark_merged(merge_request, user, commit)
        if merge_request.remove_source and merge_request.fork is None:
            self.delete_branch(project, merge_request.source)
        self.sync(project, user)
        return ""

    def delete_branch(self, project: Project, branch: str) -> None:
        """Delete a branch if it is there; `sync` sees what comes of it."""
        if branch in project.repository.heads():
            project.repository.update({f"refs/heads/{branch}": ("", None)})
