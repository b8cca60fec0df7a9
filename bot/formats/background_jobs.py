"""Settings of the delta producer's background jobs initiator, in both of its generations, read into jobs.

Since version 1 they are a JSON list with an entry for each stream of deltas; before, they were environment variables,
here as `KEY=VALUE` lines or as a JSON object. Either way an entry has up to three jobs: initial sync, dump, healing.
https://github.com/lblod/delta-producer-background-jobs-initiator
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from bot.formats.background_variables import VARIABLES, read_variables
from bot.formats.cron import cron_fault
from bot.formats.json_documents import document_of, text_of
from bot.model.triggers import Job, Schedule

INITIAL_SYNC, DUMP, HEALING = "initial-sync", "dump", "healing"

DEFAULT_CRON = "0 0 0 * * *"
"""When dumps and healing start, where nothing is said: every day at midnight."""

SYNC_CRON = "0 30 * * * *"
"""When an initial sync that starts by itself is tried, until one has succeeded; the initiator does so at its start."""

DEFAULT_GRAPH = "http://mu.semte.ch/graphs/system/jobs"
"""Where environment variables that do not name a graph have jobs kept."""

ERROR_CREATOR = "http://lblod.data.gift/services/delta-producer-background-jobs-initiator"
"""Who creates errors, where nothing is said; an entry of a list adds a slash and its name."""

A_YEAR = 365 * 24 * 60
"""Minutes: the longest time-out."""

_OPERATIONS = {
    INITIAL_SYNC: "initialPublicationGraphSyncJobOperation",
    DUMP: "dumpFileCreationJobOperation",
    HEALING: "healingJobOperation",
}
_TEXTS = ("name", "jobsGraph", *_OPERATIONS.values(), "cronPatternDumpJob", "cronPatternHealingJob", "errorCreatorUri")
_FLAGS = (
    "startInitialSync",
    "disableDumpFileCreation",
    "disableHealingJobOperation",
    "healShouldNotWaitForInitialSync",
)
_NAME = re.compile(r"[^/\s\x00-\x1f\x7f]+")
_MONTH = re.compile(r"(?<![/\d])\d+")
_SHOWN = 80  # characters


@dataclass(frozen=True, slots=True)
class Entry:
    """One stream of deltas: its jobs, and the `with` block that they share; `name` is empty for an environment.

    `timeout`, which stands in the block as well, is None where nothing is said of it. `error_creator` is empty for the
    usual one of a list's entry.
    """

    name: str
    jobs: tuple[Job, ...]
    options: Mapping[str, Any]
    error_creator: str = ""
    timeout: timedelta | None = None

    def options_in(self, trigger: str) -> dict[str, Any]:
        """The `with` block in a definition of this name."""
        usual = ERROR_CREATOR if not self.name else f"{ERROR_CREATOR}/{quote(self.name, safe='')}"
        creator = self.error_creator or usual
        own = {} if creator == f"{ERROR_CREATOR}/{quote(trigger, safe='')}" else {"errorCreator": creator}
        return {**self.options, **own}


@dataclass(frozen=True, slots=True)
class BackgroundJobs:
    """What the settings ask for; `notes` say what was left aside or changed on the way, and where."""

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    def jobs_in(self, trigger: str) -> tuple[Job, ...]:
        """All jobs for a definition of this name; those of several entries begin with their entry's name."""
        several = len(self.entries) > 1
        return tuple(
            _prefixed(replace(job, options={**entry.options_in(trigger), **job.options}), entry.name if several else "")
            for entry in self.entries
            for job in entry.jobs
        )


@dataclass(slots=True)
class _Found:
    """What was found so far. `convert`: months count from 0, and are made to count from 1."""

    convert: bool
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@lru_cache(maxsize=64)
def read_background(data: bytes, *, convert: bool = False) -> BackgroundJobs | tuple[str, ...]:
    """The jobs in settings of either generation, or everything that is wrong with them.

    Numbers of months in cron expressions count from 0 there and from 1 here: they are refused, or with `convert` made
    to mean the same here. Names of months mean the same in both.
    """
    try:
        document = settings_of(data)
    except ValueError as error:
        return (str(error),)
    return background_of(document, convert=convert)


