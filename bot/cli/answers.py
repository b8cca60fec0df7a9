"""Explanations and overviews as text for people and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bot.core.explanation import Explanation
from bot.core.gates import holding
from bot.model.overview import Overview, Row, TriggerRow
from bot.model.plan import Held, Verdict
from bot.model.rounds import Round
from bot.model.runs import Run
from bot.render.rounds import BAD, job_text, set_document, set_text
from bot.render.words import short, until, utc

MOST = 100
"""Held entries that the text of `status` shows."""


def explanation_json(found: Explanation) -> str:
    """One object, `saasbot.explain/1`."""
    target, record = found.desired, found.record
    document = {
        "schema": "saasbot.explain/1",
        "target": found.target,
        "now": utc(found.now),
        "problem": found.problem or None,
        "desired": target and {
            "file": target.file,
            "url": target.url,
            "ref": target.ref,
            "sha": found.sha or None,
            "namespace": target.namespace.name,
            "environment": target.namespace.environment,
            "pipeline": target.pipeline.name,
        },
        "recorded": record and {
            "sha": record.sha or None,
            "deployed_sha": record.deployed_sha or None,
            "deployed_at": _time(record.deployed_at),
            "adopted": record.adopted,
            "run": _run(record.run),
        },
        "reasons": [{"kind": reason.kind, "text": reason.text} for reason in found.reasons],
        "run_gates": [_verdict(verdict) for verdict in found.run],
        "promotion": {"sha": found.promoted_sha, "gates": [_verdict(v) for v in found.promotion]}
        if found.promoted_sha
        else None,
        "next": _time(found.next_time),
    }  # fmt: skip
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def explanation_text(found: Explanation) -> str:
    """Text for people: what is wanted, what is known, why it moves or does not, and when it may."""
    lines = [f"{found.target} at {utc(found.now)}"]
    target, record = found.desired, found.record
    if found.problem:
        lines.append(f"  {found.problem}")
    if target is not None:
        resolved = f" = {short(found.sha)}" if found.sha and not target.pinned else ""
        lines += [
            f"  wanted    {target.ref}{resolved} of {target.url}",
            f"  where     {target.namespace.name} ({target.namespace.environment}), pipeline {target.pipeline.name}",
        ]
    if record is not None:
        lines += _record_lines(record.deployed_sha, record.deployed_at, record.run, record.sha, adopted=record.adopted)
    if target is None or found.problem:
        return "\n".join(lines) + "\n"
    lines += ["", "Run:"]
    lines += [f"  {reason.kind}: {reason.text}" for reason in found.reasons] or [
        "  no reason to run: nothing has changed"
    ]
    lines += _gate_lines(found.run) if found.reasons else _gate_lines(holding(found.run))
    lines += ["", "Promotion:"]
    if found.promoted_sha:
        lines += [f"  next version {found.promoted_sha}", *_gate_lines(found.promotion)]
    else:
        lines.append("  nothing newer is published" if target.promotion.subscribe else "  subscribes to no channel")
    if found.next_time is not None:
        lines += ["", f"May move at {utc(found.next_time)}"]
    return "\n".join(lines) + "\n"


def _record_lines(sha: str, at: datetime | None, run: Run | None, seen: str, *, adopted: bool) -> list[str]:
    lines = []
    if sha:
        lines.append(f"  deployed  {short(sha)}{f' at {utc(at)}' if at else ''}")
    elif adopted:
        lines.append(f"  adopted   {short(seen) or 'unknown'}, found there at the first pass")
    if run is not None:
        text = f": {run.text}" if run.text else ""
        lines.append(f"  last run  number {run.number} of {short(run.sha)}, {run.status}{text}")
        if run.url:
            lines.append(f"            {run.url}")
    return lines


def _gate_lines(verdicts: Iterable[Verdict]) -> list[str]:
    return [
        f"  {'passes' if verdict.passed else 'HOLDS '}  {verdict.gate:<15} {verdict.text}{until(verdict.until)}"
        for verdict in verdicts
    ]


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "gate": verdict.gate.value,
        "passed": verdict.passed,
        "text": verdict.text,
        "value": verdict.value or None,
        "threshold": verdict.threshold or None,
        "until": _time(verdict.until),
        "overridden_by": verdict.overridden_by or None,
    }


def _run(run: Run | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "key": run.key,
        "number": run.number,
        "sha": run.sha,
        "action": run.action.value,
        "status": run.status.value,
        "attempt": run.attempt,
        "reasons": [{"kind": reason.kind, "text": reason.text} for reason in run.reasons],
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "text": run.text or None,
        "url": run.url or None,
    }


def _time(moment: datetime | None) -> str | None:
    return utc(moment) if moment is not None else None


def status_json(found: Overview) -> str:
    """One object, `saasbot.status/1`."""
    document = {
        "schema": "saasbot.status/1",
        "config_sha": found.config_sha,
        "now": utc(found.now),
        "written_at": _time(found.written_at),
        "targets": [_row_document(row) for row in found.rows],
        "merge_requests": [
            {
                "iid": each.iid,
                "title": each.title,
                "branch": each.source_branch,
                "url": each.url or None,
                "has_conflicts": each.has_conflicts,
                "ci": each.ci.value,
            }
            for each in found.merge_requests
        ],
        "held": [_held(held) for held in found.held],
        "triggers": [_trigger_document(row) for row in found.triggers],
        "attention": [
            {"subject": subject, "text": flag.text, "since": utc(flag.at), "iid": flag.iid or None}
            for subject, flag in found.attention.items()
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _trigger_document(row: TriggerRow) -> dict[str, Any]:
    trigger, record = row.trigger, row.record
    return {
        "name": row.name,
        "file": trigger.file if trigger is not None else (record.file if record is not None else None),
        "next_due": _time(row.due),
        "removed_at": _time(record.removed_at) if record is not None else None,
        "round": _round(record.round, row) if record is not None and record.round is not None else None,
    }


def _round(present: Round, row: TriggerRow) -> dict[str, Any]:
    return {
        "number": present.number,
        "result": present.result.value,
        "text": present.text,
        "reasons": [{"kind": reason.kind, "text": reason.text} for reason in present.reasons],
        "started_at": _time(present.began_at),
        "finished_at": _time(present.ended_at),
        "sets": [set_document(each) for each in row.sets],
    }


def _row_document(row: Row) -> dict[str, Any]:
    target, record = row.target, row.record
    return {
        "id": row.id,
        "environment": target.namespace.environment if target else None,
        "ref": target.ref if target else (record.ref if record else None),
        "sha": record.sha or None if record else None,
        "deployed_sha": record.deployed_sha or None if record else None,
        "deployed_at": _time(record.deployed_at) if record else None,
        "adopted": record.adopted if record else False,
        "removed_at": _time(record.removed_at) if record else None,
        "run": _run(record.run) if record else None,
        "held": [_held(held) for held in row.held],
    }


def _held(held: Held) -> dict[str, Any]:
    return {"subject": held.subject, "gate": held.gate.value, "text": held.text, "until": _time(held.until)}


def status_text(found: Overview) -> str:
    """A table of targets, then merge requests, then what is stuck and what waits for a person."""
    config = short(found.config_sha) if found.config_sha else "working tree"
    written = f", last sign of life {utc(found.written_at)}" if found.written_at is not None else ""
    lines = [f"config {config}, {len(found.rows)} targets at {utc(found.now)}{written}", ""]
    rows = [("TARGET", "ENVIRONMENT", "WANTED", "RUNS", "LAST RUN"), *(_cells(row) for row in found.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if found.triggers:
        lines += ["", "Triggers:", *(line for row in found.triggers for line in _trigger_lines(row))]
    if found.merge_requests:
        lines += ["", "Merge requests:"]
        lines += [f"  !{mr.iid} {mr.title}{' (conflicts)' if mr.has_conflicts else ''}" for mr in found.merge_requests]
    stuck = [*found.held, *(held for row in found.rows for held in row.held)]
    if stuck:
        lines += ["", "Held:"]
        lines += [
            f"  {held.subject.partition(':')[2]}: {held.gate}: {held.text}{until(held.until)}" for held in stuck[:MOST]
        ]
        lines += [f"  ... and {len(stuck) - MOST} more"] if len(stuck) > MOST else []
    if found.attention:
        lines += ["", "Waits for a person:"]
        lines += [f"  {subject}: {flag.text} (since {utc(flag.at)})" for subject, flag in found.attention.items()]
    return "\n".join(lines) + "\n"


def _trigger_lines(row: TriggerRow) -> list[str]:
    """A definition's round in one line, and its jobs that a person has to look at."""
    due = f", next due {utc(row.due)}" if row.due is not None else ""
    if not row.sets:
        return [f"  {row.name}: no round yet{due}"]
    bad = [job for each in row.sets for job in each.jobs if job.word in BAD]
    return [f"  {set_text(row.sets[-1])}{due}", *(f"    {job_text(job)}" for job in bad)]


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    target, record = row.target, row.record
    wanted = (
        (short(target.ref) if target.pinned else target.ref) if target else "(invalid)" if row.held else "(removed)"
    )
    runs = short(record.deployed_sha or record.sha) if record else ""
    if record and record.adopted:
        runs += " (adopted)"
    last = f"{record.run.status} {short(record.run.sha)}" if record and record.run else ""
    return row.id, target.namespace.environment if target else "", wanted, runs or "-", last or "-"
