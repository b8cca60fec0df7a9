"""What a store says of jobs, as values: rows put together by job, and a job's state in the words of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.providers.downstream import moment
from bot.providers.pipelines.sparql_texts import ACTIVE, STATUS
from bot.providers.sparql_api import Row, one_line
from bot.providers.sparql_terms import name

STATUSES: Mapping[str, RunStatus] = {
    "scheduled": RunStatus.PENDING,
    "busy": RunStatus.RUNNING,
    "success": RunStatus.SUCCEEDED,
    "failed": RunStatus.FAILED,
    "canceled": RunStatus.CANCELED,
}
"""The statuses of jobs and tasks in our words."""

_LATEST = datetime.max.replace(tzinfo=UTC)

ERRORS_TOLD = 3
"""How many error messages of a job stand in a run's text."""

_TIMES = {"created": ("dct", "created"), "modified": ("dct", "modified")}
_TOLD = {"operation": ("task", "operation"), "index": ("task", "index")} | _TIMES
_READ = {"operation": ("task", "operation"), "status": ("adms", "status")} | _TIMES
_JOB = name("cogs", "Job")
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


class StoredJob(NamedTuple):
    """A job of an operation, as `trigger clean` and `trigger status` show it; None where it says no time."""

    uri: str
    status: RunStatus
    created: datetime | None
    modified: datetime | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as a row tells of it; `words` are its statuses, which should be one."""

    uri: str
    graph: str
    operation: str
    words: tuple[str, ...]
    created: datetime | None
    modified: datetime | None

    @property
    def status(self) -> RunStatus:
        """Its state in our words."""
        return status_of(self.words)

    @property
    def active(self) -> bool:
        """Whether it may still change."""
        return any(word in ACTIVE for word in self.words)

    @property
    def stored(self) -> StoredJob:
        """The same for people."""
        return StoredJob(self.uri, self.status, self.created, self.modified)

    def fact(self, handle: str, text: str) -> RunFact:
        """The same as a run."""
        ended = self.modified if not self.status.in_flight else None
        unknown = f"its status is {' and '.join(self.words) or 'not there'}" if self.status is RunStatus.UNKNOWN else ""
        return RunFact(self.status, handle, "", "; ".join(filter(None, (text, unknown))), self.created, ended)


def status_of(words: Sequence[str]) -> RunStatus:
    """A state in our words; while one of several statuses is an active one, it may still change."""
    active = [word for word in words if word in ACTIVE]
    found = {STATUSES.get(word, RunStatus.UNKNOWN) for word in active or words}
    return found.pop() if len(found) == 1 else RunStatus.RUNNING if active else RunStatus.UNKNOWN


def seen_jobs(rows: Iterable[Row], graph: str) -> tuple[Seen, ...]:
    """The jobs of a list, by creation; `graph` is where those are that say no graph."""
    found: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        for variable, value in row.items():
            found[(row["job"], row.get("graph", graph))][variable].add(value)
    jobs = [_seen(uri, where, values) for (uri, where), values in found.items()]
    return tuple(sorted(jobs, key=lambda job: (job.created or job.modified or _LATEST, job.uri)))


def _seen(uri: str, graph: str, values: Mapping[str, set[str]]) -> Seen:
    words = tuple(sorted(_word(value) for value in values.get("status", ())))
    operation = ", ".join(sorted(values.get("operation", ())))
    created, modified = _times(values.get("created", ())), _times(values.get("modified", ()))
    return Seen(uri, graph, operation, words, min(created, default=None), max(modified, default=None))


def _word(status: str) -> str:
    return status.removeprefix(STATUS)


def _times(values: Iterable[str]) -> list[datetime]:
    return [found for found in map(moment, values) if found is not None]


@dataclass(frozen=True, slots=True)
class WholeJob:
    """A job with its tasks and errors: `things` maps each of their URIs to its properties."""

    job: Seen
    things: Mapping[str, Mapping[str, Sequence[str]]]

    @property
    def errors(self) -> str:
        """The first messages of its errors, those of its tasks included; of each its first line."""
        texts = (text for each in self.things.values() for text in each.get(name("oslc", "message"), ()))
        messages = [one_line(text.strip().partition("\n")[0]) for text in texts]
        more = len(messages) - ERRORS_TOLD
        return "; ".join(messages[:ERRORS_TOLD]) + (f" and {more} more" if more > 0 else "")

    @property
    def details(self) -> dict[str, Any]:
        """The job and its tasks in the order of their index, JSON-ready."""
        own = self.things[self.job.uri]
        tasks = [uri for uri, each in self.things.items() if self.job.uri in each.get(name("dct", "isPartOf"), ())]
        ordered = sorted(tasks, key=lambda uri: (_index(self.things[uri]), uri))
        return _told(self.job.uri, own) | {"tasks": [_told(uri, self.things[uri]) for uri in ordered]}


def _index(thing: Mapping[str, Sequence[str]]) -> list[int]:
    """A task's place among the others: `2.10` comes after `2.9`."""
    parts = (thing.get(name("task", "index")) or ("",))[0].split(".")
    return [int(part) if part.isascii() and part.isdigit() else 0 for part in parts]


def _told(uri: str, thing: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    told = {key: thing[name(*at)][0] for key, at in _TOLD.items() if name(*at) in thing}
    status = status_of([_word(each) for each in thing.get(name("adms", "status"), ())])
    return {"uri": uri, "status": status.value, **told}


def whole_jobs(rows: Iterable[Row], uri: str, graph: str) -> WholeJob | None:
    """The job of this URI with all that belongs to it; None where the rows hold no such job."""
    things: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda each: (each["thing"], each["property"], each["value"])):
        things[row["thing"]][row["property"]].append(row["value"])
        graph = graph or row.get("graph", "")
    own = things.get(uri)
    if own is None or _JOB not in own.get(_TYPE, ()):
        return None
    values = {key: set(own.get(name(*at), ())) for key, at in _READ.items()}
    return WholeJob(_seen(uri, graph, values), {thing: dict(found) for thing, found in things.items()})
