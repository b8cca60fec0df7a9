"""Plan: what will be done and what is held, each with its reasons. Actions carry final bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bot.model.observed import MergeRequest
from bot.model.rounds import SetReport
from bot.model.runs import Reason, Run
from bot.model.servers import Pipeline
from bot.model.state import Answer, Edit, State, TargetState, Thread
from bot.model.triggers import Retry


class Gate(StrEnum):
    """The gates of section 4, by their contract tags."""

    PUBLISHED = "published"
    SAME_SHA = "same_sha"
    SOAK = "soak"
    WINDOW = "window"
    FREEZE = "freeze"
    BLOCKED_VERSION = "blocked_version"
    GOING_BACK = "going_back"
    HOLD = "hold"
    BUDGET = "budget"
    RUN_IN_FLIGHT = "run_in_flight"
    FAILED = "failed"
    UNKNOWN = "unknown"
    VETOED = "vetoed"
    HUMAN_COMMIT = "human_commit"
    UNSAFE_EDIT = "unsafe_edit"
    UNREACHABLE = "unreachable"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's answer for one candidate: value against threshold, in words, and when it may next pass."""

    gate: Gate
    passed: bool
    text: str
    value: str = ""
    threshold: str = ""
    until: datetime | None = None
    overridden_by: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """Something that was not done, the one gate that holds it, and until when if that is known."""

    subject: str
    gate: Gate
    text: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordState:
    """Only the statefile changes: an adoption, a rename, a version of the hash, a veto, a removal."""

    subject: str
    reasons: tuple[Reason, ...]
    target: TargetState | None = None


@dataclass(frozen=True, slots=True)
class StartRun:
    """Start a run of a target. `environment` is what a program of the run gets besides its own."""

    subject: str
    target: str
    run: Run
    pipeline: Pipeline
    environment: Mapping[str, str]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class StartJob:
    """Start a job of a trigger definition; `retry` says what becomes of a start that its server does not take."""

    subject: str
    trigger: str
    job: str
    run: Run
    pipeline: Pipeline
    environment: Mapping[str, str]
    reasons: tuple[Reason, ...]
    retry: Retry


@dataclass(frozen=True, slots=True)
class FollowRun:
    """A run in flight was seen in a new state; nothing is written but the record."""

    subject: str
    target: str
    run: Run
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Stop a run in flight."""

    subject: str
    target: str
    run: Run
    pipeline: Pipeline
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit on top of `parent`, deterministic to the byte; `files` are whole contents by path.

    Without files the branch stays as it is, and only what is said of it changes.

    `expected_head` is the branch's head that may be replaced; empty where the branch must not exist.
    """

    branch: str
    parent: str
    message: str
    files: Mapping[str, bytes]
    expected_head: str = ""
    keep: str = ""
    """A person's head whose own commits (after the bot's) are replayed on top, or empty."""


