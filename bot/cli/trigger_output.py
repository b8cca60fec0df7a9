"""What `saasbot trigger` prints: text for people, JSON for scripts; names and texts of others steer no terminal."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.core.trigger_previews import Sent
from bot.model.observed import Unreachable
from bot.model.rounds import Result, Round, RoundResult, SetReport, TriggerState
from bot.model.state import Answer
from bot.model.triggers import Trigger
from bot.ports import Refused
from bot.render.neutral import shown
from bot.render.rounds import BAD, set_document, sets_text
from bot.render.words import utc

if TYPE_CHECKING:
    from bot.cli.trigger_rounds import Seen, Walked

LONGEST = 2000
"""Characters of one value of a preview."""


def document(name: str, **fields: Any) -> str:
    """One JSON object with the name and version of its shape, ending with a newline."""
    return json.dumps({"schema": f"saasbot.{name}/1", **fields}, indent=2, ensure_ascii=False, default=str) + "\n"


def broken(sets: Sequence[SetReport], replaced: RoundResult | None = None) -> bool:
    """Whether a job of a round failed, was refused or is unknown, or the round came to a bad end without that."""
    if replaced is not None and replaced.result not in (Result.SUCCESS, Result.SKIPPED):
        return True
    return any(each.result in (Result.ERROR, Result.TIMEOUT) for each in sets) or _has(sets, BAD)


def not_taken(sets: Sequence[SetReport]) -> bool:
    """Whether a job of a round was refused, or the round came to a bad end before any was started."""
    begun = any(job.run is not None for each in sets for job in each.jobs)
    return _has(sets, {"refused"}) or (broken(sets) and not begun)


def _has(sets: Sequence[SetReport], words: Collection[str]) -> bool:
    return any(job.word in words for each in sets for job in each.jobs)


def started_text(walked: Walked, sets: Sequence[SetReport], replaced: RoundResult | None = None) -> str:
    """The answer to a command, and its round as far as it has come; `replaced` is one that made room for the next."""
    late = f"round {replaced.number}: {replaced.result}: {shown(replaced.text)}\n" if replaced is not None else ""
    return f"{_answer_line(walked.answer)}\n{late}{sets_text(sets)}"


def started_json(trigger: str, walked: Walked, sets: Sequence[SetReport], replaced: RoundResult | None = None) -> str:
    """`saasbot.trigger-start/1`: the answer, the round's sets, and the jobs that a person has to look at."""
    return document(
        "trigger-start",
        trigger=trigger,
        answer={"ok": walked.answer.ok, "text": walked.answer.text},
        round=walked.round or None,
        result=replaced.result if replaced is not None else sets[-1].result if sets else None,
        sets=[set_document(each) for each in sets],
        failed=[job.name for each in sets for job in each.jobs if job.word in BAD],
    )


def _answer_line(answer: Answer) -> str:
    return f"trigger: {'' if answer.ok else 'refused: '}{shown(answer.text, LONGEST)}"


def would_fail(sent: Sent) -> bool:
    """Whether a server cannot be reached, or would refuse."""
    return any(isinstance(found, Unreachable) or "refused" in found for _, found in sent)


def preview_text(answer: Answer, sent: Sent) -> str:
    """What would happen, job by job."""
    lines = [_answer_line(answer)]
    for each, found in sent:
        why = f" ({each.text})" if each.start is not None and each.text else ""
        if each.start is None:
            lines.append(f"{shown(each.job)}: not started: {shown(each.text)}")
        elif isinstance(found, Unreachable):
            lines.append(f"{shown(each.job)}{why}: unreachable: {shown(found.text, LONGEST)}")
        else:
            lines.append(f"{shown(each.job)}{why}:")
            lines += [line for key, value in found.items() for line in _value(str(key), value)]
    return "".join(f"{line}\n" for line in lines)


