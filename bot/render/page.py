"""The status page: the overview as one HTML document that loads nothing, runs nothing and can be kept as a file.

Every value passes `neutral.shown` on its way into the template and is escaped there; links are http(s) or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bot import __version__
from bot.model.observed import CiStatus, MergeRequest
from bot.model.overview import NEEDS_A_PERSON, Overview, Row, TriggerRow
from bot.model.plan import Held
from bot.model.rounds import JobReport, Result, SetReport
from bot.model.runs import Run
from bot.render import neutral
from bot.render.rounds import BAD
from bot.render.words import short, span, utc

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

MOST = 200
"""Entries of a list that the page shows; beyond that nobody reads, and every target is in its table as well."""

AT_ONCE = 12
"""Entries of a list that are not folded away."""

ALIKE = 4
"""So many entries that say the same become one."""

OPENED = 6
"""SaaS files with trouble that are unfolded at first."""

LONGEST = 400
"""Characters of somebody else's text."""


LONGEST_URL = 2000


class Standing(StrEnum):
    """How a target stands, the worst first; the page's words for it."""

    PERSON = "person"
    WAITING = "waiting"
    RUNNING = "running"
    FINE = "fine"


ORDER = tuple(Standing)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something said of a subject: a tag such as a gate's name, a text, and since or until when."""

    tag: str
    text: str
    until: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A subject with all that is to be said of it; `url` leads to its run, its merge request or nowhere.

    `names` are all subjects of which the very same is to be said, where that stands for many.
    """

    kind: str
    name: str
    remarks: tuple[Remark, ...]
    url: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One target in its table."""

    row: Row
    name: str
    standing: Standing
    wanted: str
    runs: str
    run: Run | None


