"""Import: a definition document out of another tool's file, for `saasbot trigger import` (DESIGN section 7). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, assert_never

from bot.formats.background_jobs import BackgroundJobs, Entry, background_of, settings_of
from bot.formats.gangway_list import GangwayList, gangway_list_of
from bot.formats.gravitee_release import ReleasePlan, plan_of
from bot.model.triggers import Condition, DateRange, DayOfMonth, IsoWeek, Job, NewBuild

KIND = "/trigger-1.json"
"""The `$schema` of a definition."""

BACKGROUND_KEYS = frozenset(
    {
        "jobsGraph",
        "startInitialSync",
        "initialPublicationGraphSyncJobOperation",
        "dumpFileCreationJobOperation",
        "healingJobOperation",
    }
)
"""What tells an entry of background settings from an element of a job list."""

DATED, FIPS, ZSTREAM = "self-managed-lp-interop-jobs", "fips", "zstream"
"""Words in a list's name by which `trigger-jobs` chooses the days of a month on which it starts the list's jobs."""

FIRST_DAYS = 7
"""Until which day of a month the lists for FIPS are started; the others are after it."""

MINUTE = timedelta(minutes=1)
_UNFIT = re.compile(r"[/\s\x00-\x1f\x7f]+")
_OWNERS = "set `owners`: who may start it by command (`trigger start`, or in a comment)"


@dataclass(frozen=True, slots=True)
class Imported:
    """Definition documents (kind `/trigger-1.json`, plain values), and what their reader has to know or to check."""

    documents: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()


def imported(name: str, data: bytes, *, trigger: str, instance: str) -> Imported | tuple[str, ...]:
    """The definitions that a file asks for, or everything that is wrong with it; its format is told from its content.

    `name` is the file's name; `trigger` is what the definition is called, empty for a name out of the file or of the
    file's name; `instance` is the path of the instance's file, as in a `$ref`. Several definitions are only there for
    settings with several entries, and then the entries' names follow on `trigger`.
    """
    try:
        document = settings_of(data)
    except ValueError as error:
        return (str(error),)
    found = _read(document)
    where = instance if instance.startswith("/") else f"/{instance}"
    match found:
        case GangwayList():
            return _gangway(name, found, trigger, where)
        case BackgroundJobs():
            return _background(name, found, trigger, where)
        case ReleasePlan():
            return _release(name, found, trigger, where)
        case _:
            return found


def _read(document: Any) -> GangwayList | BackgroundJobs | ReleasePlan | tuple[str, ...]:
    """What a document says, read in its own format."""
    if isinstance(document, list) and not document:
        return ("the list is empty: there is nothing to import",)
    if isinstance(document, list):
        entries = any(isinstance(each, dict) and not BACKGROUND_KEYS.isdisjoint(each) for each in document)
        return background_of(document, convert=True) if entries else gangway_list_of(document)
    if "components" in document or "buildDependencies" in document:
        return plan_of(document)
    if not BACKGROUND_KEYS.isdisjoint(document):
        return ("it is one entry of background settings: put it into a list, as the initiator wants it",)
    if any(key in document for key in ("job_name", "jobList")):
        return ("it is one element of a job list: put it into a list, as `trigger-jobs` wants it",)
    return background_of(document, convert=True)


def _gangway(name: str, found: GangwayList, trigger: str, instance: str) -> Imported | tuple[str, ...]:
    if not found.jobs:
        return ("the list has no jobs: there is nothing to import",)
    days, note = _dated(name)
    document = {
        **_head(trigger or _stem(name), instance),
        **({"conditions": [_condition(days)]} if days else {}),
        "jobs": [_job(job) for job in found.jobs],
    }
    notes = (
        *found.notes,
        *found.post_tasks,
        *([note] if note else []),
        "when it starts is not in the list but in the CI job around it: set `on.schedule`",
        _OWNERS,
    )
    return Imported((document,), notes)


def _dated(name: str) -> tuple[DayOfMonth | None, str]:
    """The days of a month that a list's name stands for, and what is to be said of it."""
    if DATED not in name:
        return None, ""
    if ZSTREAM in name:
        return None, "jobs for z-streams start for each new build: name it under `conditions` as `newBuild`"
    days = DayOfMonth(last=FIRST_DAYS) if FIPS in name else DayOfMonth(first=FIRST_DAYS + 1)
    span_of_days = f"days {days.first} to {days.last}"
    return days, f"the condition on {span_of_days} of a month comes from the list's name, as in `trigger-jobs`"


