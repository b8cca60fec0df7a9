"""Dashboard: one issue of the config project, edited in place, for everything that has no merge request (or not yet).

It says what is held and why, what runs, which merge requests are open and what was deployed last; commands in its
comments work as on merge requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from bot.core import excerpts
from bot.core.branches import Branch
from bot.core.endings import wants_a_person
from bot.core.sheet import Sheet
from bot.core.trigger_reports import notable_sets
from bot.model.overview import NEEDS_A_PERSON
from bot.model.plan import DashboardAction, Gate, Held
from bot.model.runs import Reason
from bot.model.state import Flag
from bot.render import comments, marker


def dashboard_subject(iid: int) -> str:
    """The subject of everything said about the dashboard."""
    return f"dashboard:{iid}" if iid else "dashboard"


def write_dashboard(sheet: Sheet, branches: tuple[Branch, ...]) -> None:
    """Bring the dashboard issue up to date, where the settings ask for one.

    It is edited only if it says something new, and for its heartbeat where the settings want one.
    """
    title = sheet.context.settings.dashboard_title
    if not title:
        return
    issue = sheet.context.observed.dashboard
    key = sheet.context.report_key
    known = marker.read(issue.body, comments.DASHBOARD, key) if issue is not None else None
    previous = issue.body if issue is not None and known is not None else None
    data = excerpts.dashboard_content(sheet.state)
    beside = partial(excerpts.beside_dashboard, sheet, data)
    every = sheet.context.settings.heartbeat
    text = comments.sticky(_body(sheet, branches), data, previous, sheet.now, key, comments.DASHBOARD, beside, every)
    if text is None:
        return
    iid = issue.iid if issue is not None else 0
    reason = Reason("dashboard", _why(iid, known, marker.read(text, comments.DASHBOARD, key)))
    sheet.actions.append(DashboardAction(dashboard_subject(iid), iid, title, text, (reason,)))


def _why(iid: int, known: Mapping[str, Any] | None, told: Mapping[str, Any] | None) -> str:
    """What the edit is for, by the markers before and after it."""
    if not iid:
        return "there is none yet"
    same = known is not None and told is not None and known.get("content") == told.get("content")
    return "it says that the bot is alive" if same else "it says something new"


def _body(sheet: Sheet, branches: tuple[Branch, ...]) -> str:
    held = [_settled(each) for each in sheet.held]
    view = comments.DashboardView(
        attention=tuple(each for each in held if each.gate in NEEDS_A_PERSON),
        flags=tuple(_flags(sheet)),
        waiting=tuple(each for each in held if each.gate not in NEEDS_A_PERSON),
        runs=tuple(_runs(sheet)),
        rounds=notable_sets(sheet),
        merge_requests=tuple(
            comments.MergeRequestLine(each.merge_request.title, each.merge_request.iid, each.merge_request.url)
            for each in branches
        ),
        deployed=tuple(_deployed(sheet)),
        prefix=sheet.context.settings.commands.prefix,
    )
    return comments.dashboard(view)


def _flags(sheet: Sheet) -> Iterable[tuple[str, Flag]]:
    """What the work queue leaves to a person, where no gate says it already."""
    told = {(each.subject, wants_a_person(each)) for each in sheet.held}
    return ((name, flag) for name, flag in sheet.state.attention.items() if (name, flag.text) not in told)


def _settled(held: Held) -> Held:
    """What is held, without the moment at which a server is asked again: that is no news each time."""
    asks = held.gate is Gate.UNREACHABLE and held.subject.startswith("trigger:")
    return replace(held, until=None) if asks else held


def _runs(sheet: Sheet) -> Iterable[comments.RunLine]:
    """The runs in flight."""
    for record in sheet.state.targets.values():
        run = record.run
        if run is not None and run.status.in_flight:
            yield comments.RunLine(record.id, run.sha, run.status, run.text, run.url)


def _deployed(sheet: Sheet) -> Iterable[comments.DeployedLine]:
    """What was deployed last where; a target that was only adopted is at what the config said then."""
    for record in sheet.state.targets.values():
        yield comments.DeployedLine(record.id, record.deployed_sha or record.sha, record.deployed_at)
