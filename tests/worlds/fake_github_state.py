"""What happens in the fake GitHub, whoever asks for it: branches move, pull requests open, merge and close.

All of it is called under the server's lock. What GitHub would refuse raises `Refusal` with GitHub's own answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from worlds.fake_github_git import HEADS, NO_COMMIT, BareRepository, GitFailure, Signature
from worlds.fake_github_model import Activity, AutoMerge, Comment, Issue, Label, Project, Pull, Review, User, at_least
from worlds.fake_http import Refusal

from bot.model.observed import CiStatus

FAILED = {"failure", "cancelled", "timed_out", "action_required", "error"}
MODIFIED = "Head branch was modified. Review and try the merge again."


def invalid(message: str, *errors: Mapping[str, str]) -> Refusal:
    """GitHub's 422."""
    body = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    return Refusal(422, body | ({"errors": [dict(error) for error in errors]} if errors else {}))


def denied(status: int, message: str) -> Refusal:
    """GitHub's no."""
    return Refusal(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})


class World:
    """Users and repositories. Times have whole seconds and rise with every event, ids rise over everything."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last = datetime.min.replace(tzinfo=UTC)
        self._ids = itertools.count(1001)
        self.unknown_reads = 1
        """How many reads in detail tell nothing of mergeability after a head or base has moved."""
        self.edits_touch = True
        """Whether an edited comment moves `updated_at` of what it stands on; GitHub's documents do not say."""
        self.users: dict[str, User] = {}
        self.projects: dict[str, Project] = {}
        self.announced: dict[tuple[str, str, str], tuple[User, str]] = {}
        """Who is about to move which branch of which repository to what, and the kind of activity that is."""

    def tick(self) -> datetime:
        """The time of the next event."""
        self._last = max(self._now().astimezone(UTC).replace(microsecond=0), self._last + timedelta(seconds=1))
        return self._last

    def id(self) -> int:
        """A fresh id."""
        return next(self._ids)

    def user(self, login: str) -> User:
        """The account of this login; an unknown one is made."""
        if login not in self.users:
            self.users[login] = User(self.id(), login, login.endswith("[bot]"))
        return self.users[login]

    def add(self, path: Path, full_name: str, members: Mapping[str, str], *, private: bool, branch: str) -> Project:
        """A repository over a bare one."""
        project = Project(self.id(), full_name, BareRepository(path), self.tick(), branch, private, dict(members))
        project.heads = project.repository.heads()
        self.projects[full_name] = project
        return project

    def sync(self) -> None:
        """Notice what was pushed since the last look; whoever is not announced is the author of what was pushed."""
        for project in self.projects.values():
            heads = project.repository.heads()
            before, project.heads = project.heads, heads
            # the default branch first: what a push merges is merged before the same push deletes its branch
            for branch in sorted(set(before) | set(heads), key=lambda name: (name != project.default_branch, name)):
                if before.get(branch) != heads.get(branch):
                    self._moved(project, branch, before.get(branch, ""), heads.get(branch, ""))

    def move(self, project: Project, branch: str, new: str, actor: User, *, kind: str = "") -> None:
        """Put a branch somewhere, or delete it, as this user."""
        self.sync()
        self.announced[(project.full_name, branch, new)] = (actor, kind)
        try:
            project.repository.move(HEADS + branch, new, project.heads.get(branch, ""))
        except GitFailure as failure:
            del self.announced[(project.full_name, branch, new)]
            raise invalid(f"Reference update failed: {failure}") from failure
        self.sync()

    def _moved(self, project: Project, branch: str, before: str, after: str) -> None:
        """One branch moved: activity, heads of pull requests, merges that a push completes."""
        who = project.repository.commit(after or before).author.name
        actor, kind = self.announced.pop((project.full_name, branch, after), (self.user(who), ""))
        kind = kind or _kind(project, before, after)
        ref, when = HEADS + branch, self.tick()
        ends = (before or NO_COMMIT, after or NO_COMMIT)
        project.activities.append(Activity(self.id(), ref, *ends, kind, actor, when))
        for base in self.projects.values():
            for pull in base.pulls:
                if pull.state != "open":
                    continue
                if pull.head_project is project and pull.head_ref == branch:
                    self._head_moved(base, pull, after, actor)
                elif base is project and pull.base_ref == branch:
                    self._base_moved(base, pull, after, actor)

    def _head_moved(self, project: Project, pull: Pull, after: str, actor: User) -> None:
        if not after:
            self.close(pull, actor)
            return
        pull.head_sha, pull.updated_at = after, self.tick()
        pull.base_sha = project.heads.get(pull.base_ref, pull.base_sha)
        self._keep_head(project, pull)
        if project.rules.dismiss_stale:
            pull.reviews = [Review(r.id, r.user, "DISMISSED", r.body, r.commit, r.submitted_at) for r in pull.reviews]
        if project.repository.is_ancestor(after, project.heads.get(pull.base_ref, "")):
            self.close(pull, actor)

    def _base_moved(self, project: Project, pull: Pull, after: str, actor: User) -> None:
        if not after:
            self.close(pull, actor)
        elif project.repository.is_ancestor(pull.head_sha, after):
            self._set_merged(pull, after, actor)

    def _keep_head(self, project: Project, pull: Pull) -> None:
        """Make `refs/pull/N/head` the head, brought over from a fork."""
        ref = f"refs/pull/{pull.number}/head"
        if pull.head_project is not None and pull.head_project is not project:
            source = str(pull.head_project.repository.path)
            project.repository.git("fetch", "--quiet", source, f"+{HEADS}{pull.head_ref}:{ref}")
        else:
            project.repository.move(ref, pull.head_sha)

    def label(self, project: Project, name: str) -> Label:
        """A label of the repository; an unknown one is made, as GitHub does."""
        return project.labels.setdefault(name, Label(self.id(), name))

    def open_issue(self, project: Project, user: User, title: str, body: str | None, labels: Sequence[str]) -> Issue:
        """A new issue."""
        when, number = self.tick(), max(project.issues, default=0) + 1
        issue = Issue(self.id(), number, user, title, body, when, when, [self.label(project, name) for name in labels])
        project.issues[number] = issue
        return issue

    def open_pull(
        self, project: Project, user: User, head: str, base: str, title: str, body: str | None, *, draft: bool
    ) -> Pull:
        """A new pull request from `branch` or `owner:branch`."""
        owner, _, branch = head.rpartition(":")
        forks = (each for each in self.projects.values() if each.owner == owner and each.parent is project)
        source = project if owner in {"", project.owner} else next(forks, None)
        sha = source.heads.get(branch, "") if source else ""
        for name, found in (("head", sha), ("base", project.heads.get(base, ""))):
            if not found:
                raise invalid("Validation Failed", {"resource": "PullRequest", "field": name, "code": "invalid"})
        label = f"{source.owner if source else owner}:{branch}"
        for pull in project.pulls:
            if (pull.state, pull.head_project, pull.head_ref, pull.base_ref) == ("open", source, branch, base):
                raise _custom(f"A pull request already exists for {label}.")
        if source is project and project.repository.is_ancestor(sha, project.heads[base]):
            raise _custom(f"No commits between {base} and {branch}")
        when, number = self.tick(), max(project.issues, default=0) + 1
        pull = Pull(self.id(), number, user, title, body, when, when)
        pull.head_ref, pull.head_sha, pull.head_project, pull.draft = branch, sha, source, draft
        pull.base_ref, pull.base_sha = base, project.heads[base]
        self._keep_head(project, pull)
        project.issues[number] = pull
        return pull

    def comment(self, issue: Issue, user: User, body: str) -> Comment:
        """A new comment."""
        when = self.tick()
        head = issue.head_sha if isinstance(issue, Pull) else ""
        comment = Comment(self.id(), issue.number, user, body, when, when, head)
        issue.comments.append(comment)
        issue.updated_at = when
        return comment

    def edit_comment(self, issue: Issue, comment: Comment, body: str) -> Comment:
        """Another text."""
        comment.body, comment.updated_at = body, self.tick()
        if self.edits_touch:
            issue.updated_at = comment.updated_at
        return comment

    def review(self, project: Project, pull: Pull, user: User, state: str) -> Review:
        """A review of the present head; auto-merge may follow."""
        if user == pull.user:
            raise invalid("Unprocessable Entity: Can not approve your own pull request")
        pull.updated_at = self.tick()
        review = Review(self.id(), user, state, "", pull.head_sha, pull.updated_at)
        pull.reviews.append(review)
        self.proceed(project, pull)
        return review

    def close(self, issue: Issue, user: User) -> None:
        """Close what is open."""
        if issue.state == "open":
            issue.state, issue.closed_by, issue.closed_at = "closed", user, self.tick()
            issue.state_reason = None if isinstance(issue, Pull) else "completed"
            issue.updated_at = issue.closed_at
            if isinstance(issue, Pull):
                issue.auto_merge = None

    def reopen(self, project: Project, issue: Issue) -> None:
        """Open what is closed; a pull request only with its branch."""
        if isinstance(issue, Pull):
            if issue.merged or issue.head_project is None or issue.head_ref not in issue.head_project.heads:
                raise invalid("Validation Failed", {"resource": "PullRequest", "code": "invalid", "field": "state"})
            issue.head_sha = issue.head_project.heads[issue.head_ref]
            issue.base_sha = project.heads.get(issue.base_ref, "")
            self._keep_head(project, issue)
        issue.state, issue.closed_at, issue.closed_by, issue.updated_at = "open", None, None, self.tick()
        issue.state_reason = None if isinstance(issue, Pull) else "reopened"

    def _set_merged(self, pull: Pull, commit: str, user: User) -> None:
        self.close(pull, user)
        pull.merged_at, pull.merged_by, pull.merge_commit = pull.closed_at, user, commit

    def ci(self, project: Project, sha: str) -> CiStatus:
        """What checks and statuses say of a commit together, the newest of each name."""
        checks = {run.name: run for run in project.checks if run.sha == sha}.values()
        words = [run.conclusion or "pending" for run in checks]
        words += {status.context: status.state for status in project.statuses.get(sha, ())}.values()
        if any(word in FAILED for word in words):
            return CiStatus.FAILED
        if "pending" in words:
            return CiStatus.RUNNING
        return CiStatus.SUCCESS if words else CiStatus.NONE

    def approvers(self, pull: Pull) -> list[str]:
        """Who approves, by each one's last review that says so or otherwise."""
        last = {r.user.login: r.state for r in pull.reviews if r.state != "COMMENTED"}
        return [login for login, state in last.items() if state == "APPROVED"]

    def conflicts(self, project: Project, pull: Pull) -> bool:
        """Whether git cannot merge it."""
        base = project.heads.get(pull.base_ref, "")
        return bool(base) and not project.repository.merge_tree(base, pull.head_sha)

    def merge_state(self, project: Project, pull: Pull) -> str:
        """The true `mergeable_state` of an open pull request."""
        if self.conflicts(project, pull):
            return "dirty"
        if pull.draft:
            return "draft"
        rules = project.rules if pull.base_ref == project.default_branch else type(project.rules)()
        if self._unmet(project, pull):
            return "blocked"
        if rules.up_to_date and not project.repository.is_ancestor(project.heads[pull.base_ref], pull.head_sha):
            return "behind"
        green = self.ci(project, pull.head_sha) in {CiStatus.SUCCESS, CiStatus.NONE}
        return "clean" if green else "unstable"

    def _unmet(self, project: Project, pull: Pull) -> str:
        """What the rules still ask for, in GitHub's words, or empty."""
        if pull.base_ref != project.default_branch:
            return ""
        reviews = {review.user.login: review.state for review in pull.reviews if review.state != "COMMENTED"}
        with_write = [name for name in self.approvers(pull) if at_least(project.role(name), "write")]
        if project.rules.approvals > len(with_write):
            wanted = project.rules.approvals
            return f"At least {wanted} approving review is required by reviewers with write access."
        if project.rules.approvals and "CHANGES_REQUESTED" in reviews.values():
            return "Changes have been requested."
        if project.rules.checks and self.ci(project, pull.head_sha) is not CiStatus.SUCCESS:
            return 'Required status check "ci" is expected.'
        return ""

    def mergeability(self, project: Project, pull: Pull, *, reading: bool) -> tuple[bool | None, str]:
        """`mergeable` and `mergeable_state` as a detail answer tells them; the first reads after a change do not."""
        if pull.state != "open":
            return None, "unknown"
        key = (pull.head_sha, project.heads.get(pull.base_ref, ""))
        if key != pull.worked_out:
            pull.worked_out, pull.unknown_left = key, self.unknown_reads
        if pull.unknown_left > 0:
            pull.unknown_left -= reading
            return None, "unknown"
        state = self.merge_state(project, pull)
        return state != "dirty", state

    def merge(
        self, project: Project, pull: Pull, user: User, *, method: str = "merge", title: str = "", text: str = "",
        rules: bool = True
    ) -> str:  # fmt: skip
        """Merge with a real commit and return it; `rules` are what protects the branch."""
        self.sync()
        state = self.merge_state(project, pull) if pull.state == "open" else "closed"
        if state in {"closed", "dirty"}:
            raise denied(405, "Pull Request is not mergeable")
        if state == "draft":
            raise denied(405, "Pull Request is still a draft")
        if rules and state in {"blocked", "behind"}:
            unmet = self._unmet(project, pull) or "Head branch is out of date."
            raise denied(405, f"Repository rule violations found\n\n{unmet}\n\n")
        if method == "rebase":
            raise denied(405, "Rebase merges are not allowed on this repository.")
        commit = self._merge_commit(project, pull, user, method, (title, text))
        self.move(project, pull.base_ref, commit, user, kind="pr_merge")
        if not pull.merged:  # a squash, which the branch's new head does not show
            self._set_merged(pull, commit, user)
        if project.delete_branch_on_merge and pull.head_project is project:
            self.move(project, pull.head_ref, "", user)
        return commit

    def _merge_commit(self, project: Project, pull: Pull, user: User, method: str, words: tuple[str, str]) -> str:
        base = project.heads[pull.base_ref]
        tree = project.repository.merge_tree(base, pull.head_sha)
        who = Signature(
            user.login, f"{user.id}+{user.login}@users.noreply.example", f"{self.tick():%Y-%m-%dT%H:%M:%SZ}"
        )
        owner = pull.head_project.owner if pull.head_project else project.owner
        squash = method == "squash"
        title = f"{pull.title} (#{pull.number})" if squash else (
            f"Merge pull request #{pull.number} from {owner}/{pull.head_ref}"
        )  # fmt: skip
        message = f"{words[0] or title}\n\n{words[1] or ('' if squash else pull.title)}".rstrip()
        parents = (base,) if squash else (base, pull.head_sha)
        return project.repository.write_commit(tree, parents, message, who, who)

    def set_auto_merge(self, project: Project, pull: Pull, wanted: AutoMerge) -> str:
        """Set it to merge when it may; a sentence if GitHub refuses."""
        if not project.allow_auto_merge:
            return "Auto merge is not allowed for this repository"
        if pull.state != "open" or wanted.method == "rebase":
            return "Can't enable auto-merge for this pull request."
        state = self.merge_state(project, pull)
        if state in {"clean", "unstable", "draft", "dirty"}:
            return f"Pull request is in {state} status"
        pull.auto_merge, pull.updated_at = wanted, self.tick()
        return ""

    def proceed(self, project: Project, pull: Pull) -> None:
        """Merge what is set to merge by itself and may."""
        wanted = pull.auto_merge
        if wanted and pull.state == "open" and self.merge_state(project, pull) in {"clean", "unstable"}:
            self.merge(project, pull, wanted.user, method=wanted.method, title=wanted.title, text=wanted.message)


def _custom(message: str) -> Refusal:
    return invalid("Validation Failed", {"resource": "PullRequest", "code": "custom", "message": message})


def _kind(project: Project, before: str, after: str) -> str:
    """What happened to a branch that moved."""
    if not before or not after:
        return "branch_creation" if after else "branch_deletion"
    return "push" if project.repository.is_ancestor(before, after) else "force_push"
