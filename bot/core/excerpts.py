"""Excerpts: the part of the statefile that each sticky comment carries in its marker; a lost one is rebuilt from them.

The lineage, what people ordered, and which runs there are count as content: a comment is edited when they change. The
rest travels beside it, as it was at the last edit: the serial, the records of targets, what was published. What nothing
else tells has room first: orders, the edits of the merge request, the run keys of its targets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from bot.core.excerpt_rows import CHANNELS, EDITS, EDITS_LEFT_OUT, RAN, TARGETS, Row, filled, order_rows
from bot.core.gates import same_url
from bot.core.migrations import migrated
from bot.core.own_notes import own_note
from bot.core.sheet import Sheet
from bot.core.statefile import Seen, without_zone
from bot.errors import WrongUsage
from bot.model.observed import Issue, MergeRequest
from bot.model.runs import RunStatus
from bot.model.state import VERSION, Edit, Hold, MergeRequestState, State, TargetState, Veto
from bot.render import marker
from bot.render.comments import DASHBOARD, STICKY, Fits
from bot.render.words import utc

ORDERS_MOST = 24_000
"""Characters of JSON that the orders of an excerpt take at most; compressed they are a fifth of that."""

REASON_MOST = 500
"""Characters of the reason that somebody gave."""

CLOSED = "closed"
"""The kind of the marker of a closing comment."""

ORDERS = ["freezes", "blocks", "pins", "requests", "run_requests", "splits", "overrides", "vetoes", "failed_contents"]
"""What people ordered, by its place in the statefile; where there is no room for all, the last ones give way."""

NEWEST = 100
"""Orders of a kind, and records of targets that do not run, that the dashboard carries."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a marker says of the statefile. `hold` is its merge request's; `left_out` counts what had no room.

    `seen` is None where a release wrote it that knew of holds alone. `base` is the config's branch of the bot that
    wrote it; empty where a release wrote it that did not say.
    """

    part: State
    seen: Seen | None
    hold: Hold | None
    left_out: int
    changed_at: datetime | None
    base: str = ""
    edits_left_out: bool = False
    """Whether its merge request has more edits than it tells."""
    runs: Mapping[str, Ran] = field(default_factory=dict)
    """The newest run of each target, also where its record had no room."""

    def of_branch(self, base: str) -> bool:
        """Whether the bot that has its config on this branch may have written it."""
        return self.base in ("", base)


@dataclass(frozen=True, slots=True)
class Ran:
    """A target's newest run, in short: enough to find it at its server, and to tell the key of the next one."""

    number: int
    key: str = ""
    status: RunStatus | None = None


def content_of(state: State, record: MergeRequestState, urls: Collection[str]) -> dict[str, Any]:
    """What a merge request's marker says of orders and runs; `urls` are the code repositories of its targets."""
    targets = frozenset(edit.target for edit in record.edits)
    held = record.hold
    hold = {"hold": [held.by, utc(held.at), held.reason[:REASON_MOST]]} if held is not None else {}
    runs = [found.run.key for each in sorted(targets) if (found := state.targets.get(each)) and found.run]
    orders = _orders_about(state, targets, urls)
    if record.batch in state.splits:
        orders = replace(orders, splits=frozenset({record.batch}))
    return {**hold, **_content(state.lineage, orders, runs)}


def beside(sheet: Sheet, content: Mapping[str, Any], record: MergeRequestState, fits: Fits) -> dict[str, Any]:
    """What a merge request's marker carries beside its content: its own record, its targets' and their publishers'."""
    targets = sheet.context.desired.targets
    wanted = {edit.target: edit.new for edit in record.edits}
    subscribed = [pair for each in wanted if each in targets for pair in sheet.subscribed(targets[each])]
    publishers = {publisher for _, found in subscribed for publisher in found} - wanted.keys()
    shas = frozenset(wanted.values())
    known = sheet.state.targets
    channels = {name: [p for p in sheet.state.channels.get(name, ()) if p.sha in shas] for name, _ in subscribed}
    rows: list[Row] = [
        *order_rows(content),
        (("state", "merge_requests", record.branch), lean(replace(record, hold=None, edits=()))),
        *(((EDITS,), lean(each)) for each in reversed(record.edits)),
        *(((RAN, each), _ran(known[each])) for each in wanted if each in known),
        *(((*TARGETS, each), lean(slim(known[each]))) for each in (*wanted, *sorted(publishers)) if each in known),
        *(((*CHANNELS, name), lean(each)) for name, found in channels.items() for each in reversed(found)),
    ]
    return filled(_head(sheet, content), rows, fits)


