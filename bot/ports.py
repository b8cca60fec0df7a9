"""Ports: what the inner floors ask of the world, in model words; reading and writing kept apart.

Every method may raise `bot.errors.ServerUnreachable` (one line: server, request, advice). What is an ordinary answer
of the world (a lost race, a merge request that exists already, a run that was never started) is a value here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # `validate` runs as a pre-commit hook and needs the files' port alone, not the whole model
    from datetime import datetime, timedelta

    from bot.model.desired import Freeze
    from bot.model.observed import (
        BranchDiff,
        Issue,
        Lineage,
        MergeRequest,
        Note,
        Role,
        RunFact,
        Title,
        Unreachable,
    )
    from bot.model.plan import Commit
    from bot.model.runs import Run
    from bot.model.servers import Instance, Pipeline
    from bot.model.state import Build, Thread
    from bot.model.triggers import JobsFrom, NewBuild
    from bot.model.work import Due, Ending, QueueItem

    PipelinesFor = Callable[[Instance], "Pipelines | Unreachable"]
    """The provider for an instance; `Unreachable` where this program has none of that name or may not use it."""
    BuildsFor = Callable[[Instance], "Builds | Unreachable"]
    """The provider for an instance that upstreams name; `Unreachable` as above."""
    ImagesFor = Callable[[Instance], "Images | Unreachable"]
    """The provider for an instance that images name; `Unreachable` as above."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A tracked or unignored file of the config repository; `blob` is its git blob id, or empty where none is known."""

    path: str
    blob: str


class ConfigTree(Protocol):
    """The config repository at one commit, or its working tree."""

    @property
    def sha(self) -> str | None:
        """The commit, or None for a dirty working tree."""

    def files(self) -> Sequence[SourceFile]:
        """Every tracked and unignored regular file, sorted by path; no symlinks."""

    def read(self, files: Sequence[SourceFile]) -> Iterable[bytes]:
        """The contents of these files, in the same order, in one go."""


class ConfigRepository(Protocol):
    """The checkout at `--config` and its origin."""

    def working_tree(self) -> ConfigTree:
        """The working tree, uncommitted edits included."""

    def require_root(self) -> None:
        """Raise WrongUsage unless the checkout's root is where the config is read; for whatever writes."""

    def fetch(self, branch: str) -> str:
        """Bring the head of `branch` from origin and return its sha; the working tree is left alone."""

    def tree(self, sha: str) -> ConfigTree:
        """The tree of a commit that `fetch` brought."""

    def history(self, sha: str, paths: Collection[str], most: int) -> Sequence[str]:
        """The shas of the commits that led to `sha` and changed one of these files, the newest first, at most `most`.

        Of a merge only the first parent counts. It goes back as far as the checkout does, which may be shallow; every
        commit of it has a `tree`.
        """

    def behind(self, branch: str, head: str = "") -> str:
        """One sentence if the checkout lacks commits of `branch`, whose head `fetch` brought; asks no server."""


class Cache(Protocol):
    """A store of derived bytes; losing it is always safe."""

    def get(self, name: str) -> bytes | None:
        """The bytes, or None where they are missing or unreadable."""

    def put(self, name: str, data: bytes) -> None:
        """Keep the bytes; a failure to do so is silent."""


class ForgeReader(Protocol):
    """What a forge tells. A merge request is always read in detail: lists are stale (FACTS, GitLab)."""

    def me(self) -> str:
        """The bot's own user name."""

    def knows_me(self) -> bool:
        """Whether there are branches or merge requests of the bot, in any state: then there was a statefile once."""

    def open_merge_requests(self) -> Sequence[MergeRequest]:
        """All open merge requests into the config branch, in detail and with their notes."""

    def own_merge_requests(self, ended: int) -> Sequence[MergeRequest]:
        """The bot's own into the config branch, in detail and with their notes, by number.

        All that are open, and of the others the `ended` newest at least; what a lost statefile is rebuilt from.
        """

    def merge_request(self, iid: int) -> MergeRequest | None:
        """One merge request in any state, in detail; None if there is no such."""

    def branches(self, prefix: str) -> Mapping[str, str]:
        """Branches of the config repository that start with `prefix`, with their heads."""

    def diff(self, merge_request: MergeRequest) -> BranchDiff:
        """The head against its merge base with the target branch."""

    def merged_tree(self, merge_request: MergeRequest) -> ConfigTree | Unreachable:
        """The config as it would be after the merge; `Unreachable` where it conflicts."""

    def role(self, user: str) -> Role:
        """The user's role in the config project, read live."""

    def freezes(self) -> Sequence[Freeze]:
        """Freezes that the forge keeps for the config project; empty where it knows no such thing."""

    def dashboard(self, title: str) -> Issue | None:
        """The bot's own open issue of this title in the config project, with its notes."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The world's ordinary no: a lost race, a conflict, a missing right. `text` is one sentence.

    `again` says that the same request may be made again, not sooner than this; None that asking again is of no use.
    `untried` says that the server was not asked at all, because it had no room: that does not count as a try.
    """

    text: str
    again: timedelta | None = None
    untried: bool = False


