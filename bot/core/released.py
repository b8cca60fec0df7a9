"""Released: what a release has built and its manifest does not say yet, as edits of that file (SYSTEMS RP-12).

Such an edit is one component: `job:TRIGGER/COMPONENT` goes from `1.2.0-SNAPSHOT` to `1.2.0`. The bytes are made by
`bot.formats.gravitee_release.released` from the manifest on the base, so nothing else in the file changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from bot.core.batches import slug
from bot.core.jobs import subject_of
from bot.core.sheet import Sheet
from bot.formats.gravitee_release import SNAPSHOT, changed, read_release, released
from bot.model.desired import Desired
from bot.model.observed import BranchDiff
from bot.model.plan import RecordState
from bot.model.rounds import Result, TriggerState
from bot.model.runs import Reason
from bot.model.state import Edit, MergeRequestState
from bot.model.triggers import Trigger

RELEASE = "release+/"
"""Batch keys of merge requests that write a release down begin with this; no key of a promotion has a plus."""


@dataclass(frozen=True, slots=True)
class WriteBack:
    """What the merge request of a release should hold: the manifest's new bytes, and in words what changes.

    Without edits there is nothing that the base does not say. `finished`: with it the whole release is done.
    """

    edits: tuple[Edit, ...] = ()
    content: bytes = b""
    finished: bool = False


def batch_key(trigger: str) -> str:
    """The batch key of a release's merge request."""
    return RELEASE + slug(trigger)


def is_release(batch: str) -> bool:
    """Whether a merge request of this batch writes a release down."""
    return batch.startswith(RELEASE)


def manifest_of(trigger: Trigger) -> str:
    """The file of the config that says what is released; empty where there is none."""
    source = trigger.jobs_from
    return source.file if source is not None and source.format == "gravitee-release" else ""


def write_back(sheet: Sheet, trigger: Trigger, record: TriggerState) -> WriteBack | str | None:
    """What should be written down now; None while it is not known, a sentence where it cannot be written."""
    if record.round is not None and record.round.result is Result.RUNNING:
        return None
    file = manifest_of(trigger)
    if not record.released:
        return WriteBack()
    blob = sheet.facts.blob(file)
    if blob is None:
        return None
    plan = read_release(blob)
    if isinstance(plan, tuple):
        return f"{file}: {plan[0]}"
    selected = [component for row in plan.stages for component in row]
    known = record.released
    done = [each for each in selected if known.get(each.name) == each.version]
    finished = len(done) == len(selected)
    content = released(blob, [each.name for each in done], finished=finished)
    if isinstance(content, tuple):
        return f"{file}: {content[0]}"
    return WriteBack(tuple(_edit(trigger.name, file, each.name, each.version) for each in done), content, finished)


def edits_of(desired: Desired, diff: BranchDiff, batch: str) -> tuple[Edit, ...] | None:
    """The edits that a release's branch makes, or None where the bot could not have made it."""
    if len(diff.changes) != 1:
        return None
    (change,) = diff.changes
    found = changed(change.old, change.new) if change.old is not None and change.new is not None else None
    if found is None:
        return None
    named = (each.name for each in desired.triggers.values() if batch_key(each.name) == batch)
    trigger = next(named, batch.removeprefix(RELEASE))
    return tuple(_edit(trigger, change.path, each.name, each.version) for each in found)


def _edit(trigger: str, file: str, component: str, version: str) -> Edit:
    return Edit(subject_of(trigger, component), file, version, version.removesuffix(SNAPSHOT))


def take_over(trigger: Trigger, record: TriggerState, edits: tuple[Edit, ...]) -> TriggerState:
    """The record with what an open merge request says was released; a statefile that was lost knows nothing of it."""
    versions = {job.name: job.version for job in trigger.jobs}
    told = {edit.target.removeprefix("job:").partition("/")[2]: edit.old for edit in edits}
    new = {name: version for name, version in told.items() if versions.get(name) == version}
    return replace(record, released={**new, **record.released})


def digest(edits: tuple[Edit, ...]) -> str:
    """The identity of what is written down, so that it is not opened again after a person has closed it."""
    return sha256(repr(sorted((edit.target, edit.new) for edit in edits)).encode()).hexdigest()[:16]


def turn_down(sheet: Sheet, record: MergeRequestState, by: str) -> None:
    """Remember that a person does not want this written down as it is."""
    for edit in record.edits[:1]:
        found = sheet.state.triggers.get(edit.target.removeprefix("job:").partition("/")[0])
        if found is not None:
            sheet.put_trigger(replace(found, turned_down=digest(record.edits)))
    text = f"{by} closed !{record.iid}: it is opened again when more has been released"
    sheet.actions.append(RecordState(f"merge-request:{record.branch}", (Reason("vetoed", text),)))