def dashboard_content(state: State) -> dict[str, Any]:
    """What the dashboard's marker says: every order, the newest first where there are too many, and what runs."""
    orders = State(
        freezes=state.freezes[-NEWEST:],
        blocks=state.blocks[-NEWEST:],
        pins=_newest(state.pins),
        vetoes=state.vetoes[-NEWEST:],
        requests=_newest(state.requests),
        overrides=state.overrides[-NEWEST:],
        run_requests=_newest(state.run_requests),
        failed_contents=state.failed_contents[-NEWEST:],
        splits=frozenset(sorted(state.splits)[:NEWEST]),
    )
    runs = sorted(each.run.key for each in state.targets.values() if each.run is not None and each.run.status.in_flight)
    return _content(state.lineage, orders, runs)


def beside_dashboard(sheet: Sheet, content: Mapping[str, Any], fits: Fits) -> dict[str, Any]:
    """What the dashboard's marker carries beside its content: runs in flight, and what was deployed last."""
    first = datetime.min.replace(tzinfo=UTC)

    def age(record: TargetState) -> tuple[bool, datetime]:
        return record.run is not None and record.run.status.in_flight, record.deployed_at or first

    known = sorted((each for each in sheet.state.targets.values() if each.run is not None), key=age)
    records: list[Row] = [((*TARGETS, each.id), lean(slim(each))) for each in reversed(known[-NEWEST:])]
    return filled(_head(sheet, content), [*order_rows(content), *records], fits)


def vetoes_mark(sheet: Sheet, edits: Iterable[Edit]) -> str:
    """The end of a closing comment: the vetoes that stand on what was in it, for it gets no other report any more."""
    closed = {(edit.target, edit.new) for edit in edits}
    vetoes = tuple(each for each in sheet.state.vetoes if (each.target, each.sha) in closed)
    if not vetoes:
        return ""
    told, _ = fitted({"vetoes": lean(vetoes)}, ORDERS_MOST)
    return f"\n{marker.mark(CLOSED, told, sheet.context.report_key)}\n"


def vetoes_on(merge_request: MergeRequest, me: str, key: bytes | None) -> tuple[Veto, ...]:
    """The vetoes that the bot's closing comment speaks of."""
    note = own_note(merge_request.notes, me, CLOSED, key)
    data = marker.read(note.body, CLOSED, key) if note is not None else None
    found = read_part({"vetoes": data.get("vetoes", ())}) if data is not None else None
    return found.vetoes if found is not None else ()


def read_excerpt(data: Mapping[str, Any]) -> Excerpt | None:
    """The excerpt in a marker's data; None for what no release wrote, or a newer one."""
    lineage, serial = data.get("lineage"), data.get("serial")
    seen = Seen(lineage, serial) if lineage and isinstance(lineage, str) and isinstance(serial, int) else None
    orders, records = data.get("orders", {}), data.get("state", {})
    hold, left_out = data.get("hold"), data.get("left_out", 0)
    part = read_part({**orders, **records}) if isinstance(orders, dict) and isinstance(records, dict) else None
    base = data.get("base", "")
    left_out = left_out if isinstance(left_out, int) else 0
    try:
        runs = msgspec.convert({key: _named(each) for key, each in data.get(RAN, {}).items()}, dict[str, Ran])
        edits = msgspec.convert(data.get(EDITS, ()), tuple[Edit, ...])
        held = msgspec.convert(dict(zip(("by", "at", "reason"), hold, strict=True)), Hold) if hold else None
        changed_at = msgspec.convert(data.get("changed_at"), datetime | None)
    except (msgspec.ValidationError, AttributeError, TypeError, ValueError):
        return None
    if part is None or without_zone(held) or without_zone(changed_at):
        return None
    own = {key: replace(each, edits=(*each.edits, *edits)) for key, each in part.merge_requests.items()}
    return Excerpt(
        part=replace(part, merge_requests=own),
        seen=seen,
        hold=held,
        left_out=left_out,
        changed_at=changed_at,
        base=base if isinstance(base, str) else "",
        edits_left_out=bool(data.get(EDITS_LEFT_OUT, left_out and not own)),
        runs=runs,
    )


def read_part(document: Mapping[str, Any]) -> State | None:
    """The part of a statefile in a plain document, of this or an older version."""
    try:
        part = msgspec.convert(migrated({"version": VERSION, **document}), State)
    except (WrongUsage, msgspec.ValidationError):
        return None
    return None if without_zone(part) else part


def excerpt_on(merge_request: MergeRequest, me: str, key: bytes | None, base: str = "") -> Excerpt | None:
    """The excerpt on a merge request, from the bot's own sticky comment for this branch of the config."""
    note = own_note(merge_request.notes, me, STICKY, key)
    return _excerpt_in(note.body, STICKY, key, base) if note is not None else None


def excerpt_of_dashboard(issue: Issue | None, key: bytes | None, base: str = "") -> Excerpt | None:
    """The excerpt in the dashboard's text, if it is that of the bot for this branch of the config."""
    return _excerpt_in(issue.body, DASHBOARD, key, base) if issue is not None else None