def settings_of(data: bytes) -> Any:
    """A document in JSON, or the variables in `KEY=VALUE` lines. Raises ValueError for what is neither."""
    text = text_of(data)
    return document_of(data) if text.lstrip()[:1] in ("[", "{") else read_variables(text)


def background_of(document: Any, *, convert: bool = False) -> BackgroundJobs | tuple[str, ...]:
    """The jobs in parsed settings: a list of entries, or an object of environment variables."""
    found = _Found(convert)
    match document:
        case list():
            entries = [each for each in _listed(document, found) if each is not None]
        case dict():
            entries = [_environment(document, found)]
        case _:
            return ("it is neither a list of entries nor an object of environment variables",)
    if found.faults:
        return tuple(found.faults)
    return BackgroundJobs(tuple(entries), tuple(found.notes))


def _prefixed(job: Job, name: str) -> Job:
    prefix = f"{name}-" if name else ""
    return replace(job, name=prefix + job.name, after=tuple(prefix + each for each in job.after))


def _listed(document: list[Any], found: _Found) -> Iterator[Entry | None]:
    names = Counter(str(each.get("name", "")) for each in document if isinstance(each, dict))
    for name, count in names.items():
        if name and count > 1:
            found.faults.append(f"the name `{name[:_SHOWN]}` stands there {count} times")
    for index, each in enumerate(document):
        at = f"[{index}]"
        if not isinstance(each, dict):
            found.faults.append(f"{at}: an entry is an object with `name`, `jobsGraph` and operations")
            continue
        before = len(found.faults)
        found.faults += _shape(each, at)
        for key in ("name", "jobsGraph"):
            if not each.get(key):
                found.faults.append(f"{at}: `{key}` is missing")
        yield _entry(each, {}, at, found) if len(found.faults) == before else None


def _shape(entry: Mapping[str, Any], at: str) -> Iterator[str]:
    """What is wrong with the keys of an entry."""
    for key, value in entry.items():
        if key not in (*_TEXTS, *_FLAGS):
            yield f"{at}: there is no key `{key[:_SHOWN]}`: known are {', '.join((*_TEXTS, *_FLAGS))}"
        elif key in _FLAGS and not isinstance(value, bool):
            yield f"{at}: `{key}` is `true` or `false`"
        elif key in _TEXTS and not isinstance(value, str):
            yield f"{at}: `{key}` is a text"
    name = entry.get("name")
    if isinstance(name, str) and name and not _NAME.fullmatch(name):
        yield f"{at}: `name` has neither a slash nor white space"


