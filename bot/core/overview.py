"""Overview: what runs where, what is promoted, what is stuck; one row a target, from one decided plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.core.batches import PREFIX
from bot.core.context import Context
from bot.model.desired import Target
from bot.model.observed import MergeRequest, MergeRequestStatus
from bot.model.plan import Held, Plan
from bot.model.state import State, TargetState


@dataclass(frozen=True, slots=True)
class Row:
    """One target: the config's side, the record's side, and what holds it. Either side may be missing."""

    id: str
    target: Target | None
    record: TargetState | None
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """All targets in the order of the config, then those only on record; and the bot's open merge requests."""

    rows: tuple[Row, ...]
    merge_requests: tuple[MergeRequest, ...]
    held: tuple[Held, ...]


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
    return Overview(rows, tuple(_own_open(context.observed.merge_requests.values())), others)


def _own_open(found: Iterable[MergeRequest]) -> Iterable[MergeRequest]:
    return (
        each
        for each in sorted(found, key=lambda each: each.iid)
        if each.state is MergeRequestStatus.OPENED and each.source_branch.startswith(PREFIX)
    )
