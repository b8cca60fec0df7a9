"""What the fake GitHub keeps: users, repositories, issues, pull requests, comments, checks, workflow runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from worlds.fake_github_git import BareRepository

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
"""Roles in a repository, rising."""

PERMISSION = {"none": "none", "read": "read", "triage": "read", "write": "write", "maintain": "write", "admin": "admin"}
"""The old word that `permission` has for a role."""


def at_least(role: str, wanted: str) -> bool:
    """Whether a role includes another."""
    return ROLES.index(role) >= ROLES.index(wanted)


@dataclass(frozen=True)
class User:
    """An account; apps act as a user of type Bot whose login ends in `[bot]`."""

    id: int
    login: str
    bot: bool = False


@dataclass(frozen=True)
class Identity:
    """Whom a token stands for; `installation` are an app's tokens, `actions` the token that a workflow is given."""

    user: User
    kind: Literal["user", "installation", "actions"] = "user"


@dataclass(frozen=True)
class Reaction:
    """An emoji on a comment."""

    id: int
    user: User
    content: str
    created_at: datetime


@dataclass
class Comment:
    """A comment on an issue or pull request; `head` is the pull request's head when it was written."""

    id: int
    number: int
    user: User
    body: str
    created_at: datetime
    updated_at: datetime
    head: str = ""
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(frozen=True)
class Label:
    """A label of a repository."""

    id: int
    name: str


@dataclass(frozen=True)
class Review:
    """Somebody reviewed a head; `state` is APPROVED, CHANGES_REQUESTED, COMMENTED or DISMISSED."""

    id: int
    user: User
    state: str
    body: str
    commit: str
    submitted_at: datetime


@dataclass(frozen=True)
class AutoMerge:
    """Somebody set it to merge when its requirements are met."""

    user: User
    method: str
    title: str
    message: str


@dataclass
class Issue:
    """An issue; pull requests are issues too and share their numbers."""

    id: int
    number: int
    user: User
    title: str
    body: str | None
    created_at: datetime
    updated_at: datetime
    labels: list[Label] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    state: str = "open"
    state_reason: str | None = None
    closed_at: datetime | None = None
    closed_by: User | None = None


@dataclass
class Pull(Issue):
    """A pull request; the head is kept when it is closed, `head_project` differs from its own for a fork."""

    head_ref: str = ""
    head_sha: str = ""
    head_project: Project | None = None
    base_ref: str = ""
    base_sha: str = ""
    draft: bool = False
    merged_at: datetime | None = None
    merged_by: User | None = None
    merge_commit: str | None = None
    auto_merge: AutoMerge | None = None
    reviews: list[Review] = field(default_factory=list)
    worked_out: tuple[str, str] = ("", "")
    """The (head, base) whose mergeability the server is at work on, or has worked out."""
    unknown_left: int = 0
    """How many reads in detail still answer that mergeability is not known."""

    @property
    def merged(self) -> bool:
        """Whether it was merged."""
        return self.merged_at is not None


@dataclass(frozen=True)
class Activity:
    """Something that happened to a branch."""

    id: int
    ref: str
    before: str
    after: str
    kind: str
    actor: User
    timestamp: datetime


@dataclass
class CheckRun:
    """One check of a commit."""

    id: int
    name: str
    sha: str
    status: str
    conclusion: str | None
    started_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True)
class CommitStatus:
    """One status of a commit: state is error, failure, pending or success."""

    id: int
    context: str
    state: str
    created_at: datetime


@dataclass
class WorkflowRun:
    """One run of a workflow; `hidden` is how many reads of lists still do not show it."""

    id: int
    number: int
    project: Project
    workflow: int
    path: str
    name: str
    title: str
    event: str
    branch: str
    sha: str
    actor: User
    inputs: Mapping[str, Any]
    jobs: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    started_at: datetime
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    hidden: int = 0
    head: Project | None = None
    """The fork whose branch it built; None for the repository itself."""


@dataclass
class Rules:
    """What protects the default branch; mergeability is `blocked` or `behind` until it is met."""

    approvals: int = 0
    checks: bool = False
    """Whether the head needs a successful CI."""
    up_to_date: bool = False
    dismiss_stale: bool = False
    """Whether a push takes approvals back."""


@dataclass(eq=False)
class Project:
    """A repository; `heads` are its branches as the server last saw them."""

    id: int
    full_name: str
    repository: BareRepository
    created_at: datetime
    default_branch: str = "main"
    private: bool = True
    members: dict[str, str] = field(default_factory=dict)
    parent: Project | None = None
    rules: Rules = field(default_factory=Rules)
    allow_auto_merge: bool = True
    delete_branch_on_merge: bool = False
    heads: dict[str, str] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    checks: list[CheckRun] = field(default_factory=list)
    statuses: dict[str, list[CommitStatus]] = field(default_factory=dict)
    workflows: dict[str, int] = field(default_factory=dict)
    """Workflow ids by path."""

    @property
    def owner(self) -> str:
        """The account it belongs to."""
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        """The name without its owner."""
        return self.full_name.partition("/")[2]

    @property
    def pulls(self) -> list[Pull]:
        """The pull requests by number."""
        return [each for each in self.issues.values() if isinstance(each, Pull)]

    def role(self, login: str) -> str:
        """The role of a user; everybody reads what is public."""
        role = self.members.get(login, "none")
        return "read" if role == "none" and not self.private else role
