"""Collect: what the statefile need not remember any longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.core.sheet import Sheet
from bot.model.observed import MergeRequestStatus
from bot.model.state import Override, RunStatus, State, TargetState

OVERRIDES_KEPT = timedelta(days=90)
CURSORS_KEPT = 5000
LONGEST = 19
"""Digits of a number that a forge may give."""


def collect(sheet: Sheet) -> None:
    """Drop requests that came true, vetoes and failures of versions that went out, orders that ran out."""
    targets = sheet.context.desired.targets
    known = targets.keys() | sheet.state.targets.keys()
    out = {f"{target.id}@{target.ref}" for target in targets.values()}
    open_iids = {
        str(each.iid)
        for each in sheet.context.observed.merge_requests.values()
        if each.state is MergeRequestStatus.OPENED
    }
    state = sheet.state
    sheet.state = replace(
        state,
        requests={k: r for k, r in state.requests.items() if k in known and f"{k}@{r.sha}" not in out},
        run_requests={k: r for k, r in state.run_requests.items() if k in known},
        pins={k: pin for k, pin in state.pins.items() if k in known},
        vetoes=tuple(v for v in state.vetoes if v.target in known and f"{v.target}@{v.sha}" not in out)[-5000:],
        failed_contents=tuple(f for f in state.failed_contents if _may_come_back(f.content, known, out))[-1000:],
        overrides=tuple(
            o
            for o in state.overrides
            if o.target in known and sheet.now - o.at < OVERRIDES_KEPT and not _used(state.targets.get(o.target), o)
        ),
        freezes=tuple(f for f in state.freezes if f.until is None or f.until > sheet.now),
        cursors=_cursors(state),
        questions={iid: q for iid, q in state.questions.items() if iid in open_iids},
    )


def _used(record: TargetState | None, override: Override) -> bool:
    """Whether the run that an override was given for has succeeded; a later run of the same sha is judged anew."""
    run = record.run if record is not None else None
    return (
        run is not None
        and (run.sha, run.status) == (override.sha, RunStatus.SUCCEEDED)
        and run.intent_at is not None
        and run.intent_at >= override.at
    )


def _may_come_back(content: frozenset[str], known: set[str], out: set[str]) -> bool:
    return not content & out and all(each.rsplit("@", 1)[0] in known for each in content)


def _cursors(state: State) -> dict[str, int]:
    """The cursors of the newest merge requests; one that is closed may be opened again, with all its old notes."""
    newest = sorted(state.cursors, key=_number)[-CURSORS_KEPT:]
    return {key: state.cursors[key] for key in newest}


def _number(key: str) -> int:
    """The merge request of a cursor; what is no cursor of ours goes first."""
    number = key.removeprefix("notes:")
    return int(number) if number.isascii() and number.isdigit() and len(number) < LONGEST else -1
