"""Trigger rounds: every trigger definition looked at once: adopted, begun where it is due, carried on, or forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core.rounds import ended, opened
from bot.core.sheet import Sheet
from bot.core.stepping import stepped
from bot.formats.job_lists import expanded
from bot.model.observed import Unreachable
from bot.model.plan import Gate
from bot.model.rounds import Result, Round, TriggerState
from bot.model.triggers import Trigger

REMOVED_KEPT = timedelta(days=30)
"""How long the record of a removed definition is kept."""


def tend_triggers(sheet: Sheet) -> None:
    """Go through all definitions; one that is new is recorded, and its schedules count from now on."""
    for trigger in sheet.context.desired.triggers.values():
        record = sheet.state.triggers.get(trigger.name)
        if record is None:
            record = TriggerState(trigger.name, sheet.now, file=trigger.file)
        if record.removed_at is not None or record.file != trigger.file:
            record = replace(record, removed_at=None, file=trigger.file)
        whole = _read(sheet, trigger)
        if whole is not None:
            record = replace(record, released=_still_told(whole, record))
            record = stepped(sheet, whole, opened(sheet, whole, record))
        sheet.put_trigger(record)
    _removed(sheet)


def _still_told(trigger: Trigger, record: TriggerState) -> dict[str, str]:
    """What was released and the config does not know of yet."""
    versions = {job.name: job.version for job in trigger.jobs}
    return {name: version for name, version in record.released.items() if versions.get(name) == version}


def _read(sheet: Sheet, trigger: Trigger) -> Trigger | None:
    """The definition with its jobs; None, and the reason noted, where the list that they stand in cannot be read."""
    if trigger.read or trigger.jobs_from is None:
        return trigger
    data = sheet.facts.job_list(trigger.jobs_from)
    subject = f"trigger:{trigger.name}"
    if isinstance(data, Unreachable):
        sheet.hold(subject, Gate.UNREACHABLE, data.text)
        return None
    found = expanded(trigger, data)
    if isinstance(found, tuple):
        more = f", and {len(found) - 1} more faults" if len(found) > 1 else ""
        sheet.hold(subject, Gate.INVALID, f"{trigger.jobs_from.key_env}: {found[0]}{more}")
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
            sheet.put_trigger(replace(record, removed_at=sheet.now, round=_left(record.round, sheet.now)))
        elif sheet.now - record.removed_at >= REMOVED_KEPT:
            sheet.drop_trigger(record.name)


def _left(present: Round | None, now: datetime) -> Round | None:
    """The last round of a definition that left the config; one that is running ends."""
    if present is None or present.result is not Result.RUNNING:
        return present
    return ended(present, Result.ERROR, "the definition left the config", now)
