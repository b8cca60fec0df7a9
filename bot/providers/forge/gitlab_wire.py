"""What GitLab's REST API answers, as far as the forge reads it, typed; and each as the model's value.

A field that is missing or null has the meaning of its default here. Source: https://docs.gitlab.com/api/merge_requests/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note, Role

EDIT = timedelta(seconds=2)
"""A note that changed later than this after it was written was edited; saving it takes a moment itself."""

PATIENCE = timedelta(minutes=10)
"""How long a pipeline for a new head is waited for; some branches never get one."""

CHECKING = frozenset({"checking", "unchecked", "preparing"})
"""Values of `detailed_merge_status` that mean: ask again."""

WAITS_FOR_CI = CHECKING | {"ci_still_running", "ci_must_pass"}
"""Values of `detailed_merge_status` under which "no pipeline" only means "none yet"."""

_CI = {
    "success": CiStatus.SUCCESS,
    "failed": CiStatus.FAILED,
    "canceled": CiStatus.FAILED,
    "canceling": CiStatus.FAILED,
    "skipped": CiStatus.NONE,
}
"""A pipeline's status in our words; every other is still on its way, one that waits for a manual job included."""

_STATES = {"merged": MergeRequestStatus.MERGED, "closed": MergeRequestStatus.CLOSED}

_MERGED_RESULT = re.compile(r"refs/merge-requests/\d+/(?:merge|train)")
_BOT = re.compile(
    r"(?:project|group)_\d+_bot\w*|service_account\w*|ghost\d*|[\w.-]*-bot|GitLabDuo|duo-\S+", re.IGNORECASE
)

_OWNER, _DEVELOPER, _GUEST = 40, 30, 10

Wire = TypeVar("Wire")


@dataclass(frozen=True, slots=True)
class User:
    """A user, as far as it is part of something else."""

    username: str


@dataclass(frozen=True, slots=True)
class AccountWire:
    """The user that asks."""

    username: str
    name: str | None = None
    email: str | None = None
    commit_email: str | None = None
    public_email: str | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The head pipeline of a merge request."""

    status: str
    sha: str | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class MergeRequestWire:
    """A merge request of a list (without `head_pipeline`) or by itself."""

    iid: int
    title: str
    state: str
    source_branch: str
    target_branch: str
    source_project_id: int | None = None
    target_project_id: int | None = None
    sha: str | None = None
    author: User | None = None
    description: str | None = None
    labels: Sequence[str] = ()
    draft: bool = False
    has_conflicts: bool | None = None
    detailed_merge_status: str | None = None
    merge_when_pipeline_succeeds: bool | None = None
    closed_by: User | None = None
    web_url: str | None = None
    updated_at: datetime | None = None
    user_notes_count: int | None = None
    head_pipeline: Pipeline | None = None

    @property
    def opened(self) -> bool:
        """Whether it is open; `locked` is one that is being merged this moment."""
        return self.state not in _STATES

    @property
    def forked(self) -> bool:
        """Whether its branch is in another project."""
        return self.source_project_id != self.target_project_id


@dataclass(frozen=True, slots=True)
class NoteWire:
    """A comment on a merge request or issue."""

    id: int
    body: str | None = None
    author: User | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    system: bool = False


@dataclass(frozen=True, slots=True)
class VersionWire:
    """One version of a merge request's diff: a head and when it came."""

    head_commit_sha: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval."""

    user: User


@dataclass(frozen=True, slots=True)
class ApprovalsWire:
    """Who approved; the documented shape is one approval, the real one a list."""

    approved_by: Sequence[Approval] | Approval = ()

    @property
    def users(self) -> tuple[str, ...]:
        """Their names."""
        given = (self.approved_by,) if isinstance(self.approved_by, Approval) else self.approved_by
        return tuple(each.user.username for each in given)


@dataclass(frozen=True, slots=True)
class CommitWire:
    """A commit."""

    id: str


@dataclass(frozen=True, slots=True)
class BranchWire:
    """A branch with its head."""

    name: str
    commit: CommitWire


@dataclass(frozen=True, slots=True)
class MemberWire:
    """A member of the project, inherited ones included."""

    username: str
    access_level: int
    state: str = "active"


@dataclass(frozen=True, slots=True)
class FreezeWire:
    """A freeze period."""

    id: int
    freeze_start: str
    freeze_end: str
    cron_timezone: str | None = None


@dataclass(frozen=True, slots=True)
class IssueWire:
    """An issue."""

    iid: int
    title: str
    description: str | None = None
    author: User | None = None
    web_url: str | None = None
    updated_at: datetime | None = None
    user_notes_count: int | None = None


@dataclass(frozen=True, slots=True)
class AwardWire:
    """A reaction."""

    name: str
    user: User | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a merge request's own answer does not tell, or not reliably."""

    head: str
    has_conflicts: bool
    ci: CiStatus = CiStatus.NONE
    approved_by: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def read(kind: type[Wire], data: Any) -> Wire:
    """An answer as its type; raises `msgspec.ValidationError` where it has another shape."""
    return msgspec.convert(data, kind)


