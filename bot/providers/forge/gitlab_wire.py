"""What GitLab's REST API answers, as far as the forge reads it, typed; and each as the model's value.

A field that is missing or null has the meaning of its default here. Source: https://docs.gitlab.com/api/merge_requests/.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus, Note, Role

EDIT = timedelta(seconds=2)
"""A note that changed later than this after it was written may be edited; saving it takes a moment itself."""

CHECKING = frozenset({"checking", "unchecked", "preparing"})
"""Values of `detailed_merge_status` that mean: ask again."""

REBUILT = frozenset({"conflict", "need_rebase"})
"""Values of `detailed_merge_status` that only a new commit on the base takes away."""

_STATES = {"merged": MergeRequestStatus.MERGED, "closed": MergeRequestStatus.CLOSED}

_BOT = re.compile(
    r"(?:project|group)_\d+_bot(?:\d+|_[0-9a-f]+)?|service_account_(?:\w+_)?[0-9a-f]{8,}"
    r"|ghost|GitLabDuo|(?:alert|support|migration|automation|security|GitLab-Security|GitLab-Admin)-bot",
    re.IGNORECASE,
)
"""Names that GitLab itself gives: who else is called something with `bot` may be a person."""

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
    merge_user: User | None = None
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

    @property
    def branch(self) -> str:
        """The source branch; one of another project has that project's number before it, and is no branch here."""
        return f"{self.source_project_id or 'gone'}:{self.source_branch}" if self.forked else self.source_branch

    @property
    def auto_merge(self) -> bool:
        """Whether it is set to merge by itself."""
        return bool(self.merge_when_pipeline_succeeds)


@dataclass(frozen=True, slots=True)
class NoteWire:
    """A comment on a merge request or issue."""

    id: int
    body: str | None = None
    author: User | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    system: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything about it changed after it was written, be it only the reactions to it."""
        return bool(self.created_at and self.updated_at and self.updated_at - self.created_at >= EDIT)


class EditWire(msgspec.Struct, frozen=True):
    """When a note's words were last changed, as GraphQL tells it."""

    last_edited_at: datetime | msgspec.UnsetType | None = msgspec.field(default=msgspec.UNSET, name="lastEditedAt")

    @property
    def never(self) -> bool:
        """Whether it says that they never were."""
        return self.last_edited_at is None


class EditsWire(msgspec.Struct, frozen=True):
    """GraphQL's answer about several notes, by the names that the query gave them."""

    data: Mapping[str, EditWire | None] | None = None


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
    parent_ids: Sequence[str] | None = None


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
    membership_state: str | None = None
    expires_at: date | None = None

    def holds(self, today: date) -> bool:
        """Whether the membership counts: GitLab leaves what has run out in place until a nightly job."""
        waits = self.membership_state not in (None, "active")
        return self.state == "active" and not waits and (self.expires_at is None or self.expires_at > today)


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


def users(data: Any) -> Sequence[str]:
    """The names in a list of users."""
    return [each.username for each in read(list[User], data)]


def merge_request(wire: MergeRequestWire, facts: Facts) -> MergeRequest:
    """The model's merge request."""
    return MergeRequest(
        iid=wire.iid,
        title=wire.title,
        state=_STATES.get(wire.state, MergeRequestStatus.OPENED),
        source_branch=wire.branch,
        target_branch=wire.target_branch,
        head_sha=facts.head,
        author=_name(wire.author),
        description=wire.description or "",
        labels=tuple(wire.labels),
        draft=wire.draft,
        has_conflicts=facts.has_conflicts,
        ci=facts.ci,
        approved_by=facts.approved_by,
        auto_merge=wire.auto_merge or wire.state == "locked",
        auto_merge_by=_name(wire.merge_user) if wire.auto_merge else "",
        closed_by=_name(wire.closed_by) if wire.state == "closed" else "",
        url=wire.web_url or "",
        notes=facts.notes,
    )


def note(
    wire: NoteWire, me: str, versions: Sequence[VersionWire] = (), never_edited: Collection[int] = frozenset()
) -> Note:
    """The model's note; `versions` tell which head it was written at, `never_edited` whose words are as they were."""
    author = _name(wire.author)
    return Note(
        id=str(wire.id),
        author=author,
        body=wire.body or "",
        created_at=wire.created_at,
        system=wire.system,
        bot=author == me or by_program(author),
        head=head_at(versions, wire.created_at),
        edited=wire.changed and wire.id not in never_edited,
    )


def head_at(versions: Sequence[VersionWire], moment: datetime | None) -> str:
    """The head of the newest version that was there at a moment; empty where none was, or nobody knows."""
    known = [(each.created_at, each.head_commit_sha) for each in versions if each.created_at and each.head_commit_sha]
    return max(((at, head) for at, head in known if moment and at <= moment), default=(None, ""))[1]


def by_program(user: str) -> bool:
    """Whether a name is one that GitLab gives to access tokens, service accounts and its own programs."""
    return bool(_BOT.fullmatch(user))


def role(members: Sequence[MemberWire], user: str, today: date) -> Role:
    """The highest role of a user among these members; who is blocked, awaits approval or has run out has none."""
    mine = [each for each in members if each.username.casefold() == user.casefold() and each.holds(today)]
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
