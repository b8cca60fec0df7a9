"""The people of the fake GitHub: what they do at its pages, and what they see there, from the server's own truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worlds.fake_github_desk import Desk
from worlds.fake_github_model import CheckRun, Comment, CommitStatus, Project, Pull
from worlds.fake_github_model import Issue as StoredIssue
from worlds.fake_http import Refusal

from bot.model.observed import CiStatus, Issue, MergeRequest, MergeRequestStatus, Note
from bot.ports import Refused


@dataclass(frozen=True)
class GitHubPeople:
    """Anybody who acts on one repository, with the methods of `LocalPeople`; nobody's role is asked.

    `bots` are the logins that the bot under test may have. Every method may be called while the server runs.
    """

    desk: Desk
    project: Project
    bots: frozenset[str]

    def list_all(self) -> tuple[MergeRequest, ...]:
        """Every pull request in any state, by number."""
        with self._looking():
            return tuple(self._view(pull) for pull in self.project.pulls)

    def show(self, iid: int) -> MergeRequest | None:
        """One pull request, or None if there is no such."""
        with self._looking():
            pull = self.project.issues.get(iid)
            return self._view(pull) if isinstance(pull, Pull) else None

    def open_as(
        self, user: str, branch: str, title: str, description: str = "", *, draft: bool = False
    ) -> MergeRequest | Refused:
        """Open a pull request for a branch that was pushed (`owner:branch` of a fork), or return the open one."""
        with self._looking():
            label = branch if ":" in branch else f"{self.project.owner}:{branch}"
            for pull in self.project.pulls:
                ends = (self.desk.shapes.head_label(self.project, pull), pull.base_ref)
                if pull.state == "open" and ends == (label, self.project.default_branch):
                    return self._view(pull)
            who, base = self.desk.world.user(user), self.project.default_branch
            try:
                pull = self.desk.world.open_pull(self.project, who, branch, base, title, description, draft=draft)
            except Refusal as refusal:
                return _refused(refusal)
            return self._view(pull)

    def comment_as(self, user: str, iid: int, text: str) -> Note | Refused:
        """Write a comment on a pull request."""
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            return self._note(self.desk.world.comment(pull, self.desk.world.user(user), text))

    def edit_comment_as(self, user: str, iid: int, note_id: str, text: str, by: str = "") -> Note | Refused:
        """Change a comment, whosever it is, also on the dashboard; `by` is who does so where that is not `user`."""
        del user, by  # GitHub's REST API shows nowhere who edited
        with self._looking():
            issue = self.project.issues.get(iid)
            for comment in issue.comments if issue else ():
                if str(comment.id) == note_id and issue:
                    return self._note(self.desk.world.edit_comment(issue, comment, text))
            return Refused(f"there is no comment {note_id} on {iid}")

    def comment_dashboard_as(self, user: str, text: str) -> Note | Refused:
        """Write a comment on the dashboard: the newest open issue of the bot."""
        with self._looking():
            issue = self._dashboard()
            if issue is None:
                return Refused("there is no dashboard")
            return self._note(self.desk.world.comment(issue, self.desk.world.user(user), text))

    def dashboard(self) -> Issue | None:
        """The dashboard with its comments."""
        with self._looking():
            issue = self._dashboard()
            if issue is None:
                return None
            page = self.desk.shapes.thread_page(self.project, issue.number)
            return Issue(issue.number, issue.body or "", page, tuple(map(self._note, issue.comments)))

    def _dashboard(self) -> StoredIssue | None:
        mine = (each for each in self.project.issues.values() if each.user.login in self.bots and each.state == "open")
        return max((each for each in mine if not isinstance(each, Pull)), key=lambda each: each.number, default=None)

    def set_ci(self, iid: int, word: CiStatus) -> MergeRequest | Refused:
        """Say what the CI has to say of the present head, as a check called `ci`; auto-merge may follow."""
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            world, when = self.desk.world, self.desk.world.tick()
            if word is CiStatus.NONE:
                self.project.checks = [run for run in self.project.checks if run.sha != pull.head_sha]
                return self._view(pull)
            conclusion = {CiStatus.SUCCESS: "success", CiStatus.FAILED: "failure"}.get(word)
            status, end = ("completed", when) if conclusion else ("in_progress", None)
            run = CheckRun(world.id(), "ci", pull.head_sha, status, conclusion, when, end)
            self.project.checks.append(run)
            world.proceed(self.project, pull)
            return self._view(pull)

    def set_status(self, sha: str, context: str, state: str) -> None:
        """Give a commit a status of the older kind: error, failure, pending or success."""
        with self._looking():
            world = self.desk.world
            status = CommitStatus(world.id(), context, state, world.tick())
            self.project.statuses.setdefault(sha, []).append(status)
            for pull in self.project.pulls:
                world.proceed(self.project, pull)

    def set_draft(self, iid: int, *, draft: bool) -> MergeRequest | Refused:
        """Make it a draft, or ready."""
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            if pull.draft != draft:
                pull.draft, pull.updated_at = draft, self.desk.world.tick()
            return self._view(pull)

    def set_label(self, iid: int, label: str, *, on: bool) -> MergeRequest | Refused:
        """Put a label on, or take it off."""
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            others = [each for each in pull.labels if each.name != label]
            pull.labels = [*others, self.desk.world.label(self.project, label)] if on else others
            pull.updated_at = self.desk.world.tick()
            return self._view(pull)

    def approve_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Approve it; once more changes nothing."""
        return self._reviewed(user, iid, "APPROVED")

    def request_changes_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Ask for changes, which takes an approval back."""
        return self._reviewed(user, iid, "CHANGES_REQUESTED")

    def merge_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Merge whatever the head is now, past all rules, and delete the branch."""
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            world, who = self.desk.world, self.desk.world.user(user)
            try:
                world.merge(self.project, pull, who, rules=False)
            except Refusal as refusal:
                return _refused(refusal)
            if pull.head_project is self.project and pull.head_ref in self.project.heads:
                world.move(self.project, pull.head_ref, "", who)
            return self._view(pull)

    def close_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Close it; the branch stays."""
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            if pull.merged:
                return Refused(f"pull request {iid} is merged already")
            self.desk.world.close(pull, self.desk.world.user(user))
            return self._view(pull)

    def reopen_as(self, user: str, iid: int) -> MergeRequest | Refused:
        """Open it again."""
        del user
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            try:
                if pull.state == "closed":
                    self.desk.world.reopen(self.project, pull)
            except Refusal as refusal:
                return _refused(refusal)
            return self._view(pull)

    def _reviewed(self, user: str, iid: int, state: str) -> MergeRequest | Refused:
        with self._looking():
            pull = self._pull(iid)
            if isinstance(pull, Refused):
                return pull
            if state != "APPROVED" or user not in self.desk.world.approvers(pull):
                try:
                    self.desk.world.review(self.project, pull, self.desk.world.user(user), state)
                except Refusal as refusal:
                    return _refused(refusal)
            return self._view(pull)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Under the server's lock, with everything noticed that was pushed."""
        with self.desk.lock:
            self.desk.world.sync()
            yield

    def _pull(self, iid: int) -> Pull | Refused:
        pull = self.project.issues.get(iid)
        return pull if isinstance(pull, Pull) else Refused(f"there is no pull request {iid}")

    def _view(self, pull: Pull) -> MergeRequest:
        world, project = self.desk.world, self.project
        state = MergeRequestStatus.OPENED if pull.state == "open" else MergeRequestStatus.CLOSED
        state = MergeRequestStatus.MERGED if pull.merged else state
        closed = state is MergeRequestStatus.CLOSED and pull.closed_by is not None
        return MergeRequest(
            pull.number,
            pull.title,
            state,
            pull.head_ref if pull.head_project is project else self.desk.shapes.head_label(project, pull),
            pull.base_ref,
            pull.head_sha,
            pull.user.login,
            pull.body or "",
            tuple(label.name for label in pull.labels),
            pull.draft,
            state is MergeRequestStatus.OPENED and world.conflicts(project, pull),
            world.ci(project, pull.head_sha),
            tuple(world.approvers(pull)),
            pull.auto_merge is not None,
            closed_by=pull.closed_by.login if closed and pull.closed_by else "",
            url=self.desk.shapes.pull_page(project, pull),
            notes=tuple(map(self._note, pull.comments)),
        )

    def _note(self, comment: Comment) -> Note:
        return Note(
            str(comment.id),
            comment.user.login,
            comment.body,
            comment.created_at,
            bot=comment.user.bot or comment.user.login in self.bots,
            head=comment.head,
            edited=comment.updated_at > comment.created_at,
        )


def _refused(refusal: Refusal) -> Refused:
    body = refusal.answer.body
    said = [error["message"] for error in body.get("errors", ()) if "message" in error]
    return Refused(said[0] if said else body["message"])