@dataclass(frozen=True, slots=True)
class Group:
    """The targets of one SaaS file, the worst first, and how many stand how."""

    name: str
    lines: tuple[Line, ...]
    counts: Mapping[Standing, int]

    @property
    def worst(self) -> Standing:
        """How its worst target stands."""
        return next(each for each in ORDER if self.counts[each])


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar over all targets: from `start`, so wide, in thousandths."""

    standing: Standing
    start: float
    width: float


def status_page(found: Overview) -> str:
    """Write the page; it ends with a newline."""
    groups = _groups(found.rows, {name for name in found.attention if name.startswith("target:")})
    counts = {each: sum(group.counts[each] for group in groups) for each in ORDER}
    person, waiting = _joined(_of_people(found)), _joined(_waiting(found))
    return _template().render(
        found=found,
        version=__version__,
        counts=counts,
        segments=_segments(counts),
        person=person,
        waiting=waiting,
        waits=sum(len(each.names) or 1 for each in waiting),
        running=tuple(_running(found)),
        triggers=sorted(found.triggers, key=lambda row: _round_result(row) not in BADLY),
        groups=[group for group in groups if group.worst is not Standing.FINE],
        fine=[group for group in groups if group.worst is Standing.FINE],
        ago=lambda at: _ago(found.now, at),
        most=MOST,
        at_once=AT_ONCE,
        opened=OPENED,
    )


BADLY = (Result.ERROR, Result.TIMEOUT)


def _of_people(found: Overview) -> Iterable[Entry]:
    """What a person must do: flags, what time alone does not open, rounds that ended badly, a bot that is silent."""
    if found.silent and found.written_at is not None:
        text = "no sign of life: the schedule, or the process, has stopped"
        yield Entry("bot", "saasbot", (Remark("silent", text, since=found.written_at),))
    numbers = {each.iid: each for each in found.merge_requests}
    held = [each for each in _held(found) if each.gate in NEEDS_A_PERSON]
    remarks: dict[str, list[Remark]] = {}
    for each in held:
        remarks.setdefault(each.subject, []).append(_remark(each))
    for subject, flag in found.attention.items():
        remarks.setdefault(subject, []).append(Remark("attention", flag.text, since=flag.at))
    for row in found.triggers:
        if row.sets and _round_result(row) in BADLY:
            remarks.setdefault(f"trigger:{row.name}", []).insert(0, _set_remark(row.sets[-1], row.sets[-1].ended_at))
    urls = {f"target:{row.id}": row.record.run.url for row in found.rows if row.record and row.record.run}
    urls |= {f"merge-request:{each.source_branch}": each.url for each in found.merge_requests}
    urls |= {f"trigger:{row.name}": _error_url(row) for row in found.triggers}
    urls |= {name: numbers[flag.iid].url for name, flag in found.attention.items() if flag.iid in numbers}
    for subject, own in remarks.items():
        yield _entry(subject, own, urls.get(subject, ""))


def _waiting(found: Overview) -> Iterable[Entry]:
    """What time or other work opens, the soonest first."""
    held = [each for each in _held(found) if each.gate not in NEEDS_A_PERSON]
    held.sort(key=lambda each: (each.until is None, each.until or found.now))
    grouped: dict[str, list[Remark]] = {}
    for each in held:
        grouped.setdefault(each.subject, []).append(_remark(each))
    return (_entry(subject, own) for subject, own in grouped.items())


def _running(found: Overview) -> Iterable[Entry]:
    """Runs in flight and rounds that go on."""
    for row in found.rows:
        run = row.record.run if row.record is not None else None
        if run is not None and run.status.in_flight:
            yield Entry("target", row.id, (_run_remark(run),), run.url)
    for trigger in found.triggers:
        if trigger.sets and _round_result(trigger) is Result.RUNNING:
            last = trigger.sets[-1]
            yield Entry("trigger", trigger.name, (_set_remark(last, last.started_at),))


def _set_remark(report: SetReport, since: datetime | None) -> Remark:
    which = f"round {report.round}" + (f", {report.name}" if report.name else "")
    return Remark(report.result.value, f"{which}: {report.text}" if report.text else which, since=since)


def _run_remark(run: Run) -> Remark:
    what = f"run {run.number} of {short(run.sha)}"
    text = f"{what}: {run.text}" if run.text else what
    return Remark(run.status.value, text, since=run.started_at or run.intent_at)


def _joined(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries, but one in the place of `ALIKE` or more that say the same and lead nowhere: a freeze, a server."""
    entries = tuple(entries)
    alike: dict[tuple[Remark, ...], list[Entry]] = {}
    for each in entries:
        alike.setdefault(each.remarks if not each.url else (), []).append(each)
    found = []
    for each in entries:
        same = alike[each.remarks] if not each.url else [each]
        if len(same) < ALIKE:
            found.append(each)
        elif each is same[0]:
            found.append(Entry("", "", each.remarks, names=tuple(one.name for one in same)))
    return tuple(found)


def _held(found: Overview) -> Iterable[Held]:
    return (*found.held, *(held for row in found.rows for held in row.held))


def _remark(held: Held) -> Remark:
    return Remark(held.gate.value, held.text, until=held.until)


def _entry(subject: str, remarks: Iterable[Remark], url: str = "") -> Entry:
    kind, _, name = subject.partition(":")
    return Entry(kind if name else "", name or subject, tuple(remarks), url)


def _round_result(row: TriggerRow) -> Result | None:
    return row.record.round.result if row.record is not None and row.record.round is not None else None


def _groups(rows: Iterable[Row], flagged: set[str]) -> tuple[Group, ...]:
    """The targets by SaaS file, files with the worst first, else in the order of the config."""
    by_file: dict[str, list[Line]] = {}
    for row in rows:
        file, _, name = row.id.partition("/")
        by_file.setdefault(file, []).append(_line(row, name or row.id, flagged=f"target:{row.id}" in flagged))
    groups = [_group(name, lines) for name, lines in by_file.items()]
    return tuple(sorted(groups, key=lambda group: ORDER.index(group.worst)))


def _group(name: str, lines: list[Line]) -> Group:
    lines.sort(key=lambda line: ORDER.index(line.standing))
    return Group(name, tuple(lines), {each: sum(line.standing is each for line in lines) for each in ORDER})


