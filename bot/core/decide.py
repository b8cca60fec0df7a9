"""Decide: from one context to one plan. Pure: no input or output, no clock, no randomness.

The straight line of a decision: what became of the runs, what people ordered, which targets run, which versions
move, what merge requests say, and what may be forgotten.
"""

from __future__ import annotations

from dataclasses import replace

from bot.core.collect import collect
from bot.core.context import Context
from bot.core.dashboard import write_dashboard
from bot.core.focus import as_recorded, focused, own_part
from bot.core.merge_requests import tend_merge_requests
from bot.core.opening import opened_sheet
from bot.core.orders import answer_orders
from bot.core.reports import write_reports
from bot.core.sections import told
from bot.core.sheet import Sheet
from bot.core.trigger_rounds import tend_triggers
from bot.core.triggers import start_runs
from bot.core.write_backs import tend_write_backs
from bot.model.observed import Wants
from bot.model.plan import ACTION_KINDS, Action, Plan

ORDER = {
    kind: position
    for position, kind in enumerate(
        (
            "record_state",
            "follow_run",
            "start_run",
            "start_job",
            "cancel_run",
            "close_merge_request",
            "merge_merge_request",
            "split_merge_request",
            "update_merge_request",
            "regenerate_merge_request",
            "open_merge_request",
            "comment",
            "answer_command",
        )
    )
}
"""Closing and splitting come before opening, so that no two open merge requests ever touch the same file.

Starts come first of all that is written, as long as their intents are fresh (`FRESH` in `bot.act`).
"""


def decide(context: Context) -> Plan:
    """All that this context leads to, with the statefile that is to be saved before the first effect."""
    return _plan(_decided(context))


def wants(context: Context) -> Wants:
    """What the decision still needs to look up; empty when `decide` knows all that it asks."""
    return _decided(context).facts.wanted()


def deliberate(context: Context) -> tuple[Plan, Wants]:
    """Plan and wants of one and the same decision; the plan counts when nothing is wanted."""
    sheet = _decided(context)
    return _plan(sheet), sheet.facts.wanted()


def _decided(context: Context) -> Sheet:
    sheet = opened_sheet(context)
    start_runs(sheet)
    tend_triggers(sheet)
    if context.focus is not None and not context.focus.narrow:
        sheet.state = as_recorded(sheet.state, sheet.begun, sheet.ordered)
        sheet.dues.clear()
    if context.focus is None or not context.focus.narrow:
        branches = tend_merge_requests(sheet)
        tend_write_backs(sheet, branches)
        write_reports(sheet, branches)
        write_dashboard(sheet, branches)
    answer_orders(sheet)
    collect(sheet)
    return sheet


def _plan(sheet: Sheet) -> Plan:
    actions = tuple(sorted(sheet.actions, key=_position))
    focus = sheet.context.focus
    state = sheet.state if focus is None else own_part(focus, sheet.begun, sheet.state)
    changed = sheet.context.state is None or state != sheet.context.state
    plan = Plan(
        actions=actions,
        held=tuple(sheet.held),
        next_due=min(sheet.dues, default=None),
        record=replace(state, time=max(sheet.now, state.time or sheet.now)) if changed else None,
        answers=tuple(told(sheet, answer) for answer in sheet.replies),
        sets=tuple(sheet.sets),
    )
    return plan if focus is None else focused(plan, focus)


def _position(action: Action) -> int:
    return ORDER[ACTION_KINDS[type(action)]]