def _background(name: str, found: BackgroundJobs, trigger: str, instance: str) -> Imported:
    several = len(found.entries) > 1
    documents = []
    for entry in found.entries:
        base = trigger or ("" if entry.name else _stem(name))
        called = "-".join(part for part in (base, entry.name if several or not base else "") if part)
        documents.append(_stream(called, entry, instance))
    notes = (*found.notes, *_background_notes(found), _OWNERS)
    return Imported(tuple(documents), notes)


def _stream(name: str, entry: Entry, instance: str) -> dict[str, Any]:
    """The definition of one stream of deltas."""
    return {
        **_head(name, instance),
        **({"timeout": f"{entry.timeout // MINUTE}m"} if entry.timeout else {}),
        "with": entry.options_in(name),
        "jobs": [_job(job) for job in entry.jobs],
    }


def _background_notes(found: BackgroundJobs) -> Iterator[str]:
    for entry in found.entries:
        whose = f"{entry.name}: " if entry.name else ""
        if not entry.timeout:
            yield f"{whose}a job still active after 6 hours is set to failed; set `timeout` if that is too soon"
        first = next((job for job in entry.jobs if job.once), None)
        if first is not None and not first.active:
            yield f"{whose}the initial sync is not active; remove `active: false` when it is to start"
    yield "the instance is the triple store: its `url` is what MU_SPARQL_ENDPOINT was"


def _release(name: str, plan: ReleasePlan, trigger: str, instance: str) -> Imported:
    document = {
        **_head(trigger or _fit(plan.name) or _stem(name), instance),
        "jobsFrom": {"file": name, "format": "gravitee-release"},
    }
    notes = [
        f"put `{name}` into the config repository and its path under `jobsFrom.file`; successes are written there",
        "`secrethub_org`, `secrethub_repo` and `maven_profile_id` are set under `with.parameters`",
        _OWNERS,
    ]
    if not plan.organization:
        notes.insert(1, "the manifest does not say where its repositories are: set `with.project` (`gh/acme/{job}`)")
    return Imported((document,), tuple(notes))


def _head(name: str, instance: str) -> dict[str, Any]:
    return {"$schema": KIND, "name": name, "instance": {"$ref": instance}, "on": {"command": True}}


def _job(job: Job) -> dict[str, Any]:
    """A job as it is written."""
    return {
        "name": job.name,
        **({} if job.active else {"active": False}),
        **({} if job.active_after is None else {"activeAfter": _bound(job.active_after)}),
        **({} if job.active_until is None else {"activeUntil": _bound(job.active_until)}),
        **({"conditions": [_condition(each) for each in job.conditions]} if job.conditions else {}),
        **({"schedule": job.schedule.cron} if job.schedule else {}),
        **({"after": list(job.after)} if job.after else {}),
        **({"once": True} if job.once else {}),
        **({"with": dict(job.options)} if job.options else {}),
    }


def _condition(condition: Condition) -> dict[str, Any]:
    """A condition as it is written; the lists of other tools know the first two kinds."""
    match condition:
        case DayOfMonth(first, last):
            ends = {"min": (first, 1), "max": (last, 31)}
            return {"dayOfMonth": {key: value for key, (value, usual) in ends.items() if value != usual}}
        case IsoWeek(every, offset):
            return {"isoWeek": {"every": every, "offset": offset} if offset else {"every": every}}
        case DateRange() | NewBuild():
            raise TypeError(condition)
        case _:
            assert_never(condition)


def _bound(bound: date | datetime) -> str:
    if isinstance(bound, datetime):
        return bound.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return bound.isoformat()


def _stem(name: str) -> str:
    """What a definition is called after its file."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return _fit(last.rsplit(".", 1)[0] if "." in last[1:] else last) or "imported"


def _fit(name: str) -> str:
    """A name as definitions may have it: neither slashes nor white space."""
    return _UNFIT.sub("-", name).strip("-.")