def _line(row: Row, name: str, *, flagged: bool) -> Line:
    target, record = row.target, row.record
    run = record.run if record is not None else None
    if flagged or any(held.gate in NEEDS_A_PERSON for held in row.held):
        standing = Standing.PERSON
    elif run is not None and run.status.in_flight:
        standing = Standing.RUNNING
    else:
        standing = Standing.WAITING if row.held else Standing.FINE
    if target is not None:
        wanted = short(target.ref) if target.pinned else target.ref
    else:
        wanted = "invalid" if row.held else "removed"
    return Line(
        row, name, standing, wanted, short(record.deployed_sha or record.sha) if record is not None else "", run
    )


def _segments(counts: Mapping[Standing, int]) -> tuple[Segment, ...]:
    """The bar's parts; nothing at all where there are no targets."""
    whole = sum(counts.values())
    widths = [1000 * counts[each] / whole for each in ORDER] if whole else []
    starts = accumulate(widths, initial=0.0)
    return tuple(Segment(*each) for each in zip(ORDER, starts, widths, strict=False) if each[2])


def _ago(now: datetime, at: datetime) -> str:
    """How far a moment is from now, to two units: `in 3h12m`, `2d4h ago`, `now`."""
    length = abs(at - now)
    step = timedelta(hours=1) if length >= timedelta(days=2) else timedelta(minutes=1)
    if length < step:
        return "now"
    words = span(length - length % step)
    return f"in {words}" if at > now else f"{words} ago"


def _error_url(row: TriggerRow) -> str:
    """Where the job ran that a round failed by; empty where none did."""
    errors = (each.error.run.url for each in row.sets if each.error is not None and each.error.run is not None)
    return next(errors, "")


def _bad_jobs(row: TriggerRow) -> Sequence[JobReport]:
    """The jobs of a round that a person has to look at."""
    return [job for each in row.sets for job in each.jobs if job.word in BAD]


def _link(url: str) -> Markup:
    """The address ready for an attribute, where it is one of a page and carries no secret; else nothing."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - as below

    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and url.isprintable() and " " not in url
    except ValueError:
        return Markup()
    return escape(url) if good and len(url) <= LONGEST_URL and neutral.redact(url) == url else Markup()


def _coded(text: str) -> Markup:
    """A sentence with its code spans as such; where a backtick is left over, all of them stay as they are."""
    from markupsafe import Markup, escape  # noqa: PLC0415 - as below

    pieces = neutral.shown(text, LONGEST).split("`")
    if len(pieces) % 2 == 0:
        return escape("`".join(pieces))
    wrapped = (Markup("<code>{}</code>").format(each) if at % 2 else escape(each) for at, each in enumerate(pieces))
    return Markup().join(wrapped)


def _said(value: object) -> object:
    """What the template writes of a value: other people's text is one line that shows no secret."""
    return neutral.shown(value, LONGEST) if type(value) is str else value


@lru_cache(maxsize=1)
def _template() -> Template:
    # Imported only here, as in `bot.render.comments`.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("bot.render"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_said,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "utc": utc,
        "moment": _moment,
        "link": _link,
        "sha7": short,
        "span": span,
        "bad_jobs": _bad_jobs,
        "ci": _ci,
        "coded": _coded,
        "tone": lambda held: (Standing.PERSON if held.gate in NEEDS_A_PERSON else Standing.WAITING).value,
        "count": lambda number, noun: f"{number} {noun}" + ("" if number == 1 else "s"),
    }
    return environment.get_template("page.html.j2")


def _moment(at: datetime) -> str:
    """A moment as people read it, to the minute."""
    return utc(at)[:16].replace("T", " ") + " UTC"


def _ci(merge_request: MergeRequest) -> Sequence[tuple[str, str]]:
    """What is to be said of an open merge request: a word each, with how bad that is."""
    found = [(f"CI {merge_request.ci.value}", _CI[merge_request.ci])] if merge_request.ci in _CI else []
    found += [("conflicts", Standing.PERSON.value)] if merge_request.has_conflicts else []
    found += [("draft", "quiet")] if merge_request.draft else []
    found += [("approved", Standing.FINE.value)] if merge_request.approved_by else []
    return found + ([("set to merge", Standing.FINE.value)] if merge_request.auto_merge else [])


_CI: Mapping[CiStatus, str] = {
    CiStatus.SUCCESS: "fine",
    CiStatus.FAILED: "person",
    CiStatus.RUNNING: "running",
    CiStatus.WAITING: "waiting",
}
