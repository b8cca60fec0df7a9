"""The gates: one function answers for everybody (DESIGN section 4); nothing else decides whether something may go.

`gates(candidate, sheet)` gives one verdict for each gate that the occasion asks, in the order of `Gate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bot.core import schedule
from bot.core.sheet import Sheet
from bot.model.desired import Target
from bot.model.observed import Unreachable
from bot.model.plan import Gate, Verdict
from bot.model.state import CommandFreeze, Override, Publication
from bot.render.words import short, span, utc


class Occasion(StrEnum):
    """What a candidate is a candidate for; it decides which gates are asked."""

    PROMOTION = "promotion"
    """The bot would move a subscriber's ref, or a person's merge request does."""
    REF_CHANGE = "ref_change"
    """A subscriber's ref has moved on the branch and its run would start."""
    SAME_REF = "same_ref"
    """A run of the same ref, or of a target that subscribes to nothing."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sha for one target on one occasion.

    `current` is the sha that it would replace (empty: none). `person` says that a person, by hand or by command, and
    not the bot chose this sha. `asked` marks a run that a command asked for, which a past failure does not stop.
    """

    target: Target
    sha: str
    occasion: Occasion
    current: str = ""
    config_hash: str = ""
    person: bool = False
    asked: bool = False
    retry: bool = False
    fresh: bool = False
    """Whether a build or an image behind this sha is another one than the last run's: what failed then was not this."""


SAME_REF_GATES = (
    Gate.WINDOW,
    Gate.FREEZE,
    Gate.BLOCKED_VERSION,
    Gate.HOLD,
    Gate.BUDGET,
    Gate.RUN_IN_FLIGHT,
    Gate.FAILED,
    Gate.UNKNOWN,
)
REF_GATES = (Gate.PUBLISHED, Gate.SAME_SHA, Gate.SOAK, Gate.GOING_BACK, Gate.VETOED, *SAME_REF_GATES)
HOTFIX_PASSES = frozenset({Gate.PUBLISHED, Gate.SAME_SHA, Gate.SOAK, Gate.WINDOW, Gate.FREEZE})
ROLLBACK_PASSES = frozenset({Gate.PUBLISHED, Gate.SAME_SHA, Gate.SOAK, Gate.GOING_BACK, Gate.VETOED})
NEVER_OVERRIDDEN = frozenset(
    {Gate.BUDGET, Gate.RUN_IN_FLIGHT, Gate.HUMAN_COMMIT, Gate.UNSAFE_EDIT, Gate.UNREACHABLE, Gate.INVALID}
)


def gates(candidate: Candidate, sheet: Sheet) -> tuple[Verdict, ...]:
    """Every verdict that this occasion asks for, failed ones and passed ones."""
    asked = SAME_REF_GATES if candidate.occasion is Occasion.SAME_REF else REF_GATES
    return tuple(_judge(gate, candidate, sheet) for gate in Gate if gate in asked)