@dataclass(frozen=True, slots=True)
class OpenMergeRequest:
    """Push a branch and open a merge request for it, or adopt the one that exists."""

    subject: str
    batch: str
    part: int
    commit: Commit
    title: str
    description: str
    labels: tuple[str, ...]
    edits: tuple[Edit, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class UpdateMergeRequest:
    """A newer content for an open merge request, in place."""

    subject: str
    iid: int
    batch: str
    part: int
    commit: Commit
    title: str
    description: str
    edits: tuple[Edit, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class RegenerateMergeRequest:
    """The same content built anew on the present base, in the same merge request."""

    subject: str
    iid: int
    batch: str
    part: int
    commit: Commit
    title: str
    description: str
    edits: tuple[Edit, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class SplitMergeRequest:
    """A batch was cut: this merge request keeps a part of its edits; the others get merge requests of their own."""

    subject: str
    iid: int
    batch: str
    part: int
    commit: Commit
    title: str
    description: str
    edits: tuple[Edit, ...]
    reasons: tuple[Reason, ...]


class MergeHow(StrEnum):
    """When a merge happens: now, as soon as its CI succeeds (the forge's auto-merge), or not by that any more."""

    NOW = "now"
    WHEN_GREEN = "when_green"
    NOT_WHEN_GREEN = "not_when_green"


@dataclass(frozen=True, slots=True)
class MergeMergeRequest:
    """Merge, guarded by the head sha that was judged; at once, or as `how` says."""

    subject: str
    iid: int
    head: str
    reasons: tuple[Reason, ...]
    how: MergeHow = MergeHow.NOW


@dataclass(frozen=True, slots=True)
class CloseMergeRequest:
    """Close and delete the branch; `comment` says why."""

    subject: str
    iid: int
    branch: str
    comment: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class CommentAction:
    """Put the sticky comment of a merge request in place: edit `note`, or write a first one where it is empty.

    `branch` serves where the merge request is opened by the same plan and has no number yet.
    """

    subject: str
    iid: int
    branch: str
    note: str
    body: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class DashboardAction:
    """Put the text of the dashboard issue in place; `iid` is 0 where there is none yet."""

    subject: str
    iid: int
    title: str
    body: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """Answer a note: a reaction (`reaction` is `ok` or `no`) and, where it is not empty, a reply."""

    subject: str
    iid: int
    note: str
    reaction: str
    body: str
    reasons: tuple[Reason, ...]
    thread: Thread = Thread.MERGE_REQUEST
    number: int = 0
    """Which command of the note it answers, from 0."""


Action = (
    RecordState
    | StartRun
    | StartJob
    | FollowRun
    | CancelRun
    | OpenMergeRequest
    | UpdateMergeRequest
    | RegenerateMergeRequest
    | SplitMergeRequest
    | MergeMergeRequest
    | CloseMergeRequest
    | CommentAction
    | DashboardAction
    | AnswerCommand
)

ACTION_KINDS: Mapping[type, str] = {
    RecordState: "record_state",
    StartRun: "start_run",
    StartJob: "start_job",
    FollowRun: "follow_run",
    CancelRun: "cancel_run",
    OpenMergeRequest: "open_merge_request",
    UpdateMergeRequest: "update_merge_request",
    RegenerateMergeRequest: "regenerate_merge_request",
    SplitMergeRequest: "split_merge_request",
    MergeMergeRequest: "merge_merge_request",
    CloseMergeRequest: "close_merge_request",
    CommentAction: "comment",
    DashboardAction: "comment",
    AnswerCommand: "answer_command",
}
"""The contract's word for each action (section 9)."""


class OutcomeStatus(StrEnum):
    """How an action ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action ended, in words; with what the world gave back."""

    status: OutcomeStatus
    text: str = ""
    url: str = ""
    run: Run | None = None
    again: timedelta | None = None
    """Where it was refused: the same may be asked again, not sooner than this; None that it is of no use."""
    merge_request: MergeRequest | None = None
    untouched: bool = False
    """Whether it is certain that nothing was asked of the world: what was intended may be begun anew."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one context leads to."""

    actions: tuple[Action, ...] = ()
    held: tuple[Held, ...] = ()
    next_due: datetime | None = None
    record: State | None = None
    """The statefile with every intent of this plan; it is saved before the first effect. None: as it was."""
    answers: tuple[Answer, ...] = ()
    """Answers to commands that came in without a merge request."""
    sets: tuple[SetReport, ...] = ()
    """The sets of rounds that end with this plan."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass did: the plan with an outcome beside each action; `outcomes` is empty for a plan."""

    config_sha: str | None
    now: datetime
    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    invalid: Mapping[str, str] = field(default_factory=dict)
    """Files of the config that have an error, with the first one; even where no target of them is known."""

    @property
    def moved(self) -> bool:
        """Whether the next pass may have something to do by what this one has done; a job that was refused is over."""
        return any(
            outcome.status is OutcomeStatus.DONE
            or (isinstance(action, StartJob) and outcome.status is OutcomeStatus.REFUSED and outcome.again is None)
            for action, outcome in zip(self.plan.actions, self.outcomes, strict=False)
        )
