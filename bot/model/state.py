"""Recorded state: what the statefile remembers between passes. One versioned document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.model.rounds import TriggerRequest, TriggerState
from bot.model.runs import Run

VERSION = 2
"""The version of the document that this program writes; raised where an older release would lose what it holds."""


@dataclass(frozen=True, slots=True)
class Build:
    """A successful build of an upstream job: its number there, its commit, and when it began (the server's time)."""

    number: int
    sha: str
    at: datetime
    url: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a target's upstream and images were when they last counted.

    `build` is None where no build had succeeded yet. `digests` maps `<instance>/<repository>:<tag>` to a digest.
    """

    build: Build | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    job: str = ""
    """Which job for which branch of which repository `build` is of; empty where no builds are followed."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """What is known of a target: the configuration and sha last run (or adopted), and its latest run.

    `config` is the effective configuration as canonical JSON, kept so that a change can be told in words.
    `publishers` maps each publisher to the configuration hash it had published when this target last ran.
    """

    id: str
    file: str
    ref: str
    sha: str
    config: str
    config_hash: str
    run_number: int = 0
    run: Run | None = None
    deployed_sha: str = ""
    deployed_at: datetime | None = None
    adopted: bool = False
    deleted: bool = False
    removed_at: datetime | None = None
    publishers: Mapping[str, str] = field(default_factory=dict)
    sources: Sources | None = None
    """The builds and images last run (or adopted); None where they were never read, or the target has none."""
    publish: tuple[str, ...] = ()
    """The channels that it published when it was last valid: an invalid publisher still has a say there."""
    previous: str = ""
    """The sha before the present one as git history tells it; only where no run does (after `state rebuild`)."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A success of a publisher that a channel remembers; `first_at` is when this sha first succeeded there."""

    target: str
    sha: str
    config_hash: str
    first_at: datetime
    finished_at: datetime
    run_key: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """One target's `ref` moved from `old` to `new` in `file`."""

    target: str
    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A human's stop on a merge request or target."""

    by: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """A target that stays at `sha`; `rollback` when a rollback put it there."""

    sha: str
    by: str
    at: datetime
    reason: str = ""
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question that the sticky comment of a merge request answers afresh in every pass."""

    verb: str
    target: str
    by: str
    rounds: tuple[str, ...] = ()
    """The trigger definitions that were started from there: their rounds are shown, whatever is asked afterwards."""


@dataclass(frozen=True, slots=True)
class MergeRequestState:
    """What the bot last did with one of its merge requests; keyed by branch."""

    branch: str
    iid: int
    batch: str
    part: int
    edits: tuple[Edit, ...]
    base: str
    head: str
    hold: Hold | None = None
    opened_at: datetime | None = None
    changed_at: datetime | None = None
    asked: str = ""
    """What was asked for and is not carried out yet: by a command `keep` or `discard` (regenerate), `group`, `close`.

    `texts`: its branch was seen with another content than its title and description tell of.
    """
    merged: bool = False
    """Whether it was merged; it is kept until the runs that it led to have ended and been reported."""
    forgiven: str = ""
    """The head whose failed CI a `retry` command set aside."""
    auto_merge: str = ""
    """The head that the bot has set to merge when its CI succeeds."""


@dataclass(frozen=True, slots=True)
class Veto:
    """A (target, sha) that a human turned down by closing its merge request."""

    target: str
    sha: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FailedContent:
    """A set of `target@sha` whose merge request failed its CI; nothing that contains all of them is tried again."""

    content: frozenset[str]
    at: datetime
    iid: int


@dataclass(frozen=True, slots=True)
class PromotionRequest:
    """A promotion or rollback that a command asked for; it stands until the ref has moved there or it is withdrawn."""

    target: str
    sha: str
    by: str
    at: datetime
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that a command asked for (`retry` a failed one, else `manual`); consumed by the start."""

    target: str
    kind: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """A version that a command blocked: never promoted and never started while it stands."""

    url: str
    sha: str
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Override:
    """One gate passed for one (target, sha); `head` is the merge request head it was given for, if there was one."""

    target: str
    sha: str
    gate: str
    by: str
    at: datetime
    reason: str
    head: str = ""


@dataclass(frozen=True, slots=True)
class CommandFreeze:
    """A freeze by command: `scope` is `all`, `environment:NAME`, `app:NAME` or `target:ID`."""

    scope: str
    by: str
    at: datetime
    reason: str
    until: datetime | None = None


class Thread(StrEnum):
    """What a note stands on."""

    MERGE_REQUEST = "merge_request"
    DASHBOARD = "dashboard"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is owed to a note; it leaves the statefile when it has been given."""

    note: str
    iid: int
    author: str
    verb: str
    ok: bool
    text: str
    public: bool = False
    """Whether the text is shown as a reply (refusals, unknown verbs); a plain yes is only a reaction."""
    thread: Thread = Thread.MERGE_REQUEST


@dataclass(frozen=True, slots=True)
class Flag:
    """A subject that waits for a person: what is wrong, since when, and the merge request that bears the label.

    `why` is what there was to do; where it is something else by now, the flag has had its time.
    """

    text: str
    at: datetime
    iid: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """The statefile. `serial` grows by one with every write; `lineage` never changes in its life.

    `cursors` maps `notes:<iid>` (or `dashboard:<iid>`) to the id of the last note handled there, `questions` an iid to
    the last question asked. `time` is the `now` of the last pass that wrote. `splits` are the batches that a command
    cut into files. `replaced` are the lineages of lost statefiles that this one took the place of, newest last: what
    still speaks of them (a report, a cache) does not make this one foreign.
    """

    version: int = VERSION
    lineage: str = ""
    serial: int = 0
    time: datetime | None = None
    targets: Mapping[str, TargetState] = field(default_factory=dict)
    channels: Mapping[str, tuple[Publication, ...]] = field(default_factory=dict)
    triggers: Mapping[str, TriggerState] = field(default_factory=dict)
    trigger_requests: Mapping[str, TriggerRequest] = field(default_factory=dict)
    merge_requests: Mapping[str, MergeRequestState] = field(default_factory=dict)
    vetoes: tuple[Veto, ...] = ()
    cursors: Mapping[str, int] = field(default_factory=dict)
    failed_contents: tuple[FailedContent, ...] = ()
    splits: frozenset[str] = frozenset()
    requests: Mapping[str, PromotionRequest] = field(default_factory=dict)
    run_requests: Mapping[str, RunRequest] = field(default_factory=dict)
    pins: Mapping[str, Pin] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    overrides: tuple[Override, ...] = ()
    freezes: tuple[CommandFreeze, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    attention: Mapping[str, Flag] = field(default_factory=dict)
    """By subject: what the work queue leaves to a person."""