def _value(key: str, value: object) -> list[str]:
    """One line; a text of several lines below its key."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    lines = [shown(line, LONGEST) for line in text.splitlines()]
    return [f"  {shown(key)}: {line}" for line in lines] if len(lines) == 1 else [f"  {shown(key)}:", *_below(lines)]


def _below(lines: Iterable[str]) -> list[str]:
    return [f"    {line}".rstrip() for line in lines]


def preview_json(trigger: str, answer: Answer, sent: Sent) -> str:
    """`saasbot.trigger-preview/1`: what would be sent for each job."""
    jobs = [
        {
            "name": each.job,
            "text": each.text or None,
            "preview": None if each.start is None or isinstance(found, Unreachable) else dict(found),
            "unreachable": found.text if isinstance(found, Unreachable) else None,
        }
        for each, found in sent
    ]
    return document("trigger-preview", trigger=trigger, answer={"ok": answer.ok, "text": answer.text}, jobs=jobs)


def cleaned_text(found: Mapping[str, tuple[str, ...] | Refused]) -> str:
    """By job: the names of what is gone, or why it is still there."""
    lines: list[str] = []
    for job, names in found.items():
        if isinstance(names, Refused):
            lines.append(f"{shown(job)}: refused: {shown(names.text, LONGEST)}")
        else:
            kept = f"{len(names)} removed" if names else "nothing of it is kept there; it counts as never succeeded"
            lines += [f"{shown(job)}: {kept}", *(f"  {shown(name, LONGEST)}" for name in names)]
    return "".join(f"{line}\n" for line in lines)


def would_clean_text(trigger: Trigger, jobs: Iterable[str], record: TriggerState | None) -> str:
    """What would be removed where, and forgotten."""
    lines = []
    succeeded = record.succeeded if record is not None else {}
    where = trigger.instance.name
    for job in jobs:
        at = succeeded.get(job)
        forgets = f", and its success of {utc(at)} would be forgotten" if at is not None else ""
        lines.append(f"{shown(job)}: what {where} keeps of it would be removed{forgets}")
    return "".join(f"{line}\n" for line in lines)


def list_text(seen: Seen) -> str:
    """A table of all definitions."""
    rows = [("NAME", "PROVIDER", "SCHEDULE", "NEXT DUE", "LAST ROUND", "FILE")]
    for each in seen.defined.values():
        schedules = ", ".join(_schedule(job, cron, zone) for job, cron, zone in _schedules(each)) or "-"
        due = seen.due(each)
        last = _last(seen.records.get(each.name))
        result = f"{last.result} {utc(last.ended_at or last.began_at)}" if last is not None else "-"
        cells = (each.name, each.instance.provider, schedules, utc(due) if due else "-", result, each.file)
        rows.append(tuple(shown(cell) for cell in cells))  # type: ignore[arg-type] # as many as there are columns
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows)


def list_json(seen: Seen) -> str:
    """`saasbot.triggers/1`: all definitions with their schedules and last results."""
    return document(
        "triggers",
        config_sha=seen.context.desired.sha,
        now=utc(seen.context.now),
        triggers=[_definition(seen, each) for each in seen.defined.values()],
    )


def _definition(seen: Seen, trigger: Trigger) -> dict[str, Any]:
    return {
        "name": trigger.name,
        "provider": trigger.instance.provider,
        "instance": trigger.instance.name,
        "owners": list(trigger.owners),
        "command": trigger.command,
        "schedules": [{"job": job or None, "cron": cron, "timezone": zone} for job, cron, zone in _schedules(trigger)],
        "next_due": _time(seen.due(trigger)),
        "jobs": [job.name for job in trigger.jobs] if trigger.read else None,
        "last": _round(_last(seen.records.get(trigger.name))),
        "file": trigger.file,
    }


def _schedules(trigger: Trigger) -> list[tuple[str, str, str]]:
    """(Job, cron, time zone) of each schedule; the definition's own has no job."""
    own = [("", trigger.schedule)] if trigger.schedule is not None else []
    jobs = [(job.name, job.schedule) for job in trigger.jobs if job.schedule is not None]
    return [(name, each.cron, each.timezone) for name, each in (*own, *jobs)]


def _schedule(job: str, cron: str, zone: str) -> str:
    return f"{f'{job}: ' if job else ''}{cron}{f' {zone}' if zone != 'UTC' else ''}"


def status_text(seen: Seen, names: Iterable[str], sets: Mapping[str, Sequence[SetReport]]) -> str:
    """The present or last round of each definition."""
    parts = []
    for name in names:
        last = _last(seen.records.get(name))
        if last is None:
            parts.append(f"{shown(name)}: no round yet\n")
            continue
        why = "; ".join(shown(reason.text) for reason in last.reasons)
        end = f", ended {utc(last.ended_at)}" if last.ended_at is not None else ""
        parts.append(f"{shown(name)}: began {utc(last.began_at)}{end}: {why}\n{sets_text(sets.get(name, ()))}")
        waits = seen.sheet.state.trigger_requests.get(name)
        if waits is not None:
            parts.append(f"{shown(name)}: {shown(waits.by)} asked for another round at {utc(waits.at)}\n")
    return "".join(parts)


def status_json(seen: Seen, names: Iterable[str], sets: Mapping[str, Sequence[SetReport]]) -> str:
    """`saasbot.rounds/1`: the present or last round of each definition, set by set."""
    rounds = []
    for name in names:
        waits = seen.sheet.state.trigger_requests.get(name)
        rounds.append(
            {
                "trigger": name,
                "round": _round(_last(seen.records.get(name))),
                "asked_by": waits.by if waits is not None else None,
                "sets": [set_document(each) for each in sets.get(name, ())],
            }
        )
    return document("rounds", config_sha=seen.context.desired.sha, now=utc(seen.context.now), triggers=rounds)


def _last(record: TriggerState | None) -> Round | None:
    return record.round if record is not None else None


def _round(last: Round | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "number": last.number,
        "result": last.result.value,
        "text": last.text or None,
        "reasons": [{"kind": reason.kind, "text": reason.text} for reason in last.reasons],
        "began_at": utc(last.began_at),
        "ended_at": _time(last.ended_at),
        "rehearsal": last.rehearsal,
    }


def _time(moment: datetime | None) -> str | None:
    return utc(moment) if moment is not None else None
