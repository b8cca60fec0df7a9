"""The report of a round in every form: one JSON document or line a set, a table for terminals, Markdown for comments.

The document is the same for every kind of server and however a set ended (SYSTEMS RP-9): what is known of each pipeline
stands under `pipelines`, and `pipeline_links` has one entry for each run that was started, whether it is over or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.model.rounds import JobReport, Result, SetReport
from bot.model.runs import Run, RunStatus
from bot.render import neutral
from bot.render.comments import bounded
from bot.render.words import utc

SCHEMA = "saasbot.round/1"

BAD = frozenset({RunStatus.FAILED.value, RunStatus.CANCELED.value, RunStatus.UNKNOWN.value, "refused"})
"""The words of jobs that a person has to look at."""

_NOT_OF_THE_PIPELINE = frozenset({"http_link", "error"})
_LONGEST = 300  # characters of a text in a table for terminals


def set_document(report: SetReport) -> dict[str, Any]:
    """The contract's JSON object of one set, without secrets."""
    started = [(job, job.run) for job in report.jobs if job.run is not None and job.run.handle]
    document = {
        "process": report.process,
        "version": report.version or None,
        "set_index": report.index,
        "result": report.result.value,
        "error": _error(report),
        "started_at": utc(report.started_at),
        "finished_at": _time(report.ended_at),
        "pipelines": [_pipeline(job, run) for job, run in started],
        "pipeline_links": [{"pipeline_guid": run.handle, "http_link": run.url or None} for _, run in started],
        "schema": SCHEMA,
        "trigger": report.trigger,
        "round": report.round,
        "set": report.name or None,
        "text": report.text,
        "jobs": [_job(job) for job in report.jobs],
        "not_started": list(report.not_started),
        "rehearsal": report.rehearsal,
    }
    return {key: _clean(value) for key, value in document.items()}


def set_line(report: SetReport) -> str:
    """The document on one line, for a log; like every line there it has a level and a message as well."""
    return json.dumps({"level": level_of(report), "message": set_text(report), **set_document(report)})


def level_of(report: SetReport) -> str:
    """How loud a log is to be about a set."""
    return "warning" if report.result in (Result.ERROR, Result.TIMEOUT) else "info"


def set_text(report: SetReport) -> str:
    """One set in one line: which it is, and how it ended or stands."""
    url = _url(report.error) if report.error is not None else ""
    told = ": ".join(each for each in (report.result.value, neutral.shown(report.text, _LONGEST)) if each)
    return f"{_title(report)}: {told}" + (f" ({url})" if url else "")


def job_text(job: JobReport) -> str:
    """One job in one line: where it stands."""
    return ": ".join(
        each for each in (neutral.shown(job.name), _said(job.word), neutral.shown(job.text, _LONGEST)) if each
    )


def sets_text(reports: Sequence[SetReport]) -> str:
    """All sets as tables for a terminal; jobs that failed, and those of which nobody knows, once more at the end."""
    lines = []
    for report in reports:
        lines.append(set_text(report))
        lines += _table(report.jobs)
        if report.not_started:
            lines.append(f"  not started: {', '.join(neutral.shown(name) for name in report.not_started)}")
    bad = [job for report in reports for job in report.jobs if job.word in BAD]
    if bad:
        lines += ["Failed or unknown:", *_table(bad)]
    return "".join(f"{line}\n" for line in lines)


def sets_markdown(reports: Sequence[SetReport]) -> str:
    """All sets as Markdown, a table of job, state and link each (SYSTEMS GW-15); bounded like every comment."""
    return bounded("rounds.md.j2", sets=reports)


def _title(report: SetReport) -> str:
    """Which set it is: by the name of its stage, which a person wrote or a list gave; else by its index."""
    name = neutral.shown(report.name) or f"set {report.index}"
    return f"{neutral.shown(report.trigger)}: round {report.round}, {name}{', rehearsal' if report.rehearsal else ''}"


def _table(jobs: Iterable[JobReport]) -> list[str]:
    rows = [(neutral.shown(job.name), _said(job.word), _url(job), neutral.shown(job.text, _LONGEST)) for job in jobs]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    return ["  " + "  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]


def _said(word: str) -> str:
    return word.replace("_", " ")


def _url(job: JobReport) -> str:
    return neutral.shown(job.run.url, 1000) if job.run is not None else ""


def _error(report: SetReport) -> dict[str, Any] | None:
    """What kept a set from succeeding: the server's own words where it has some."""
    job = report.error
    if report.result is Result.TIMEOUT:
        late = (each for each in report.jobs if each.run is not None and each.run.status.in_flight)
        return _trouble(next(late, job), Result.TIMEOUT.value, report.text)
    if job is None:
        return _trouble(None, Result.ERROR.value, report.text) if report.result is Result.ERROR else None
    told = job.details.get("error")
    if isinstance(told, Mapping):
        return dict(told)
    return _trouble(job, job.word, f"{job.name}: {job.text or job.word}")


def _trouble(job: JobReport | None, status: str, message: str) -> dict[str, Any]:
    handle = job.run.handle if job is not None and job.run is not None else ""
    return {"pipeline": handle or None, "workflow": None, "status": status, "message": message}


def _pipeline(job: JobReport, run: Run) -> dict[str, Any]:
    """What is known of a run, under the same keys whatever its server is, and what that tells besides."""
    known: dict[str, Any] = {
        "pipeline_guid": run.handle,
        "project_slug": None,
        "branch": None,
        "number": None,
        "state": run.status.value,
        "created_at": _time(run.started_at or run.intent_at),
        "errors": [],
        "workflows": [],
    }
    return known | {key: value for key, value in job.details.items() if key not in _NOT_OF_THE_PIPELINE}


def _job(job: JobReport) -> dict[str, Any]:
    run = job.run
    return {
        "name": job.name,
        "status": job.word,
        "text": job.text,
        "url": run.url or None if run is not None else None,
        "run_key": run.key if run is not None else None,
        "started_at": _time(run.started_at) if run is not None else None,
        "finished_at": _time(run.finished_at) if run is not None else None,
    }


def _time(moment: datetime | None) -> str | None:
    return utc(moment) if moment is not None else None


def _clean(value: Any) -> Any:
    """Other people's words without secrets, however deep."""
    match value:
        case str():
            return neutral.redact(value)
        case Mapping():
            return {str(name): _clean(item) for name, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case _:
            return value