def holding(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Those that hold."""
    return tuple(verdict for verdict in verdicts if not verdict.passed)


def _judge(gate: Gate, candidate: Candidate, sheet: Sheet) -> Verdict:
    verdict = JUDGES[gate](candidate, sheet)
    if verdict.passed:
        return verdict
    if gate in HOTFIX_PASSES and candidate.person and candidate.sha in hotfixes(candidate, sheet):
        return replace(verdict, passed=True, text="a hotfix version passes this gate", until=None)
    if gate in ROLLBACK_PASSES and rolled_back(candidate, sheet):
        return replace(verdict, passed=True, text="a rollback by an owner passes this gate", until=None)
    override = overridden(gate, candidate, sheet)
    if override is not None:
        text = f"overridden by {override.by}: {override.reason or 'no reason given'}"
        return replace(verdict, passed=True, text=text, until=None, overridden_by=override.by)
    return verdict


def hotfixes(candidate: Candidate, sheet: Sheet) -> frozenset[str]:
    """The hotfix versions of the target's code repository."""
    app = sheet.context.desired.apps.get(candidate.target.app.name, candidate.target.app)
    return frozenset(sha for part in app.components if same_url(part.url, candidate.target.url) for sha in part.hotfix)


def rolled_back(candidate: Candidate, sheet: Sheet) -> bool:
    """Whether an owner's `rollback` asked for exactly this sha."""
    request = sheet.state.requests.get(candidate.target.id)
    pin = sheet.state.pins.get(candidate.target.id)
    return (request is not None and request.rollback and request.sha == candidate.sha) or (
        pin is not None and pin.rollback and pin.sha == candidate.sha
    )


def overridden(gate: Gate, candidate: Candidate, sheet: Sheet) -> Override | None:
    """The override that lets this sha through this gate, if someone gave one."""
    if gate in NEVER_OVERRIDDEN:
        return None
    return next(
        (
            each
            for each in sheet.state.overrides
            if (each.target, each.sha, each.gate) == (candidate.target.id, candidate.sha, gate)
            and not any(
                _came_after(order, each, candidate.target) for order in sheet.state.freezes if gate is Gate.FREEZE
            )
        ),
        None,
    )


def _came_after(order: CommandFreeze, override: Override, target: Target) -> bool:
    """Whether a freeze was ordered after the override: that one knew nothing of it."""
    return order.at > override.at and schedule.command_freezes_target(order, target)


def same_url(one: str, other: str) -> bool:
    """Whether two spellings name the same repository: a trailing slash or `.git` makes no difference."""
    return one.rstrip("/").removesuffix(".git") == other.rstrip("/").removesuffix(".git")


def _first_publications(candidate: Candidate, sheet: Sheet) -> dict[str, Publication | None]:
    """By publisher of any subscribed channel: its publication of the candidate's sha."""
    found: dict[str, Publication | None] = {}
    for channel, publishers in sheet.subscribed(candidate.target):
        published = {p.target: p for p in sheet.publications(channel) if p.sha == candidate.sha}
        for publisher in publishers:
            found[publisher] = published.get(publisher) or found.get(publisher)
    return found


def _counts_as_published(candidate: Candidate, sheet: Sheet) -> bool:
    """Whether the sha was adopted at this very target."""
    record = sheet.target_state(candidate.target.id)
    return record is not None and record.adopted and record.sha == candidate.sha


def _published(candidate: Candidate, sheet: Sheet) -> Verdict:
    published = _first_publications(candidate, sheet)
    have = [publisher for publisher, publication in published.items() if publication]
    silent = [channel for channel, publishers in sheet.subscribed(candidate.target) if not publishers]
    asked = bool(candidate.target.promotion.subscribe) and not _counts_as_published(candidate, sheet)
    passed = not asked or bool(have and not silent)
    channels = ", ".join(silent or candidate.target.promotion.subscribe)
    if asked and silent:
        text = f"nothing valid publishes {channels}"
    elif passed:
        text = f"{short(candidate.sha)} was published on {channels}" if have else "nothing has to publish it"
    else:
        text = f"{short(candidate.sha)} was not published on {channels}; if it must go, `override published`"
    return Verdict(Gate.PUBLISHED, passed, text, str(len(have)), "1")


def _same_sha(candidate: Candidate, sheet: Sheet) -> Verdict:
    published = _first_publications(candidate, sheet)
    missing = sorted(publisher for publisher, publication in published.items() if publication is None)
    have = len(published) - len(missing)
    passed = not missing or not have or _counts_as_published(candidate, sheet)
    text = (
        "all publishers agree"
        if not missing
        else "no publisher has it, which `published` says"
        if not have
        else f"{have} of {len(published)} publishers have published {short(candidate.sha)}; missing: "
        + ", ".join(missing[:5])
    )
    return Verdict(Gate.SAME_SHA, passed, text, str(have), str(len(published)))


def _soak(candidate: Candidate, sheet: Sheet) -> Verdict:
    soak = candidate.target.promotion.soak
    times = [p.first_at for p in _first_publications(candidate, sheet).values() if p is not None]
    if not soak or not times or _counts_as_published(candidate, sheet):
        return Verdict(Gate.SOAK, True, "no soak is asked" if not soak else "nothing soaks", threshold=span(soak))
    ready = max(times) + soak
    elapsed = span(max(sheet.now - max(times), timedelta()))
    if sheet.time_is_behind:
        return _behind(Gate.SOAK, sheet)
    if sheet.now >= ready:
        return Verdict(Gate.SOAK, True, f"soaked {elapsed} of {span(soak)}", elapsed, span(soak))
    text = f"{short(candidate.sha)} soaks {span(soak)} since {utc(max(times))}"
    return Verdict(Gate.SOAK, False, text, elapsed, span(soak), ready)


def _window(candidate: Candidate, sheet: Sheet) -> Verdict:
    windows = candidate.target.promotion.windows
    if not windows:
        return Verdict(Gate.WINDOW, True, "no window is asked")
    if sheet.time_is_behind:
        return _behind(Gate.WINDOW, sheet)
    end = schedule.open_until(windows, sheet.now)
    if end is not None:
        return Verdict(Gate.WINDOW, True, f"the window is open until {utc(end)}", utc(sheet.now))
    begin = schedule.next_open(windows, sheet.now)
    text = "outside its windows" if begin else "outside its windows, and none opens again"
    return Verdict(Gate.WINDOW, False, text, utc(sheet.now), until=begin)


def _freeze(candidate: Candidate, sheet: Sheet) -> Verdict:
    active: list[tuple[str, datetime | None]] = []
    for freeze in (*sheet.context.desired.freezes, *sheet.context.observed.freezes):
        if not schedule.freezes_target(freeze, candidate.target):
            continue
        if sheet.time_is_behind:
            return _behind(Gate.FREEZE, sheet)
        end = schedule.open_until(freeze.windows, sheet.now)
        if end is not None:
            active.append((f"{freeze.name} ({freeze.owner}: {freeze.reason})", end))
    active += (
        (f"{order.scope} ({order.by}: {order.reason})", order.until)
        for order in sheet.state.freezes
        if schedule.command_freezes_target(order, candidate.target) and (order.until is None or order.until > sheet.now)
    )
    if not active:
        return Verdict(Gate.FREEZE, True, "no freeze is in effect")
    ends = [end for _, end in active if end is not None]
    until = max(ends) if len(ends) == len(active) else None
    names = "; ".join(name for name, _ in active)
    when = "" if until else ", until it is lifted"
    return Verdict(Gate.FREEZE, False, f"frozen by {names}{when}", names, until=until)


def _blocked_version(candidate: Candidate, sheet: Sheet) -> Verdict:
    target = candidate.target
    app = sheet.context.desired.apps.get(target.app.name, target.app)
    in_config = any(candidate.sha in part.blocked for part in app.components if same_url(part.url, target.url))
    order = next((b for b in sheet.state.blocks if b.sha == candidate.sha and same_url(b.url, target.url)), None)
    if in_config:
        text = f"{short(candidate.sha)} is a blocked version of {target.url} in {app.file or app.name}"
        return Verdict(Gate.BLOCKED_VERSION, False, text, candidate.sha)
    if order is not None:
        text = f"{short(candidate.sha)} of {target.url} was blocked by {order.by}: {order.reason}"
        return Verdict(Gate.BLOCKED_VERSION, False, text, candidate.sha)
    return Verdict(Gate.BLOCKED_VERSION, True, "not blocked")


def _going_back(candidate: Candidate, sheet: Sheet) -> Verdict:
    if not candidate.current or candidate.current == candidate.sha:
        return Verdict(Gate.GOING_BACK, True, "there is nothing to go back from")
    old, new = short(candidate.current), short(candidate.sha)
    lineage = sheet.facts.lineage(candidate.target.url, frozenset({candidate.current, candidate.sha}))
    if lineage is None or isinstance(lineage, Unreachable):
        why = lineage.text if isinstance(lineage, Unreachable) else "not looked up"
        return Verdict(Gate.UNREACHABLE, False, f"the order of {old} and {new} cannot be read: {why}")
    missing = [sha for sha in (candidate.current, candidate.sha) if sha not in lineage.ancestors]
    if missing:
        text = f"{short(missing[0])} is not in {candidate.target.url}: its history is unknown or was rewritten"
        return Verdict(Gate.GOING_BACK, False, f"{text}; if it must go, `override going_back`")
    if candidate.current in lineage.ancestors[candidate.sha]:
        return Verdict(Gate.GOING_BACK, True, f"{new} descends from {old}")
    back = candidate.sha in lineage.ancestors[candidate.current]
    text = f"{new} is older than {old}" if back else f"{new} does not descend from {old}"
    return Verdict(Gate.GOING_BACK, False, f"{text}; if it must go, `rollback` or `override going_back`")


def _hold(candidate: Candidate, sheet: Sheet) -> Verdict:
    pin = sheet.state.pins.get(candidate.target.id)
    if pin is None or pin.sha == candidate.sha:
        return Verdict(Gate.HOLD, True, "not pinned" if pin is None else "pinned to this sha")
    text = f"pinned to {short(pin.sha)} by {pin.by}{': ' + pin.reason if pin.reason else ''}; `unpin` lets it go"
    return Verdict(Gate.HOLD, False, text, pin.sha)


def _budget(candidate: Candidate, sheet: Sheet) -> Verdict:
    if candidate.occasion is Occasion.PROMOTION:
        return Verdict(Gate.BUDGET, True, "merge requests are counted when they are cut")
    limits = sheet.context.settings.runs
    if sheet.starts >= limits.max_starts:
        text = f"one invocation may start {limits.max_starts} runs (runs.maxStarts)"
        return Verdict(Gate.BUDGET, False, text, str(sheet.starts), str(limits.max_starts))
    if sheet.in_flight >= limits.max_in_flight:
        text = f"{sheet.in_flight} runs are in flight (runs.maxInFlight {limits.max_in_flight})"
        return Verdict(Gate.BUDGET, False, text, str(sheet.in_flight), str(limits.max_in_flight))
    return Verdict(Gate.BUDGET, True, "within the budget", str(sheet.starts), str(limits.max_starts))


def _run_in_flight(candidate: Candidate, sheet: Sheet) -> Verdict:
    record = sheet.target_state(candidate.target.id)
    run = record.run if record is not None else None
    if run is None or not run.status.in_flight:
        return Verdict(Gate.RUN_IN_FLIGHT, True, "no run is in flight")
    text = f"run {run.number} of {short(run.sha)} is {run.status}; the newest state starts when it has ended"
    return Verdict(Gate.RUN_IN_FLIGHT, False, text, run.key)


def _failed(candidate: Candidate, sheet: Sheet) -> Verdict:
    if candidate.occasion is Occasion.PROMOTION:
        return _failed_merge_request(candidate, sheet)
    record = sheet.target_state(candidate.target.id)
    run = record.run if record is not None else None
    same = run is not None and run.same_content(candidate.sha, candidate.config_hash, delete=candidate.target.delete)
    if run is None or not same or candidate.asked or candidate.fresh or run.status not in ENDED_BADLY:
        return Verdict(Gate.FAILED, True, "this content has not failed")
    if candidate.retry and run.finished_at is not None:
        due = run.finished_at + schedule.backoff(run.attempt)
        if sheet.now >= due:
            return Verdict(Gate.FAILED, True, f"attempt {run.attempt + 1} is due", str(run.attempt))
        text = f"attempt {run.attempt} {run.status}; the next is due after a pause"
        return Verdict(Gate.FAILED, False, text, str(run.attempt), until=due)
    ended = f"run {run.number} of {short(run.sha)} {run.status}: {run.text or 'no details'}"
    text = f"{ended}; held until the content changes or `retry`"
    return Verdict(Gate.FAILED, False, text, str(run.attempt))


ENDED_BADLY = frozenset({"failed", "canceled"})


def _failed_merge_request(candidate: Candidate, sheet: Sheet) -> Verdict:
    content = frozenset({f"{candidate.target.id}@{candidate.sha}"})
    failure = next((each for each in sheet.state.failed_contents if each.content == content), None)
    if failure is None:
        return Verdict(Gate.FAILED, True, "no merge request of this content failed")
    text = f"the CI of merge request !{failure.iid} failed on {short(candidate.sha)}; waits for a newer sha or `retry`"
    return Verdict(Gate.FAILED, False, text, str(failure.iid))


def _unknown(candidate: Candidate, sheet: Sheet) -> Verdict:
    record = sheet.target_state(candidate.target.id)
    run = record.run if record is not None else None
    if run is None or run.status != "unknown" or candidate.asked:
        return Verdict(Gate.UNKNOWN, True, "nothing is unknown")
    ended = f"nobody can tell how run {run.number} of {short(run.sha)} ended"
    text = f"{ended} ({run.text or 'no details'}); look, then `retry`"
    return Verdict(Gate.UNKNOWN, False, text, run.key)


def _vetoed(candidate: Candidate, sheet: Sheet) -> Verdict:
    veto = next((v for v in sheet.state.vetoes if (v.target, v.sha) == (candidate.target.id, candidate.sha)), None)
    request = sheet.state.requests.get(candidate.target.id)
    if veto is None or (request is not None and request.sha == candidate.sha):
        return Verdict(Gate.VETOED, True, "not vetoed")
    text = f"{veto.by} turned {short(candidate.sha)} down at {utc(veto.at)}; waits for a newer version"
    return Verdict(Gate.VETOED, False, text, veto.by)


def _behind(gate: Gate, sheet: Sheet) -> Verdict:
    last = sheet.context.state.time if sheet.context.state is not None else None
    until = last if last is not None else sheet.now
    text = f"the clock says {utc(sheet.now)}, before the statefile's last time {utc(until)}"
    return Verdict(gate, False, f"{text}; nothing time-based moves until then", until=until)


JUDGES: Mapping[Gate, Callable[[Candidate, Sheet], Verdict]] = {
    Gate.PUBLISHED: _published,
    Gate.SAME_SHA: _same_sha,
    Gate.SOAK: _soak,
    Gate.WINDOW: _window,
    Gate.FREEZE: _freeze,
    Gate.BLOCKED_VERSION: _blocked_version,
    Gate.GOING_BACK: _going_back,
    Gate.HOLD: _hold,
    Gate.BUDGET: _budget,
    Gate.RUN_IN_FLIGHT: _run_in_flight,
    Gate.FAILED: _failed,
    Gate.UNKNOWN: _unknown,
    Gate.VETOED: _vetoed,
}
