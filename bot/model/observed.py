"""Observed: what the world looked like at one moment, as far as a decision needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bot.model.desired import Freeze, Target
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.model.state import Build, State, Thread
from bot.model.triggers import JobsFrom, NewBuild


class Role(StrEnum):
    """What a user may do at the forge, in rising order; the forge's own roles are mapped to these."""

    NONE = "none"
    GUEST = "guest"
    DEVELOPER = "developer"
    OWNER = "owner"

    @property
    def writes(self) -> bool:
        """Whether the role may push."""
        return self in (Role.DEVELOPER, Role.OWNER)


class CiStatus(StrEnum):
    """The state of a merge request's own CI on its head; `waiting` is for a person or a schedule."""

    NONE = "none"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCESS = "success"
    FAILED = "failed"


class MergeRequestStatus(StrEnum):
    """Where a merge request stands (the `state` of section 9)."""

    OPENED = "opened"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A fact that could not be had; `text` names server, request and cause in one line.

    `again` is how long the server wants no more questions of this kind; None where it did not say so.
    """

    text: str
    again: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Down:
    """A server that is not up; `final` where asking again is of no use, as with a token that it does not take."""

    text: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A comment. `head` is the head sha at comment time where the forge can tell, else empty."""

    id: str
    author: str
    body: str
    created_at: datetime | None = None
    system: bool = False
    bot: bool = False
    head: str = ""
    edited: bool = False
    """Whether it was changed after it was written, by whomever: its text need not be its author's any more."""


