"""Trigger rounds: every trigger definition looked at once: adopted, begun where it is due, carried on, or forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core.job_lists import Unlisted, whole
from bot.core.rounds import counted, ended, opened
from bot.core.sheet import Sheet
from bot.core.stepping import stepped, stepped_blindly
from bot.core.trigger_reports import note_sets
from bot.model.plan import Gate, RecordState
from bot.model.rounds import Result, Round, TriggerState
from bot.model.runs import Reason
from bot.model.triggers import Trigger

REMOVED_KEPT = timedelta(days=30)
"""How long the record of a removed definition is kept."""


def tend_triggers(sheet: Sheet) -> None:
    """Go through all definitions; one that is new is recorded, and its schedules count from now on."""
    for trigger in sheet.context.desired.triggers.values():
        record = sheet.state.triggers.get(trigger.name) or _renamed(sheet, trigger)
        if record is None:
            record = TriggerState(trigger.name, sheet.now, file=trigger.file)
        if record.removed_at is not None:  # it is back, and its schedules count from now on
            record = replace(record, removed_at=None, checked_at=max(record.checked_at, sheet.now))
        found = _read(sheet, trigger)
        record = replace(record, file=trigger.file)
        if found is None:
            stepped_on = stepped_blindly(sheet, trigger, record)
        else:
            record = counted(found, replace(record, released=_still_told(found, record)), sheet.now)
            stepped_on = stepped(sheet, found, opened(sheet, found, record))
        note_sets(sheet, record, stepped_on, found or trigger)
        sheet.put_trigger(stepped_on)
    _removed(sheet)


def _renamed(sheet: Sheet, trigger: Trigger) -> TriggerState | None:
    """The record of the definition that stood in the same file under another name: it is the same one, renamed."""
    desired = sheet.context.desired
    for record in sheet.state.triggers.values():
        gone = record.name not in desired.triggers and record.removed_at is None
        if gone and record.file == trigger.file and record.file not in desired.invalid_triggers:
            sheet.drop_trigger(record.name)
            reason = Reason("renamed", f"was {record.name}; the same file")
            sheet.actions.append(RecordState(f"trigger:{trigger.name}", (reason,)))
            return replace(record, name=trigger.name)
    return None


def _still_told(trigger: Trigger, record: TriggerState) -> dict[str, str]:
    """What was released and the config does not know of yet."""
    versions = {job.name: job.version for job in trigger.jobs}
    return {name: version for name, version in record.released.items() if versions.get(name) == version}


def _read(sheet: Sheet, trigger: Trigger) -> Trigger | None:
    """The definition with its jobs; None, and the reason noted, where the list that they stand in cannot be read."""
    found = whole(sheet.facts, trigger)
    if isinstance(found, Unlisted):
        sheet.hold(f"trigger:{trigger.name}", found.gate, found.text)
        return None
    return found


def _removed(sheet: Sheet) -> None:
    """Definitions that left the config start nothing more; what runs is followed, and then forgotten in time."""
    desired = sheet.context.desired
    for record in list(sheet.state.triggers.values()):
        if record.name in desired.triggers:
            continue
        if record.file in desired.invalid_triggers:
            sheet.hold(f"trigger:{record.name}", Gate.INVALID, desired.invalid_triggers[record.file])
        elif record.removed_at is None:
            left = replace(record, removed_at=sheet.now, round=_left(record.round, sheet.now))
            note_sets(sheet, record, left, None)
            sheet.put_trigger(left)
        elif sheet.now - record.removed_at >= REMOVED_KEPT:
            sheet.drop_trigger(record.name)


def _left(present: Round | None, now: datetime) -> Round | None:
    """The last round of a definition that left the config; one that is running ends."""
    if present is None or present.result is not Result.RUNNING:
        return present
    return ended(present, Result.ERROR, "the definition left the config", now)
