"""What the fake GitLab keeps: users, projects, merge requests, notes, issues, pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worlds.fake_gitlab_git import Repository

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 10, 20, 30, 40, 50

ACTIVE = frozenset(
    {"created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "scheduled"}
)
"""Statuses of a pipeline that has not come to its end."""


@dataclass
class User:
    """Somebody with an account; `token` is good for the API and, as a password, for git."""

    id: int
    username: str
    token: str
    state: str = "active"
    bot: bool = False


@dataclass
class Award:
    """An emoji on a note."""

    id: int
    name: str
    user: User
    created_at: datetime


@dataclass
class Note:
    """A comment or a system note; `head` is the merge request's head when it was written."""

    id: int
    author: User
    body: str
    created_at: datetime
    updated_at: datetime
    system: bool = False
    head: str = ""
    edited_at: datetime | None = None
    """When its words were last changed; reactions move `updated_at` alone."""
    awards: list[Award] = field(default_factory=list)


@dataclass(frozen=True)
class Version:
    """One pushed state of a merge request."""

    id: int
    head: str
    base: str
    start: str
    created_at: datetime


@dataclass(frozen=True)
class StateEvent:
    """Somebody closed, reopened or merged."""

    id: int
    user: User
    state: str
    created_at: datetime


@dataclass(frozen=True)
class Approval:
    """Somebody approved."""

    user: User
    at: datetime


@dataclass(frozen=True)
class Mergeability:
    """What the server last told of a merge request whose merge status it had worked out."""

    sha: str
    has_conflicts: bool
    merge_status: str
    detailed_merge_status: str


@dataclass(frozen=True)
class QuickAction:
    """A quick action that was carried out, by whom and on what (`merge_request` or `issue`)."""

    user: str
    kind: str
    iid: int
    name: str
    argument: str


@dataclass
class Pipeline:
    """A pipeline of a project."""

    id: int
    iid: int
    sha: str
    ref: str
    source: str
    user: User
    created_at: datetime
    updated_at: datetime
    status: str = "created"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    variables: tuple[Mapping[str, str], ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    merge_request: int = 0
    """The merge request whose CI it is, or 0."""
    jobs: list[tuple[int, str]] = field(default_factory=list)
    """Jobs as (id, name)."""
    job_status: dict[str, str] = field(default_factory=dict)
    """The status of a job, by name, where it is not that of the whole."""


@dataclass
class Issue:
    """An issue."""

    id: int
    iid: int
    title: str
    description: str
    author: User
    created_at: datetime
    updated_at: datetime
    labels: list[str] = field(default_factory=list)
    state: str = "opened"
    closed_by: User | None = None
    closed_at: datetime | None = None
    notes: list[Note] = field(default_factory=list)
    events: list[StateEvent] = field(default_factory=list)


@dataclass
class MergeRequest(Issue):
    """A merge request; `sha` is its true head, `listed` what lists still show of it."""

    source: str = ""
    target: str = ""
    sha: str = ""
    draft: bool = False
    merged_by: User | None = None
    merged_at: datetime | None = None
    merge_commit: str = ""
    auto_merge: User | None = None
    remove_source: bool = False
    approvals: list[Approval] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    listed: Mergeability = field(
        default_factory=lambda: Mergeability(
            "", has_conflicts=False, merge_status="checking", detailed_merge_status="checking"
        )
    )
    changed_at: datetime | None = None
    """When its head or its target last moved."""
    checks_left: int = 0
    """How many detail reads still answer `checking`."""
    fork: Repository | None = None
    """The repository of the source branch, if it is not the project's own."""


@dataclass
class Project:
    """A project over a bare repository; `heads` are the branches as the server last saw them."""

    id: int
    path: str
    repository: Repository
    default_branch: str
    created_at: datetime
    members: dict[str, int] = field(default_factory=dict)
    member_facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What else is told of a member (`expires_at`, `membership_state`), by name."""
    heads: dict[str, str] = field(default_factory=dict)
    merge_requests: dict[int, MergeRequest] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    pipelines: dict[int, Pipeline] = field(default_factory=dict)
    freeze_periods: list[dict[str, Any]] = field(default_factory=list)
    trigger_tokens: dict[str, User] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    approvals_required: int = 0
    reset_approvals_on_push: bool = False
    pipelines_must_succeed: bool = False
