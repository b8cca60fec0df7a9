"""Renames: a new id whose configuration equals that of one removed in the same change is the same target.

Everything that is known and was said of the old id moves along, and nothing starts (DESIGN section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from bot.core import channels, diff
from bot.core.branches import TEXTS
from bot.core.context import Context
from bot.core.focus import is_narrowed
from bot.core.sheet import Sheet
from bot.model.plan import RecordState
from bot.model.runs import Reason
from bot.model.state import Edit, MergeRequestState, State, TargetState

Value = TypeVar("Value")


def carry_renames(sheet: Sheet) -> None:
    """Move the records of renamed targets; it comes first, so that whatever is seen today is seen of the new id."""
    for new, old in _found(sheet).items():
        sheet.state = renamed(sheet.state, old, new)
        record = replace(sheet.state.targets[new], file=sheet.context.desired.targets[new].file)
        sheet.put_target(record)
        reason = Reason("renamed", f"was {old}; same namespace and configuration")
        sheet.actions.append(RecordState(f"target:{new}", (reason,), record))


def renamed(state: State, old: str, new: str) -> State:
    """The state with everything of `old` under `new`."""
    return replace(
        state,
        targets=_key({**state.targets, old: replace(state.targets[old], id=new)}, old, new),
        channels=channels.rename(state.channels, old, new),
        merge_requests={key: _merge_request(each, old, new) for key, each in state.merge_requests.items()},
        vetoes=tuple(replace(each, target=new) if each.target == old else each for each in state.vetoes),
        failed_contents=tuple(
            replace(each, content=frozenset(_content(part, old, new) for part in each.content))
            for each in state.failed_contents
        ),
        requests=_key({k: replace(r, target=new) if k == old else r for k, r in state.requests.items()}, old, new),
        run_requests=_key(
            {k: replace(r, target=new) if k == old else r for k, r in state.run_requests.items()}, old, new
        ),
        pins=_key(state.pins, old, new),
        overrides=tuple(replace(each, target=new) if each.target == old else each for each in state.overrides),
        freezes=tuple(
            replace(each, scope=f"target:{new}") if each.scope == f"target:{old}" else each for each in state.freezes
        ),
    )


def adopting(context: Context) -> bool:
    """Whether this is the first pass, which takes everything as it is found."""
    return context.state is None and context.bootstrap != "run"


def gone(sheet: Sheet) -> list[TargetState]:
    """Recorded targets that the config no longer has; those of an invalid file never count."""
    desired = sheet.context.desired
    return [
        record
        for record in sheet.state.targets.values()
        if record.id not in desired.targets
        and record.id not in desired.invalid_targets
        and record.file not in desired.invalid
    ]


def _found(sheet: Sheet) -> dict[str, str]:
    """New id -> old id, each of them once."""
    focus, targets = sheet.context.focus, sheet.context.desired.targets
    if focus is not None and is_narrowed(sheet.context.desired, sheet.state, focus):
        return {}  # what a rename moves is not all there
    new = [target for target in targets.values() if target.id not in sheet.state.targets]
    if not new or adopting(sheet.context):
        return {}
    removed = {record.config_hash: record for record in gone(sheet) if record.removed_at is None}
    found: dict[str, str] = {}
    for target in new:
        record = removed.pop(diff.config_hash(diff.canonical(diff.effective(target))), None)
        if record is not None:
            found[target.id] = record.id
    return found


def _key(entries: Mapping[str, Value], old: str, new: str) -> dict[str, Value]:
    return {new if key == old else key: value for key, value in entries.items()}


def _merge_request(record: MergeRequestState, old: str, new: str) -> MergeRequestState:
    """The record; title and description name the targets, and have to follow."""
    if all(edit.target != old for edit in record.edits):
        return record
    edits = tuple(_edit(edit, old, new) for edit in record.edits)
    return replace(record, edits=edits, asked=record.asked if record.merged else record.asked or TEXTS)


def _edit(edit: Edit, old: str, new: str) -> Edit:
    return replace(edit, target=new) if edit.target == old else edit


def _content(part: str, old: str, new: str) -> str:
    target, _, sha = part.rpartition("@")
    return f"{new}@{sha}" if target == old else part
