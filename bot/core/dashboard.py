"""Dashboard: one issue of the config project, edited in place, for everything that has no merge request (or not yet).

It says what is held and why, what runs, which merge requests are open and what was deployed last; commands in its
comments work as on merge requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from bot.core import excerpts
from bot.core.branches import Branch
from bot.core.sheet import Sheet
from bot.model.plan import DashboardAction, Gate
from bot.model.runs import Reason
from bot.render import comments, marker

NEEDS_A_PERSON = frozenset(
    {Gate.FAILED, Gate.UNKNOWN, Gate.INVALID, Gate.UNSAFE_EDIT, Gate.HUMAN_COMMIT, Gate.UNREACHABLE, Gate.VETOED}
)
"""Gates that time alone does not open."""


def dashboard_subject(iid: int) -> str:
    """The subject of everything said about the dashboard."""
    return f"dashboard:{iid}" if iid else "dashboard"


def write_dashboard(sheet: Sheet, branches: tuple[Branch, ...]) -> None:
    """Bring the dashboard issue up to date, where the settings ask for one; edited only if it says something new."""
    title = sheet.context.settings.dashboard_title
    if not title:
        return
    issue = sheet.context.observed.dashboard
    key = sheet.context.report_key
    known = issue is not None and marker.read(issue.body, comments.DASHBOARD, key) is not None
    previous = issue.body if issue is not None and known else None
    data = excerpts.dashboard_content(sheet.state)
    beside = partial(excerpts.beside_dashboard, sheet, data)
    text = comments.sticky(_body(sheet, branches), data, previous, sheet.now, key, comments.DASHBOARD, beside)
    if text is None:
        return
    iid = issue.iid if issue is not None else 0
    reason = Reason("dashboard", "it says something new" if iid else "there is none yet")
    sheet.actions.append(DashboardAction(dashboard_subject(iid), iid, title, text, (reason,)))


def _body(sheet: Sheet, branches: tuple[Branch, ...]) -> str:
    view = comments.DashboardView(
        attention=tuple(each for each in sheet.held if each.gate in NEEDS_A_PERSON),
        waiting=tuple(each for each in sheet.held if each.gate not in NEEDS_A_PERSON),
        runs=tuple(_runs(sheet)),
        merge_requests=tuple(
            comments.MergeRequestLine(each.merge_request.title, each.merge_request.iid, each.merge_request.url)
            for each in branches
        ),
        deployed=tuple(_deployed(sheet)),
        prefix=sheet.context.settings.commands.prefix,
    )
    return comments.dashboard(view)


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