def merge_request(wire: MergeRequestWire, facts: Facts) -> MergeRequest:
    """The model's merge request."""
    return MergeRequest(
        iid=wire.iid,
        title=wire.title,
        state=_STATES.get(wire.state, MergeRequestStatus.OPENED),
        source_branch=wire.source_branch,
        target_branch=wire.target_branch,
        head_sha=facts.head,
        author=_name(wire.author),
        description=wire.description or "",
        labels=tuple(wire.labels),
        draft=wire.draft,
        has_conflicts=facts.has_conflicts,
        ci=facts.ci,
        approved_by=facts.approved_by,
        auto_merge=bool(wire.merge_when_pipeline_succeeds) or wire.state == "locked",
        closed_by=_name(wire.closed_by) if wire.state == "closed" else "",
        url=wire.web_url or "",
        notes=facts.notes,
    )


def ci_status(wire: MergeRequestWire, head: str, now: datetime) -> CiStatus:
    """The state of the CI at `head`.

    GitLab makes pipelines after a push, in its own time: one for an older head, or none while the server is still
    thinking, is not green. A head that has waited long and may be merged is taken as one that gets no pipeline.
    """
    pipeline = wire.head_pipeline
    if pipeline is None:
        waits = wire.detailed_merge_status in WAITS_FOR_CI or wire.sha != head
        return CiStatus.RUNNING if waits else CiStatus.NONE
    if pipeline.sha != head and not _MERGED_RESULT.fullmatch(pipeline.ref or ""):
        waited = wire.updated_at is not None and now - wire.updated_at > PATIENCE
        return CiStatus.NONE if waited and wire.detailed_merge_status == "mergeable" else CiStatus.RUNNING
    if wire.detailed_merge_status in CHECKING | {"ci_still_running"}:
        return CiStatus.RUNNING
    return _CI.get(pipeline.status, CiStatus.RUNNING)


def note(wire: NoteWire, me: str, versions: Sequence[VersionWire] = ()) -> Note:
    """The model's note; `versions` tell which head it was written at."""
    author = _name(wire.author)
    return Note(
        id=str(wire.id),
        author=author,
        body=wire.body or "",
        created_at=wire.created_at,
        system=wire.system,
        bot=author == me or by_program(author),
        head=head_at(versions, wire.created_at),
        edited=bool(wire.created_at and wire.updated_at and wire.updated_at - wire.created_at >= EDIT),
    )


def head_at(versions: Sequence[VersionWire], moment: datetime | None) -> str:
    """The head of the newest version that was there at a moment; empty where none was, or nobody knows."""
    known = [(each.created_at, each.head_commit_sha) for each in versions if each.created_at and each.head_commit_sha]
    return max(((at, head) for at, head in known if moment and at <= moment), default=(None, ""))[1]


def by_program(user: str) -> bool:
    """Whether a name is one that GitLab gives to access tokens, service accounts and its own programs."""
    return bool(_BOT.fullmatch(user))


def role(members: Sequence[MemberWire], user: str) -> Role:
    """The highest role of a user among these members; a blocked one has none."""
    mine = [each for each in members if each.username.casefold() == user.casefold() and each.state == "active"]
    level = max((each.access_level for each in mine), default=0)
    if level >= _OWNER:
        return Role.OWNER
    if level >= _DEVELOPER:
        return Role.DEVELOPER
    return Role.GUEST if level >= _GUEST else Role.NONE


def key_of(updated_at: datetime | None, notes: int | None, head: str) -> str:
    """What is the same as long as nothing was said, up to GitLab's delay in moving `updated_at`."""
    return f"{updated_at.isoformat() if updated_at else ''} {notes} {head}"


def _name(user: User | None) -> str:
    return user.username if user is not None else ""
