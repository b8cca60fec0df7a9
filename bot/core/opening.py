"""Opening: the sheet with renames, what became of the runs, and what people ordered, before anything is decided."""

from __future__ import annotations

from bot.core.context import Context
from bot.core.excerpts import sightings
from bot.core.facts import Facts
from bot.core.follow import follow_runs
from bot.core.jobs import follow_jobs
from bot.core.orders import take_orders
from bot.core.renames import carry_renames
from bot.core.sheet import Sheet
from bot.core.statefile import accepted
from bot.model.state import State


def opened_sheet(context: Context) -> Sheet:
    """Follow and listen; everything else is decided from what this leaves."""
    state = context.state or _afresh(context)
    sheet = Sheet(context, Facts(context.observed), state, starts=context.started, in_flight=context.in_flight)
    carry_renames(sheet)
    sheet.begun = sheet.mark()
    follow_runs(sheet)
    follow_jobs(sheet)
    take_orders(sheet)
    sheet.ordered = sheet.mark()
    return sheet


def _afresh(context: Context) -> State:
    """A first statefile; one whose reports are still there was lost, and this one takes its place."""
    observed = context.observed
    key, base = context.report_key, context.settings.branch
    seen = sightings(observed.merge_requests.values(), observed.dashboard, observed.me, key, base)
    return accepted(State(lineage=observed.nonce), (each for _, each in seen))
