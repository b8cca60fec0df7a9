"""The job list of OpenShift CI's `trigger-jobs` step: a JSON list whose elements have one of two shapes.

The older one is a job, `{"job_name", "active"}`. The newer one is a group: `jobList` with conditions (`trigCond`) that
hold for all of its jobs, and tasks for afterwards (`postTask`). Both may stand in one list.
https://github.com/openshift/release/tree/master/ci-operator/step-registry/trigger-jobs
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any

from bot.formats.json_documents import document_of
from bot.formats.time_conditions import time_condition
from bot.model.triggers import Condition, Job

TIME_EVAL = "trigger-jobs-trig-time-eval"
OWNER = "trigger-jobs-trig-check-resource-owner"
"""A step that does not ask who owns anything yet: it holds in even ISO weeks."""

REHEARSAL = "rehearse-"
"""What the names of jobs begin with that Prow makes for a pull request: Gangway knows none of them."""

JOB_TYPES = ("periodic",)
"""The kinds of jobs that a list may have, as in the original."""

_AFTER = ("activeAfter", "active_after")
_UNTIL = ("activeUntil", "active_until")
_DATES = (*_AFTER, *_UNTIL)
_SINGLE = ("job_name", "active", *_DATES)
_LISTED = ("jobType", "jobName", "active", *_DATES)
_GROUP = ("skipJobTriggers", "trigCond", "jobList", "postTask")
_CONDITION = ("trigCondFlgs", "trigCondStep", "trigCondPars")
_TASK = ("postTaskFlgs", "postTaskStep", "postTaskPars")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?", re.ASCII)
_SHOWN = 80  # characters


@dataclass(frozen=True, slots=True)
class GangwayList:
    """What a list asks for: its jobs in the order of the file, conditions and dates with them.

    `post_tasks` are tasks that nobody carries out here, `notes` what was left aside; each begins with its place.
    """

    jobs: tuple[Job, ...]
    post_tasks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """What was found so far; `places` tells where a job was named first."""

    mask: int
    jobs: list[Job] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    post_tasks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)


@lru_cache(maxsize=256)
def read_gangway_list(data: bytes, mask: int = 0) -> GangwayList | tuple[str, ...]:
    """The list in a JSON text, or everything that is wrong with it; `mask` as in `gangway_list_of`."""
    try:
        document = document_of(data)
    except ValueError as error:
        return (str(error),)
    return gangway_list_of(document, mask)


def gangway_list_of(document: Any, mask: int = 0) -> GangwayList | tuple[str, ...]:
    """The list in a parsed document, or everything that is wrong with it.

    A condition counts if its `trigCondFlgs` and `mask` have a bit in common; with the mask 0, if it has any.
    """
    if not isinstance(document, list):
        return ("it is not a list of jobs",)
    found = _Found(mask)
    for index, element in enumerate(document):
        _element(element, f"[{index}]", found)
    if found.faults:
        return tuple(found.faults)
    return GangwayList(tuple(found.jobs), tuple(found.post_tasks), tuple(found.notes))


def _element(element: Any, at: str, found: _Found) -> None:
    if not isinstance(element, Mapping):
        found.faults.append(f"{at}: an element is an object with `job_name` or `jobList`")
    elif "job_name" in element:
        found.faults += _unknown(element, at, _SINGLE)
        _job(element, at, found, "job_name", ())
    elif "jobList" in element or "postTask" in element:
        _group(element, at, found)
    else:
        hint = "; `jobName` stands in a `jobList`" if "jobName" in element else ""
        found.faults.append(f"{at}: there is neither `job_name` nor `jobList`{hint}")


def _group(group: Mapping[str, Any], at: str, found: _Found) -> None:
    found.faults += _unknown(group, at, _GROUP)
    left_out = group.get("skipJobTriggers", False)
    if not isinstance(left_out, bool):
        found.faults.append(f"{at}: `skipJobTriggers` is `true` or `false`")
    elif left_out:
        found.notes.append(f"{at}: its jobs are not active, because of `skipJobTriggers`")
    conditions: list[Condition] = []
    for place, item in _items(group, "trigCond", at, found):
        conditions += _condition(item, place, found)
    for place, item in _items(group, "jobList", at, found):
        found.faults += _unknown(item, place, _LISTED)
        kind = item.get("jobType", JOB_TYPES[0])
        if kind not in JOB_TYPES:
            found.faults.append(f"{place}: the `jobType` {_word(kind)} is not known: known is {', '.join(JOB_TYPES)}")
        _job(item, place, found, "jobName", tuple(conditions), left_out=left_out is True)
    for place, item in _items(group, "postTask", at, found):
        found.faults += _unknown(item, place, _TASK)
        found.post_tasks.append(f"{place}: the task {_word(item.get('postTaskStep'))} is not carried out here")


def _items(group: Mapping[str, Any], key: str, at: str, found: _Found) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects in a list of a group, with their places; `null` is a list of none."""
    items = group.get(key)
    if items is None:
        return
    if not isinstance(items, list):
        found.faults.append(f"{at}: `{key}` is a list")
        return
    for index, item in enumerate(items):
        if isinstance(item, Mapping):
            yield f"{at}.{key}[{index}]", item
        else:
            found.faults.append(f"{at}.{key}[{index}]: it is not an object")


