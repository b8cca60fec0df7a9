"""Collect: what the statefile need not remember any longer, and the bound that follows from it.

After each decision that is written, every part of the statefile is bounded by the config, the open merge requests and
these constants, however long the bot has run (docs/operations.md, "How large it gets"):

- targets: those of the config, those with a run in flight, and those removed in the last 30 days
  (`bot.core.triggers`), at most `REMOVED_KEPT`
- channels: those that a known target publishes or subscribes to, 50 publications for each known publisher
- merge requests: the open ones, and merged ones for `MERGED_KEPT` at most
- orders on targets (requests, pins): one of a kind for each known target; cut batches: one for each batch there can be
- vetoes, failed contents, overrides, answers, cursors, dashboards, flags: a number each, the newest stay
- starts that were asked for: one for each definition that there is, for a day
- questions: one for each open merge request
- blocks and freezes: `bot.core.effects.ORDERS_MOST` each; they stand until a person takes them back, so a further one
  is refused instead
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from bot.core.batches import file_keys
from bot.core.sheet import Sheet
from bot.model.observed import MergeRequestStatus
from bot.model.rounds import Result, TriggerRequest
from bot.model.runs import RunStatus
from bot.model.state import Answer, MergeRequestState, Override, Publication, Question, State, TargetState

REMOVED_KEPT = 5000
VETOES_KEPT = 5000
FAILED_KEPT = 1000
OVERRIDES_KEPT = 1000
OVERRIDDEN = timedelta(days=90)
"""How long an override stands at most."""
ANSWERS_KEPT = 1000
CURSORS_KEPT = 5000
DASHBOARDS_KEPT = 20
FLAGS_KEPT = 5000
ASKED = timedelta(days=1)
"""How long a start that was asked for waits for what is in its way, a running round set aside."""
MERGED_KEPT = timedelta(days=14)
"""A merged merge request is followed for a week; by then it is dropped even where its report cannot be written."""
ROLLBACK = "rollback/"
LONGEST = 19
"""Digits of a number that a forge may give."""


def collect(sheet: Sheet) -> None:
    """Drop requests that came true, vetoes and failures of versions that went out, orders that ran out."""
    targets = sheet.context.desired.targets
    _drop_removed(sheet)
    known = targets.keys() | sheet.state.targets.keys()
    _drop_publishers(sheet, known)
    out = {f"{target.id}@{target.ref}" for target in targets.values()}
    state = sheet.state
    vetoes = tuple(v for v in state.vetoes if v.target in known and f"{v.target}@{v.sha}" not in out)
    failed = tuple(f for f in state.failed_contents if _may_come_back(f.content, known, out))
    sheet.state = replace(
        state,
        channels=_channels(sheet, known),
        merge_requests=_merge_requests(sheet),
        requests={k: r for k, r in state.requests.items() if k in known and f"{k}@{r.sha}" not in out},
        run_requests={k: r for k, r in state.run_requests.items() if k in known},
        pins={k: pin for k, pin in state.pins.items() if k in known},
        vetoes=vetoes[-VETOES_KEPT:],
        failed_contents=failed[-FAILED_KEPT:],
        overrides=tuple(o for o in state.overrides if o.target in known and _stands(sheet, o))[-OVERRIDES_KEPT:],
        freezes=tuple(f for f in state.freezes if f.until is None or f.until > sheet.now),
        splits=_splits(sheet),
        cursors=_cursors(state),
        questions=_questions(sheet),
        answers=dict(sorted(state.answers.items(), key=_age)[-ANSWERS_KEPT:]),
        trigger_requests=_trigger_requests(sheet),
        attention=dict(sorted(state.attention.items(), key=lambda item: item[1].at)[-FLAGS_KEPT:]),
    )


def _trigger_requests(sheet: Sheet) -> dict[str, TriggerRequest]:
    """Starts that were asked for of definitions that there are, or that an error hides, and not too long ago."""
    return {name: each for name, each in sheet.state.trigger_requests.items() if _is_wanted(sheet, name, each)}


def _is_wanted(sheet: Sheet, name: str, request: TriggerRequest) -> bool:
    """Whether a start is still to be made: nobody expects one days later that could not be made when it was asked."""
    desired, record = sheet.context.desired, sheet.state.triggers.get(name)
    known = name in desired.triggers or (record is not None and record.file in desired.invalid_triggers)
    runs = record is not None and record.round is not None and record.round.result is Result.RUNNING
    return known and (runs or sheet.now - request.at < ASKED)


def _drop_removed(sheet: Sheet) -> None:
    """Keep the records of targets that left the config last, and of those with a run in flight."""
    gone = [
        (record.removed_at, record.id)
        for record in sheet.state.targets.values()
        if record.removed_at is not None and not (record.run is not None and record.run.status.in_flight)
    ]
    for _, target in sorted(gone)[:-REMOVED_KEPT]:
        sheet.drop_target(target)


def _drop_publishers(sheet: Sheet, known: Collection[str]) -> None:
    """What a target knows of publishers that there are no more."""
    for record in [each for each in sheet.state.targets.values() if each.publishers]:
        if any(publisher not in known for publisher in record.publishers):
            kept = {publisher: digest for publisher, digest in record.publishers.items() if publisher in known}
            sheet.put_target(replace(record, publishers=kept))


def _channels(sheet: Sheet, known: set[str]) -> Mapping[str, tuple[Publication, ...]]:
    """The channels that somebody still takes part in, with what publishers that there still are have published."""
    named: set[str] = set()
    for target in sheet.context.desired.targets.values():
        named.update(target.promotion.publish, target.promotion.subscribe)
    for record in sheet.state.targets.values():
        named.update(record.publish)
    present = sheet.state.channels
    gone = {each.target for published in present.values() for each in published} - known
    if not gone and present.keys() <= named:
        return present
    found = {name: tuple(p for p in own if p.target not in gone) for name, own in present.items() if name in named}
    return {name: published for name, published in found.items() if published}


def _merge_requests(sheet: Sheet) -> dict[str, MergeRequestState]:
    """All but merged ones that were followed long enough, whatever their reports or the forge say."""
    kept: dict[str, MergeRequestState] = {}
    for key, record in sheet.state.merge_requests.items():
        since = record.changed_at or record.opened_at
        over = since is None or sheet.now - since > MERGED_KEPT
        if not (record.merged and over):
            kept[key] = record
    return kept


def _splits(sheet: Sheet) -> frozenset[str]:
    """The batches that there can be; while a file is invalid nobody knows which those are."""
    desired = sheet.context.desired
    if desired.invalid or not sheet.state.splits:
        return sheet.state.splits
    keys = set(file_keys(desired, sheet.context.settings.promotions.batch_by).values())
    keys |= {record.batch for record in sheet.state.merge_requests.values()}
    return frozenset(each for each in sheet.state.splits if each in keys or each.removeprefix(ROLLBACK) in keys)


def _stands(sheet: Sheet, override: Override) -> bool:
    used = _used(sheet.state.targets.get(override.target), override)
    return sheet.now - override.at < OVERRIDDEN and not used


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


def _questions(sheet: Sheet) -> dict[str, Question]:
    """Those on open merge requests."""
    seen = sheet.context.observed.merge_requests.values()
    open_iids = {str(each.iid) for each in seen if each.state is MergeRequestStatus.OPENED}
    return {iid: question for iid, question in sheet.state.questions.items() if iid in open_iids}


def _cursors(state: State) -> dict[str, int]:
    """Those of the newest merge requests and dashboards; one that is closed may be opened again, notes and all."""
    kept = (*_newest(state.cursors, "notes:", CURSORS_KEPT), *_newest(state.cursors, "dashboard:", DASHBOARDS_KEPT))
    return {key: state.cursors[key] for key in kept}


def _newest(cursors: Iterable[str], kind: str, most: int) -> list[str]:
    return sorted((key for key in cursors if key.startswith(kind)), key=lambda key: _number(key.removeprefix(kind)))[
        -most:
    ]


def _age(entry: tuple[str, Answer]) -> int:
    return _number(entry[1].note)


def _number(text: str) -> int:
    """A number of the forge's; what is none goes first."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST else -1
