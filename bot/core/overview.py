"""Overview: what runs where, what is promoted, what is stuck; one row a target, from one decided plan."""

from __future__ import annotations

from collections.abc import Iterable

from bot.core.batches import PREFIX
from bot.core.context import Context
from bot.core.rounds import next_due
from bot.core.trigger_reports import set_reports
from bot.model.observed import MergeRequest, MergeRequestStatus
from bot.model.overview import Overview, Row, TriggerRow
from bot.model.plan import Held, Plan
from bot.model.state import State


def overview(context: Context, plan: Plan) -> Overview:
    """Put it together."""
    state = context.state or State()
    targets = context.desired.targets
    invalid = context.desired.invalid_targets
    gone = [r.id for r in state.targets.values() if r.id not in targets and r.id not in invalid]
    by_subject: dict[str, list[Held]] = {}
    for held in plan.held:
        by_subject.setdefault(held.subject, []).append(held)
    rows = tuple(
        Row(each, targets.get(each), state.targets.get(each), tuple(by_subject.get(f"target:{each}", ())))
        for each in (*targets, *invalid, *gone)
    )
    others = tuple(h for h in plan.held if not h.subject.startswith("target:"))
    open_ones = tuple(_own_open(context.observed.merge_requests.values()))
    return Overview(
        rows,
        open_ones,
        others,
        context.now,
        context.desired.sha,
        tuple(_triggers(context, state)),
        state.attention,
        state.time,
        len(plan.actions),
        plan.next_due,
        context.settings.heartbeat,
    )


def _triggers(context: Context, state: State) -> Iterable[TriggerRow]:
    desired = context.desired.triggers
    for name in (*desired, *(each for each in state.triggers if each not in desired)):
        trigger, record = desired.get(name), state.triggers.get(name)
        if record is None:
            yield TriggerRow(name, trigger, None)
            continue
        due = next_due(trigger, record, context.now) if trigger is not None else None
        yield TriggerRow(name, trigger, record, set_reports(record, trigger), due)


def _own_open(found: Iterable[MergeRequest]) -> Iterable[MergeRequest]:
    return (
        each
        for each in sorted(found, key=lambda each: each.iid)
        if each.state is MergeRequestStatus.OPENED and each.source_branch.startswith(PREFIX)
    )
