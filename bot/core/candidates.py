"""Candidates: which subjects are to be looked at, and when, from one plan of everything (SYSTEMS WQ-6); pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.core.batches import branch, file_keys
from bot.core.context import Context
from bot.core.deltas import delta
from bot.core.focus import BY_TARGET, is_subject, subject_of_action
from bot.core.rounds import next_due
from bot.model.observed import MergeRequestStatus
from bot.model.plan import Action, AnswerCommand, Plan
from bot.model.rounds import Result
from bot.model.state import Flag, State
from bot.model.work import Due

ATTENTION_LABEL = "needs-attention"
"""The label of a merge request that waits for a person; taking it off brings its subject back."""


WIDE = ("merge-request:", "dashboard")
"""How the subjects begin whose looks listen to people, and forget what is over."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The subjects by due time; `flagged` are those left out because they wait for a person.

    `cleared` are those that wait no longer. `flags` is what changes of the flags on record: None takes one away.
    """

    due: tuple[Due, ...]
    cleared: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ()
    flags: Mapping[str, Flag | None] = field(default_factory=dict)


def candidates(context: Context, plan: Plan, *, ignore_attention: bool = False) -> Candidates:
    """All subjects with something to do, now or at a known time; those that wait for a person are left out.

    What people say on a merge request is heard all the same, and one whose label was taken off is looked at again.
    """
    state = context.state or State()
    found: dict[str, Due] = {}
    for each in _found(context, plan, state):
        known = found.get(each.subject)
        if is_subject(each.subject) and (known is None or each.at < known.at):
            found[each.subject] = each
    flags = dict(_flags(state, context, found))
    cleared = tuple(subject for subject, flag in flags.items() if flag is None)
    for subject in cleared:
        if state.attention[subject].iid and subject not in found:
            found[subject] = Due(subject, context.now, f"the label {ATTENTION_LABEL} was taken off")
    flagged = () if ignore_attention else tuple(name for name in state.attention if name not in cleared)
    spoken = {subject_of_action(each.subject) for each in plan.actions if isinstance(each, AnswerCommand)}
    due = (each for subject, each in found.items() if subject not in flagged or subject in spoken)
    return Candidates(tuple(sorted(due, key=lambda each: (each.at, each.subject))), cleared, flagged, flags)


def _flags(state: State, context: Context, found: Mapping[str, Due]) -> Iterator[tuple[str, Flag | None]]:
    """The flags that have had their time, and those seen here first: what there is to do is noted with them."""
    labels = {
        f"merge-request:{each.source_branch}": each.labels
        for each in context.observed.merge_requests.values()
        if each.state is MergeRequestStatus.OPENED
    }
    for subject, flag in state.attention.items():
        if flag.iid:
            if ATTENTION_LABEL not in labels.get(subject, ()):
                yield subject, None
        elif subject not in found or flag.why not in ("", found[subject].why):
            yield subject, None
        elif not flag.why and found[subject].why:
            yield subject, replace(flag, why=found[subject].why)


def _found(context: Context, plan: Plan, state: State) -> Iterator[Due]:
    for action in plan.actions:
        yield Due(subject_of_action(action.subject), context.now, _why(action))
    yield from _waiting(context, plan)
    yield from _running(state, context.now)
    for definition in context.desired.triggers.values():
        known = state.triggers.get(definition.name)
        slot = next_due(definition, known, context.now) if known is not None else None
        if slot is not None:
            yield Due(f"trigger:{definition.name}", slot, "its schedule")
    yield from (Due(subject, context.now, "its record changes") for subject in _changed(state, plan))


def _changed(state: State, plan: Plan) -> list[str]:
    """Whose records the plan changes without an action, as when a definition is new; the rest goes with the dashboard.

    What people have said is noted by the look that answers them.
    """
    heard = any(subject_of_action(each.subject).startswith(WIDE) for each in plan.actions)
    found: dict[str, None] = {}
    for change in delta(state, plan.record) if plan.record is not None else ():
        match change.part:
            case "triggers" | "trigger_requests":
                found[f"trigger:{change.key}"] = None
            case "channels":
                found[f"target:{change.key[1]}"] = None
            case part if part in BY_TARGET:
                found[f"target:{change.key}"] = None
            case "merge_requests":
                found[f"merge-request:{change.key.partition('!')[0]}"] = None
            case _ if not heard:
                found["dashboard"] = None
    return list(found)


def _waiting(context: Context, plan: Plan) -> Iterator[Due]:
    """What is held until a known time; with a subscriber, its promotion may be due then."""
    keys = file_keys(context.desired, context.settings.promotions.batch_by)
    for held in plan.held:
        if held.until is not None:
            at, why = max(held.until, context.now), f"{held.gate}: {held.text}"
            yield Due(subject_of_action(held.subject), at, why)
            target = context.desired.targets.get(held.subject.removeprefix("target:"))
            if target is not None and target.promotion.subscribe:
                yield Due(f"merge-request:{branch(keys[target.file], 1)}", at, why)


def _running(state: State, now: datetime) -> Iterator[Due]:
    """What runs, and is looked at until it ends."""
    for record in state.targets.values():
        if record.run is not None and record.run.status.in_flight:
            yield Due(f"target:{record.id}", now, f"run {record.run.number} is {record.run.status}")
    for trigger in state.triggers.values():
        if trigger.round is not None and trigger.round.result is Result.RUNNING:
            yield Due(f"trigger:{trigger.name}", now, f"round {trigger.round.number} is running")


def _why(action: Action) -> str:
    return action.reasons[0].text if action.reasons else ""