def _excerpt_in(body: str, kind: str, key: bytes | None, base: str) -> Excerpt | None:
    data = marker.read(body, kind, key)
    found = read_excerpt(data) if data is not None else None
    return found if found is not None and found.of_branch(base or found.base) else None


def sightings(
    merge_requests: Iterable[MergeRequest], dashboard: Issue | None, me: str, key: bytes | None, base: str = ""
) -> tuple[tuple[str, Seen], ...]:
    """Every statefile that the bot's own reports speak of, with where they do; the highest serials first.

    `base` is the config's branch: another bot of the same account, for another branch, has a statefile of its own.
    """
    found = [(f"on !{each.iid}", excerpt_on(each, me, key, base)) for each in merge_requests if each.author == me]
    found.append(("on the dashboard", excerpt_of_dashboard(dashboard, key, base)))
    seen = [(where, excerpt.seen) for where, excerpt in found if excerpt is not None and excerpt.seen is not None]
    return tuple(sorted(seen, key=lambda each: -each[1].serial))


def slim(record: TargetState) -> TargetState:
    """A target's record without what is long, or no business of those who read comments."""
    run = record.run
    if run is not None:
        run = replace(run, reasons=(), text="", url="", instance=None)
    return replace(record, config="", run=run)


def lean(value: Any) -> Any:
    """A value of the model as plain JSON, without the fields that are at their default."""
    if isinstance(value, Mapping):
        return {key: lean(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(map(lean, value))
    if isinstance(value, tuple):
        return [lean(each) for each in value]
    if is_dataclass(value):
        own = {field: getattr(value, field.name) for field in fields(value)}
        return {field.name: lean(each) for field, each in own.items() if each != _default(field)}
    return msgspec.to_builtins(value)


def fitted(document: Mapping[str, Any], most: int) -> tuple[dict[str, Any], int]:
    """As many entries as fit in `most` characters of JSON, each field's last ones first; and how many did not."""
    found: dict[str, Any] = {}
    left_out = 0
    for name, entries in document.items():
        rows = list(entries.items()) if isinstance(entries, dict) else entries
        kept: list[Any] = []
        for row in reversed(rows):
            size = len(msgspec.json.encode(row))
            if size <= most:
                most -= size
                kept.insert(0, row)
        left_out += len(rows) - len(kept)
        if kept:
            found[name] = dict(kept) if isinstance(entries, dict) else kept
    return found, left_out


def _content(lineage: str, orders: State, runs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"lineage": lineage}
    plain = _with_short_reasons(lean(orders))
    told, _ = fitted({name: plain[name] for name in ORDERS if name in plain}, ORDERS_MOST)
    if told:
        found["orders"] = told
    if runs:
        found["runs"] = sha256("\n".join(runs).encode()).hexdigest()[:16]
    return found


def _with_short_reasons(value: Any) -> Any:
    """Plain JSON in which nobody's reason takes the room of everything else."""
    if isinstance(value, dict):
        cut = {"reason": str(value["reason"])[:REASON_MOST]} if isinstance(value.get("reason"), str) else {}
        return {key: _with_short_reasons(each) for key, each in value.items()} | cut
    return list(map(_with_short_reasons, value)) if isinstance(value, list) else value


def _head(sheet: Sheet, content: Mapping[str, Any]) -> dict[str, Any]:
    """The serial is that of the write that comes before the comment.

    The orders of the content are written by rows, as there may be no room for all.
    """
    head = {"serial": next_serial_of(sheet), "base": sheet.context.settings.branch, "state": {"version": VERSION}}
    return {**head, "orders": {}} if "orders" in content else head


def _ran(record: TargetState) -> list[Any]:
    run = record.run
    return [record.run_number, run.key, run.status.value] if run is not None else [record.run_number]


def _named(row: Any) -> dict[str, Any]:
    return dict(zip(("number", "key", "status"), row, strict=False))


def next_serial_of(sheet: Sheet) -> int:
    """The serial with which this decision is saved before its first effect."""
    return sheet.state.serial + 1


def _orders_about(state: State, targets: frozenset[str], urls: Collection[str]) -> State:
    """The orders that some of these targets, or of these code repositories, are subject to."""
    contents = (f for f in state.failed_contents if any(each.rpartition("@")[0] in targets for each in f.content))
    return State(
        freezes=state.freezes,
        blocks=tuple(each for each in state.blocks if any(same_url(each.url, url) for url in urls)),
        pins={key: each for key, each in state.pins.items() if key in targets},
        vetoes=tuple(each for each in state.vetoes if each.target in targets),
        requests={key: each for key, each in state.requests.items() if key in targets},
        overrides=tuple(each for each in state.overrides if each.target in targets),
        run_requests={key: each for key, each in state.run_requests.items() if key in targets},
        failed_contents=tuple(contents),
    )


def _newest(entries: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(entries.items(), key=lambda pair: pair[1].at)[-NEWEST:])


def _default(field: Field[Any]) -> object:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else MISSING
