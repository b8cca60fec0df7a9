"""The checks within a trigger definition that a JSON schema cannot say: dates, and what jobs say of each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

from bot.config.documents import mapping_of, maps, texts
from bot.config.rules import Issue
from bot.config.source import Pointer
from bot.config.values import moment


def jobs_of(doc: dict[str, Any]) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    """Yield every job of a definition with its place."""
    groups: list[tuple[Pointer, Any]] = [(("jobs",), doc.get("jobs"))]
    groups += [(("stages", index, "jobs"), stage.get("jobs")) for index, stage in maps(doc.get("stages"))]
    for at, jobs in groups:
        for index, job in maps(jobs):
            yield (*at, index), job


def check_jobs(doc: dict[str, Any]) -> Iterator[Issue]:
    """Yield names that are there twice, jobs that come after none that there is, and dates that cannot be."""
    if "instance" not in doc:
        message = "this definition names no instance, so nothing of it can start"
        yield Issue("missing-instance", (), message, "name one: `instance: {$ref: /instances/...}`")
    jobs = list(jobs_of(doc))
    names = {job["name"] for _, job in jobs if isinstance(job.get("name"), str)}
    seen: set[str] = set()
    for at, job in jobs:
        name = job.get("name")
        if isinstance(name, str) and name in seen:
            yield Issue("duplicate-job", (*at, "name"), f"the job `{name[:80]}` is there twice", "remove one")
        seen.add(str(name))
        for index, other in enumerate(texts(job.get("after"))):
            if other not in names or other == name:
                message = f"no other job of this definition is called `{other[:80]}`"
                yield Issue("unknown-job", (*at, "after", index), message, "correct the name")
        yield from _dates(job, at)
        yield from _conditions(job, at)
    yield from _conditions(doc, ())
    yield from _circles(jobs)


def _circles(jobs: list[tuple[Pointer, dict[str, Any]]]) -> Iterator[Issue]:
    """Yield jobs that wait for each other, and those that wait for a job of a later stage: none of them ever starts."""
    after = {str(job.get("name")): texts(job.get("after")) for _, job in jobs}
    stages = {str(job.get("name")): int(at[1]) for at, job in jobs if at[0] == "stages"}
    for at, job in jobs:
        name = str(job.get("name"))
        if name not in after[name] and name in _behind(after, name):
            message = f"the job `{name[:80]}` waits for itself, through the jobs that it comes after"
            yield Issue("job-cycle", (*at, "after"), message, "take one of them out of `after`")
        for index, other in enumerate(after[name]):
            if stages.get(other, 0) > stages.get(name, 0):
                message = f"the job `{other[:80]}` is in a later stage: it has to have succeeded in an earlier round"
                place = (*at, "after", index)
                yield Issue("job-cycle", place, message, "move one of them, or take this out", warning=True)


def _behind(after: dict[str, tuple[str, ...]], name: str) -> set[str]:
    """All jobs that a job waits for, directly or not."""
    found: set[str] = set()
    waiting = list(after[name])
    while waiting:
        other = waiting.pop()
        if other not in found and other in after:
            found.add(other)
            waiting += after[other]
    return found


def _dates(job: dict[str, Any], at: Pointer) -> Iterator[Issue]:
    ends = []
    for key in ("activeAfter", "activeUntil"):
        text = job.get(key)
        if isinstance(text, str):
            found = _moment(text)
            ends.append(found)
            if found is None:
                yield Issue("bad-date", (*at, key), f"`{text[:80]}` is no day of the calendar", "write 2026-01-31")
    match ends:
        case [after, until] if after and until and until < after:
            message = "it ends before it begins: this job is never active"
            yield Issue("bad-date", (*at, "activeUntil"), message, "set `activeUntil` after `activeAfter`")


def _moment(text: str) -> datetime | None:
    """A day or a moment; days count from their first moment, which is enough to compare them."""
    if "T" in text:
        return moment(text)
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        return None


def _conditions(doc: dict[str, Any], at: Pointer) -> Iterator[Issue]:
    for index, condition in maps(doc.get("conditions")):
        held = mapping_of(condition.get("dateRange"))
        for key in ("from", "to"):
            text = held.get(key)
            if isinstance(text, str) and _moment(text) is None:
                place = (*at, "conditions", index, "dateRange", key)
                yield Issue("bad-date", place, f"`{text[:80]}` is no day of the calendar", "write 2026-01-31")