def _condition(given: Mapping[str, Any], at: str, found: _Found) -> tuple[Condition, ...]:
    """The conditions that one of the list stands for; none where its flags do not count."""
    found.faults += _unknown(given, at, _CONDITION)
    flags, step = given.get("trigCondFlgs", 0), given.get("trigCondStep")
    if isinstance(flags, bool) or not isinstance(flags, int) or flags < 0:
        found.faults.append(f"{at}: `trigCondFlgs` is a whole number")
        return ()
    if not (flags & found.mask if found.mask else flags):
        found.notes.append(f"{at}: left aside, because its `trigCondFlgs` do not count")
        return ()
    if step != TIME_EVAL:
        hint = "; it holds in even weeks so far, which is `isoWeek: {every: 2}`" if step == OWNER else ""
        found.faults.append(f"{at}: the condition {_word(step)} is not known: known is {TIME_EVAL}{hint}")
        return ()
    held = time_condition(given.get("trigCondPars"))
    if isinstance(held, str):
        found.faults.append(f"{at}: {held}")
        return ()
    return held


def _job(
    given: Mapping[str, Any],
    at: str,
    found: _Found,
    key: str,
    conditions: tuple[Condition, ...],
    *,
    left_out: bool = False,
) -> None:
    """Take a job, or note what is wrong with it."""
    name, active = given.get(key), given.get("active", False)
    if not isinstance(name, str) or not name.strip():
        found.faults.append(f"{at}: `{key}` is missing or empty")
        return
    if name in found.places:
        found.faults.append(f"{at}: the job {_word(name)} stands at {found.places[name]} already")
    found.places.setdefault(name, at)
    if not isinstance(active, bool):
        found.faults.append(f"{at}: `active` is `true` or `false`, not a text or a number")
    after, until = (_bound(given, keys, at, found) for keys in (_AFTER, _UNTIL))
    if after is not None and until is not None and _start(until) < _start(after):
        found.faults.append(f"{at}: it ends before it begins: `{_UNTIL[0]}` lies before `{_AFTER[0]}`")
    rehearsal = name.startswith(REHEARSAL)
    if rehearsal:
        found.notes.append(f"{at}: the job {_word(name)} is a rehearsal, which Gangway cannot start: it is not active")
    starts = active is True and not left_out and not rehearsal
    found.jobs.append(Job(name, starts, after, until, conditions=conditions))


def _bound(given: Mapping[str, Any], keys: tuple[str, ...], at: str, found: _Found) -> date | datetime | None:
    """A day or a moment, in either spelling of its key."""
    named = [key for key in keys if given.get(key) is not None]
    if len(named) > 1:
        found.faults.append(f"{at}: `{named[0]}` and `{named[1]}` are the same")
    if not named:
        return None
    bound = _moment(given[named[0]])
    if bound is None:
        found.faults.append(f"{at}: `{named[0]}` is a day (2026-01-31) or a time (2026-01-31T06:00:00Z)")
    return bound


def _moment(text: Any) -> date | datetime | None:
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if "T" in text else date.fromisoformat(text)
    except (ValueError, OverflowError):
        return None


def _start(bound: date | datetime) -> datetime:
    """The first moment of a bound, which is enough to compare two."""
    return bound if isinstance(bound, datetime) else datetime.combine(bound, time(), UTC)


def _unknown(given: Mapping[str, Any], at: str, known: tuple[str, ...]) -> Iterator[str]:
    for key in given:
        if key not in known:
            yield f"{at}: there is no key `{key[:_SHOWN]}`: known are {', '.join(known)}"


def _word(value: Any) -> str:
    return f"`{value[:_SHOWN]}`" if isinstance(value, str) and value else "(no text)"
