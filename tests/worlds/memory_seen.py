"""What is to be seen of a world in memory, so that two of them can be compared: everything but what may well differ.

What is left out, and why:

- serial and time of the statefile: they tell of its last write, and a recovery makes more of them;
- within a step of the story the time: what one pass could not do is done by the next one, a few minutes later;
- the order of runs of different targets, which do not wait for each other; the order of one target's runs is compared;
- of a report the time of its last edit, and the records that travel in its marker "as they were at the last edit":
  where one pass could not read a list of commits, two edits more say so and take it back;
- the labels and the flags that ask a person to look, which only processors of the queue set;
- numbers and order of the bot's own notes, and the head that they were written at: a reply that failed follows later.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from worlds.memory_forge import BOT
from worlds.memory_rounds import rounds_seen
from worlds.memory_world import MemoryWorld

from bot.core.candidates import ATTENTION_LABEL
from bot.model.observed import Note
from bot.providers.forge.local_store import StoredMergeRequest, StoredNote
from bot.render import marker

STEP = timedelta(hours=1)
"""The least time from one step of a story to the next."""

CONTEXT = 150
"""Characters shown around the first that differs."""

MARKER = re.compile(r"<!-- saasbot:([a-z]+) ([A-Za-z0-9._=]+) unsigned -->")
MARKED = ("branch", "hold", "lineage", "note", "number", "orders", "runs")
"""What a marker says that is not as of its last edit."""

EDITED = re.compile(r"<sub>This content last changed at .*?</sub>")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


def seen(world: MemoryWorld, begins: list[datetime]) -> Any:
    """All that is to be seen; `begins` are the times at which the steps of the story began."""
    state = msgspec.to_builtins(world.state())
    del state["serial"], state["time"], state["attention"]
    state["triggers"] = {name: rounds_seen(record) for name, record in world.state().triggers.items()}
    runs = sorted(world.server.executions, key=lambda each: each.target)
    found = {
        "state": state,
        "runs": [(e.key, e.target, e.sha, e.action, e.handle, str(e.status)) for e in runs],
        "jobs": sorted((e.target, e.handle, str(e.status)) for e in world.jobs.executions),
        "branches": world.forge.heads,
        "merge requests": {iid: _document(each, world) for iid, each in world.forge.documents.items()},
        "reactions": world.forge.board_reactions,
    }
    if world.forge.board is not None:
        found["dashboard"] = {"body": _said(world.forge.board.body), **_notes(world.forge.board.notes)}
    return _timeless(found, begins)


def _document(document: StoredMergeRequest, world: MemoryWorld) -> dict[str, Any]:
    head = world.forge.view(document).head_sha
    labels = [each for each in document.labels if each != ATTENTION_LABEL]
    return {**msgspec.to_builtins(document), "labels": labels, "head_sha": head, **_notes(document.notes)}


def _notes(notes: tuple[StoredNote, ...] | tuple[Note, ...]) -> dict[str, Any]:
    """Those of people as they are, and what the bot has said."""
    people = [msgspec.to_builtins(note) for note in notes if note.author != BOT]
    return {"notes": people, "said": sorted(_said(note.body) for note in notes if note.author == BOT)}


def _said(body: str) -> str:
    return MARKER.sub(_opened, EDITED.sub("", body))


def _opened(found: re.Match[str]) -> str:
    """A marker without the code that it is written in."""
    data = marker.read(found[0], found[1], None) or {}
    return f"<!-- {found[1]} {json.dumps({name: data.get(name) for name in MARKED})} -->"


def _timeless(value: Any, begins: list[datetime]) -> Any:
    match value:
        case dict():
            return {key: _timeless(each, begins) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_timeless(each, begins) for each in value]
        case str():
            return TIME.sub(lambda found: _step(found[0], begins), value)
    return value


def _step(text: str, begins: list[datetime]) -> str:
    """The step in which a time lies; one long after a step's beginning is until when something is held."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    step = bisect_right(begins, moment) - 1
    return f"<step {step}>" if step >= 0 and moment - begins[step] < STEP else f"<long after step {step}>"


def difference(expected: Any, found: Any, path: str = "") -> str:
    """Every place where two values differ, a line each."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted({*expected, *found}, key=str)
        parts = [difference(expected.get(k, "nothing"), found.get(k, "nothing"), f"{path}/{k}") for k in keys]
        return "\n".join(part for part in parts if part)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        parts = [difference(e, f, f"{path}/{n}") for n, (e, f) in enumerate(zip(expected, found, strict=True))]
        return "\n".join(part for part in parts if part)
    if expected == found:
        return ""
    before, after = repr(expected), repr(found)
    same = next((n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    start = max(0, same - CONTEXT)
    return f"{path}:\n  expected {before[start : same + CONTEXT]}\n  found    {after[start : same + CONTEXT]}"