class ForgeWriter(Protocol):
    """What is written to a forge. Everything is idempotent by branch or marker."""

    def push(self, commit: Commit) -> str | Refused:
        """Build the commit and put it on its branch with a lease on `expected_head`; return the new head."""

    def open(self, branch: str, title: str, description: str, labels: Sequence[str]) -> MergeRequest | Refused:
        """Open a merge request for a branch, or adopt the open one."""

    def update(self, iid: int, title: str, description: str) -> Refused | None:
        """Set title and description."""

    def close(self, iid: int, branch: str, comment: str) -> Refused | None:
        """Say why, close, and delete the branch."""

    def merge(self, iid: int, head: str, *, when_green: bool = False) -> MergeRequest | Refused:
        """Merge if the head still is `head`, and delete the branch.

        With `when_green`, set it to merge as soon as its CI succeeds (auto-merge); it is merged at once where the
        forge has nothing to wait for. The answer's `state` and `auto_merge` say what came of it.
        """

    def cancel_auto_merge(self, iid: int) -> Refused | None:
        """Take back that it merges when its CI succeeds; one that is not set to is an ordinary answer."""

    def comment(self, thread: Thread, iid: int, body: str, note: str = "") -> Note | Refused:
        """Write a note, or edit the one with id `note`."""

    def react(self, thread: Thread, iid: int, note: str, *, ok: bool) -> Refused | None:
        """Acknowledge a note."""

    def label(self, iid: int, label: str, *, on: bool) -> Refused | None:
        """Put a label on a merge request, or take it off; one that is as it should be is an ordinary answer."""

    def put_dashboard(self, iid: int, title: str, body: str) -> Issue | Refused:
        """Set the text of the dashboard issue, or open one where `iid` is 0."""


class Forge(ForgeReader, ForgeWriter, Protocol):
    """A whole forge."""


class PipelinesReader(Protocol):
    """What a downstream server tells of runs."""

    def status(self, pipeline: Pipeline | None, run: Run) -> RunFact:
        """The present state of a run with a handle."""

    def find(self, pipeline: Pipeline | None, run: Run) -> RunFact | None:
        """Did this key start? None is a clear no; a server that cannot tell gives status `unknown`."""

    def known(self, runs: Iterable[Run]) -> None:
        """All runs on this server that have a handle, told before `find`: what they began is no other run's.

        No request is made. Nothing has to be noted where the server can be asked by run key.
        """

    def mark(self, pipeline: Pipeline) -> str:
        """What is on the server before a start, to be saved with the intent as `run.mark`.

        By it `find` tells a new execution from older ones where the server cannot be asked by run key; empty where
        it can.
        """

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Why the server is not up, or None where it is; `Refused.again` says whether it is worth asking again."""

    def details(self, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any]:
        """More about a run for reports, ready for JSON; empty where there is nothing to add."""

    def preview(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> Mapping[str, Any]:
        """What `start` would send (`method`, `url`, `body`), without a secret; or `refused` with the reason."""


class PipelinesWriter(Protocol):
    """What is written to a downstream server."""

    def start(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> RunFact | Refused:
        """Start a run with its key."""

    def cancel(self, pipeline: Pipeline, run: Run) -> RunFact | Refused:
        """Stop a run; a run that is over already is an ordinary answer."""

    def clean(self, pipeline: Pipeline, *, force: bool) -> tuple[str, ...] | Refused:
        """Remove what the server keeps of a job's runs, those that are active only by force; returns their names.

        Refused where a server keeps its own account of them.
        """


class Pipelines(PipelinesReader, PipelinesWriter, Protocol):
    """A whole pipelines provider."""


class Refs(Protocol):
    """Branches and tags of code repositories."""

    def resolve(self, url: str, refs: Iterable[str]) -> Mapping[str, str] | Unreachable:
        """Each ref's commit sha, in one request; empty for a ref that does not exist. Never called for full shas."""


