"""Looks and what waits for one, as text for people and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.model.work import Due, Ending, Look, QueueItem, Wait
from bot.render.words import span, utc

if TYPE_CHECKING:
    from bot.work import Collected

MOST = 1000
"""Subjects that the text of `queue list` shows."""


def ending_word(ending: Ending) -> str:
    """`done`, `wait`, `again`, `attention` or `failed`."""
    return type(ending).__name__.lower()


def ending_line(subject: str, ending: Ending, at: datetime) -> str:
    """One look in one line."""
    return f"{utc(at)} {subject}: {_told(ending)}"


def _told(ending: Ending) -> str:
    pause = f" {span(ending.delay)}" if isinstance(ending, Wait) else ""
    return f"{ending_word(ending)}{pause}: {ending.why}"


def ending_document(subject: str, ending: Ending, at: datetime) -> dict[str, Any]:
    """One look as an object."""
    delay = ending.delay.total_seconds() if isinstance(ending, Wait) else None
    return {"at": utc(at), "subject": subject, "ending": ending_word(ending), "why": ending.why, "delay": delay}


def look_text(seen: Look, report: str) -> str:
    """What a look did, or would do, and what would become of its subject in the queue."""
    return f"{report}\n{seen.subject}: {_told(seen.ending)}\n"


def look_json(seen: Look, at: datetime, report: str) -> str:
    """One object, `saasbot.look/1`; `plan` is that of `reconcile --format json`."""
    found = {"schema": "saasbot.look/1", **ending_document(seen.subject, seen.ending, at)}
    return json.dumps({**found, "plan": json.loads(report) if report else None}, indent=2, ensure_ascii=False) + "\n"


def collected_text(found: Collected) -> str:
    """What a collection added, removed and left to people."""
    lines = [f"added {due_line(each)}" for each in found.added]
    lines += [f"removed {subject}" for subject in found.removed]
    lines += [f"waits for a person: {subject}" for subject in found.found.flagged]
    waits = f", {len(found.found.flagged)} wait for a person" if found.found.flagged else ""
    return "\n".join([*lines, f"{len(found.added)} added, {len(found.removed)} removed{waits}"]) + "\n"


def due_line(due: Due) -> str:
    """A subject with its time and why."""
    return f"{due.subject} at {utc(due.at)}{f': {due.why}' if due.why else ''}"


def collected_json(found: Collected) -> str:
    """One object, `saasbot.collected/1`."""
    document = {
        "schema": "saasbot.collected/1",
        "added": [{"subject": each.subject, "due": utc(each.at), "why": each.why} for each in found.added],
        "removed": list(found.removed),
        "attention": list(found.found.flagged),
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def items_text(items: Sequence[QueueItem]) -> str:
    """One subject a line: when it is due, how it stands, how its last look ended."""
    lines = [f"{utc(item.at)}  {item.subject}  {_stands(item)}" for item in items[:MOST]]
    lines += [f"... and {len(items) - MOST} more"] if len(items) > MOST else []
    return "\n".join(lines or ["the queue is empty"]) + "\n"


def _stands(item: QueueItem) -> str:
    if item.dead:
        return f"dead: {item.dead}"
    marks = ["a processor is at it"] if item.taken else []
    marks += [f"failed {item.attempts} times"] if item.attempts else []
    return ", ".join(marks) + (": " if marks and item.text else "") + item.text


def items_json(items: Sequence[QueueItem]) -> str:
    """One object, `saasbot.queue/1`."""
    rows = [
        {
            "subject": item.subject,
            "due": utc(item.at),
            "taken": item.taken,
            "attempts": item.attempts,
            "agains": item.agains,
            "text": item.text,
            "dead": item.dead or None,
        }
        for item in items
    ]
    return json.dumps({"schema": "saasbot.queue/1", "items": rows}, indent=2, ensure_ascii=False) + "\n"