def _environment(document: Mapping[str, Any], found: _Found) -> Entry:
    """The one entry that variables stand for."""
    variables: dict[str, str] = {}
    for name, value in document.items():
        if name not in VARIABLES:
            if name.startswith(tuple(each.split("_")[0] + "_" for each in VARIABLES)):
                found.faults.append(f"`{name[:_SHOWN]}` is not known: known are {', '.join(VARIABLES)}")
            else:
                found.notes.append(f"`{name[:_SHOWN]}` is none of the initiator's own settings, and is left aside")
        elif isinstance(value, str | bool | int):
            variables[name] = str(value).lower() if isinstance(value, bool) else str(value).strip()
        else:
            found.faults.append(f"`{name}` is a text")
    entry: dict[str, Any] = {"jobsGraph": DEFAULT_GRAPH, "errorCreatorUri": ERROR_CREATOR}
    for name, value in variables.items():
        variable = VARIABLES[name]
        if not value or not variable.key:
            continue
        if not variable.flag:
            entry[variable.key] = value
        elif value in ("true", "false"):
            entry[variable.key] = (value == "true") is not variable.negated
        else:
            found.faults.append(f"`{name}` is `true` or `false`")
    tasks = {kind: variables[name] for kind, name in _TASKS.items() if variables.get(name)}
    made, timeout = _entry(entry, tasks, "", found), _timeout(variables.get("JOB_TIMEOUT_MINUTES", ""), found)
    if timeout is None:
        return made
    return replace(made, timeout=timeout, options={**made.options, "timeoutMinutes": timeout // timedelta(minutes=1)})


_TASKS = {
    INITIAL_SYNC: "INITIAL_PUBLICATION_GRAPH_SYNC_TASK_OPERATION",
    DUMP: "DUMP_FILE_CREATION_TASK_OPERATION",
    HEALING: "HEALING_TASK_OPERATION",
}


def _timeout(minutes: str, found: _Found) -> timedelta | None:
    """How long a job may be active; nothing, 0 and `false` are no limit."""
    if minutes in ("", "0", "false"):
        return None
    if not minutes.isascii() or not minutes.isdigit() or len(minutes) > len(str(A_YEAR)) or int(minutes) > A_YEAR:
        found.faults.append(f"`JOB_TIMEOUT_MINUTES` is a whole number of minutes, at most {A_YEAR}")
        return None
    return timedelta(minutes=int(minutes)) or None


def _entry(given: Mapping[str, Any], tasks: Mapping[str, str], at: str, found: _Found) -> Entry:
    """An entry whose keys are right; `tasks` are the operations of tasks that are not the usual ones."""
    operations = {kind: given[key] for kind, key in _OPERATIONS.items() if given.get(key)}
    active = {
        INITIAL_SYNC: given.get("startInitialSync", False),
        DUMP: not given.get("disableDumpFileCreation", False),
        HEALING: not given.get("disableHealingJobOperation", False),
    }
    for kind, key in _OPERATIONS.items():
        if active[kind] and kind not in operations:
            found.faults.append(
                f"{_at(at)}the job `{kind}` is enabled, and its operation (`{_named(key, at)}`) is missing"
            )
    patterns = {INITIAL_SYNC: SYNC_CRON if active[INITIAL_SYNC] else ""}
    for kind, key in ((DUMP, "cronPatternDumpJob"), (HEALING, "cronPatternHealingJob")):
        patterns[kind] = _pattern(given.get(key) or DEFAULT_CRON, f"{_at(at)}`{_named(key, at)}`", found)
    waits = not given.get("healShouldNotWaitForInitialSync", False)
    jobs = tuple(
        Job(
            kind,
            active[kind],
            schedule=Schedule(patterns[kind]) if patterns[kind] else None,
            after=(INITIAL_SYNC,) if kind == HEALING and waits and active[INITIAL_SYNC] else (),
            once=kind == INITIAL_SYNC,
            options=_options(kind, tasks, waits=waits),
        )
        for kind in operations
    )
    options = {"graph": given["jobsGraph"], "operations": operations}
    return Entry(given.get("name", ""), jobs, options, given.get("errorCreatorUri", ""))


def _options(kind: str, tasks: Mapping[str, str], *, waits: bool) -> dict[str, Any]:
    """What a job says of itself."""
    task = {"taskOperation": tasks[kind]} if kind in tasks else {}
    return {"kind": kind, **task, **({} if kind != HEALING or waits else {"requires": []})}


def _pattern(text: str, what: str, found: _Found) -> str:
    """A cron expression as it means the same here."""
    fields = text.split()
    if len(fields) in (5, 6) and _MONTH.search(fields[-2]):
        if not found.convert:
            hint = "write names (jan), which mean the same in both"
            found.faults.append(f"{what}: `{text[:_SHOWN]}` numbers its months from 0, here they begin with 1: {hint}")
            return text
        fields[-2] = _MONTH.sub(lambda month: str(int(month[0][:3]) + 1), fields[-2])
        converted = " ".join(fields)
        found.notes.append(f"{what}: `{text}` is `{converted}` here, where months begin with 1 and not with 0")
        text = converted
    fault = cron_fault(text, (5, 6))
    if fault is not None:
        found.faults.append(f"{what}: `{text[:_SHOWN]}`: {fault[1]}")
    return text


def _at(at: str) -> str:
    return f"{at}: " if at else ""


def _named(key: str, at: str) -> str:
    """A setting by the name that it has where it was read."""
    return key if at else next(name for name, variable in VARIABLES.items() if variable.key == key)