class Histories(Protocol):
    """Ancestry of code repositories."""

    def lineage(self, url: str, shas: Iterable[str]) -> Lineage | Unreachable:
        """How these shas descend from each other."""

    def titles(self, url: str, old: str, new: str) -> tuple[Title, ...] | Unreachable:
        """Return the commits after `old` up to `new`, newest first, at most 20."""


class Builds(Protocol):
    """Build jobs of one server, as sources of change."""

    def newest(self, job: str, ref: str, url: str) -> Build | None:
        """The newest successful build of a job; None where none has succeeded. A newer failure hides nothing.

        `ref` is the branch or tag that the target follows, for servers whose jobs build several; `url` is the code
        repository whose commit is wanted, where a build checked out more than one. The commit comes from the
        build's own account of what it built; a build that gives none is passed over.
        """


class Documents(Protocol):
    """JSON documents of servers that tell of builds, such as a release controller."""

    def value(self, source: NewBuild) -> str:
        """The value of the field in the document at the source's url, as text."""


class JobLists(Protocol):
    """Lists of jobs that stand outside of the config: a key in a folder of secrets, both named in the environment."""

    def read(self, source: JobsFrom) -> bytes:
        """The list's content. Raises ServerUnreachable where a variable is not set or the file cannot be read."""


class Images(Protocol):
    """Container images of one registry."""

    def digest(self, repository: str, tag: str) -> str:
        """The digest that a tag stands for (`sha256:...`), of an index as of a single manifest; empty where missing."""


class StateStore(Protocol):
    """The statefile's store with compare-and-swap."""

    def read(self) -> tuple[bytes, str] | None:
        """Content and etag, or None where there is none."""

    def write(self, data: bytes, etag: str) -> str | Refused:
        """Replace the content if its etag still is `etag` (empty: there must be none); return the new etag."""


class QueueReader(Protocol):
    """What the work queue tells."""

    def items(self) -> Sequence[QueueItem]:
        """Every subject in it, by due time and then by name; dead ones last."""


class QueueWriter(Protocol):
    """What is written to the work queue. One subject is in it once, and is never handled by two processors at once."""

    def add(self, due: Due) -> bool:
        """Put a subject in that is not there; one that is keeps its due time. Returns whether it was added."""

    def ask(self, due: Due) -> None:
        """Bring a subject forward, or put it in; one that is just being handled is looked at again after that."""

    def remove(self, subject: str) -> bool:
        """Take a subject out, unless a processor is at it; returns whether it was there."""

    def clear(self) -> int:
        """Take everything out that no processor is at; returns how many there were."""

    def work(self, handle: Callable[[QueueItem], Ending], *, until: Until, stopped: Callable[[], bool]) -> int:
        """Take due subjects, the earliest first, hand each to `handle` and settle how that ended; returns how many.

        A processor that dies in the middle leaves its subject to another one. `handle` raises nothing that is ordinary;
        what it raises all the same counts as `Failed`.
        """


class Queue(QueueReader, QueueWriter, Protocol):
    """A whole work queue. Raises ServerUnreachable where it cannot be reached."""


class Clock(Protocol):
    """The only source of time and randomness."""

    def now(self) -> datetime:
        """Now, aware, in UTC; `--now` replaces it."""

    def real(self) -> datetime:
        """The real time, whatever `--now` says; only for deadlines of the process itself."""

    def nonce(self) -> str:
        """Return a fresh random lineage."""

    def sleep(self, seconds: float) -> None:
        """Wait in real time."""


class Until(StrEnum):
    """How long a processor works."""

    ONE = "one"
    """One subject, if one is due."""
    DRAINED = "drained"
    """Until nothing is due."""
    STOPPED = "stopped"
    """Until it is told to stop."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports of one process, put together by `bot.providers.build`."""

    config: ConfigRepository
    cache: Cache
    forge: Forge
    pipelines: PipelinesFor
    builds: BuildsFor
    images: ImagesFor
    documents: Documents
    job_lists: JobLists
    refs: Refs
    histories: Histories
    state: StateStore
    clock: Clock