@dataclass(frozen=True, slots=True)
class Event:
    """A forge's message that somebody has commented. It only says where to look: what was said is read from there."""

    project: str
    thread: Thread
    iid: int
    text: str
    project_id: str = ""
    """The project's number, which `forge.project` may be as well."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a forge's webhook tells of: a comment, merge requests by number, or something that may concern them all.

    As with an `Event`, it only says where to look.
    """

    project: str
    project_id: str
    comment: Event | None = None
    merge_requests: tuple[int, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Issue:
    """The dashboard: one issue of the config project, edited in place."""

    iid: int
    body: str
    url: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """One merge request in detail. `ci` belongs to `head_sha`; `closed_by` is set when `state` is closed."""

    iid: int
    title: str
    state: MergeRequestStatus
    source_branch: str
    target_branch: str
    head_sha: str
    author: str
    description: str = ""
    labels: tuple[str, ...] = ()
    draft: bool = False
    has_conflicts: bool = False
    ci: CiStatus = CiStatus.NONE
    approved_by: tuple[str, ...] = ()
    auto_merge: bool = False
    auto_merge_by: str = ""
    """Who has set it to merge when its CI succeeds; empty where nobody has, or the forge does not tell."""
    closed_by: str = ""
    url: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One file that differs between a merge base and a branch; None where the file does not exist."""

    path: str
    old: bytes | None
    new: bytes | None


@dataclass(frozen=True, slots=True)
class BranchDiff:
    """A branch against its merge base with the base branch."""

    merge_base: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the merge of a person's merge request would change in the config.

    `changed` are the targets as they would be, new ones included; `gone` the ids that would be in no file any more;
    `invalid` the files that would have an error that they do not have now.
    """

    changed: Mapping[str, Target] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    invalid: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunFact:
    """What a pipelines provider says of a run now; `finished_at` is the provider's own time.

    `missing` says that the server does not know the run just now, which is believed after some looks in a row only.
    """

    status: RunStatus
    handle: str = ""
    url: str = ""
    text: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """The order of some shas of one code repository: `ancestors[sha]` are those of them that are its strict ancestors.

    A sha that is not a key is unknown there.
    """

    ancestors: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Title:
    """A commit between two versions."""

    sha: str
    text: str


@dataclass(frozen=True, slots=True)
class Wants:
    """What a decision still needs to look up. All of it is keyed the way `Observed` answers it."""

    histories: frozenset[tuple[str, str]] = frozenset()
    """(code repository url, sha): to be ordered among all wanted shas of that url."""
    titles: frozenset[tuple[str, str, str]] = frozenset()
    """(url, old sha, new sha)."""
    blobs: frozenset[str] = frozenset()
    """Paths of config files at the base commit."""
    diffs: frozenset[int] = frozenset()
    """Merge requests (iid) whose branch must be compared with its merge base."""
    proposals: frozenset[int] = frozenset()
    """Merge requests (iid) of people whose config after the merge is needed."""
    roles: frozenset[str] = frozenset()
    """Users whose role at the forge is needed."""
    builds: frozenset[tuple[Instance, str, str, str]] = frozenset()
    """Build jobs whose newest success is needed: (instance, job, ref, code repository url)."""
    images: frozenset[tuple[Instance, str, str]] = frozenset()
    """Images whose digest is needed: (instance, repository, tag)."""
    probes: Mapping[str, Pipeline] = field(default_factory=dict)
    """By `TRIGGER/JOB`: the pipelines whose server must be asked whether it is up."""
    marks: Mapping[str, Pipeline] = field(default_factory=dict)
    """By `TRIGGER/JOB`: the pipelines of which must be known what is on their server before a start."""
    documents: frozenset[NewBuild] = frozenset()
    """Where the name of the newest build is read."""
    details: Mapping[str, tuple[Pipeline | None, Run]] = field(default_factory=dict)
    """By run key: the runs of which a report needs all that their server tells."""
    branches: bool = False
    """Whether the heads of the bot's branches are needed."""

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        sets = (self.histories, self.titles, self.blobs, self.diffs, self.proposals, self.roles)
        return (
            self.branches
            or any(sets)
            or any((self.builds, self.images, self.probes, self.marks, self.documents, self.details))
        )


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything seen. A key that is missing was not looked up; an `Unreachable` was, and could not be had.

    `refs[url][ref]` is the commit sha, or empty where the ref does not exist. `runs[key]` holds the facts of runs in
    flight; for an intent without a handle it answers "did this key start?", with None for a clear no.
    `base` is the head of the config branch. `nonce` is the only randomness: a fresh lineage.
    """

    base: str
    me: str
    nonce: str
    refs: Mapping[str, Mapping[str, str] | Unreachable] = field(default_factory=dict)
    runs: Mapping[str, RunFact | Unreachable | None] = field(default_factory=dict)
    builds: Mapping[tuple[str, str, str, str], Build | Unreachable | None] = field(default_factory=dict)
    """Keyed (instance name, job, ref, code repository url): the newest success, None where there was none."""
    images: Mapping[tuple[str, str, str], str | Unreachable] = field(default_factory=dict)
    """Keyed (instance name, repository, tag): the digest, empty where there is no such image."""
    probes: Mapping[str, Down | None] = field(default_factory=dict)
    """By `TRIGGER/JOB`: None where the server is up."""
    marks: Mapping[str, str | Unreachable] = field(default_factory=dict)
    """By `TRIGGER/JOB`: what was on the server before a start, in the provider's words."""
    documents: Mapping[NewBuild, str | Unreachable] = field(default_factory=dict)
    """The names of the newest builds."""
    details: Mapping[str, Mapping[str, Any] | Unreachable] = field(default_factory=dict)
    """By run key: what the server tells of a run for reports, ready for JSON."""
    job_lists: Mapping[JobsFrom, bytes | Unreachable] = field(default_factory=dict)
    """The contents of lists of jobs outside of the config."""
    merge_requests: Mapping[int, MergeRequest] = field(default_factory=dict)
    commands: tuple[Note, ...] = ()
    lineages: Mapping[str, Lineage | Unreachable] = field(default_factory=dict)
    looked_up: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By code repository url: the shas that `lineages` was asked about."""
    titles: Mapping[str, tuple[Title, ...] | Unreachable] = field(default_factory=dict)
    """Keyed `<url> <old>..<new>`."""
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    diffs: Mapping[int, BranchDiff | Unreachable] = field(default_factory=dict)
    proposals: Mapping[int, Proposal | Unreachable] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    branches: Mapping[str, str] | None = None
    """Heads of the bot's branches; None where they were not looked up."""
    freezes: tuple[Freeze, ...] = ()
    """Freezes that the forge itself knows of (GitLab's Freeze Periods); they count like those of the config."""
    dashboard: Issue | None = None
    """The dashboard issue; None where there is none yet, or none is wanted."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Instances (by name) that no run can be started on, with the reason."""
    state_lost: bool = False
    """Whether the forge shows branches of this bot although there is no statefile."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The statefile as read: None where there is none; `etag` guards the next write."""

    state: State | None
    etag: str = ""
