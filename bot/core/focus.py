"""Focus: one subject of the whole line, with all that its decision hangs on (DESIGN section 1, SYSTEMS section C).

The decision is the same `decide`. A focused one is given less to look at: of a target only itself and its publishers,
of a trigger definition only itself; for merge requests and the dashboard all is there (a wide decision), and only what
concerns the subject is carried out and saved. `bot.core.deltas` applies what is decided to the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.core.deltas import GONE, Change, Delta, delta, made
from bot.model.desired import Desired
from bot.model.plan import Plan
from bot.model.rounds import TriggerState
from bot.model.state import Publication, State, TargetState

BY_TARGET = frozenset({"targets", "channels", "requests", "run_requests", "pins"})
"""Parts of the statefile that are about targets, each entry about one."""


class Room(StrEnum):
    """A part of the decision that something may be carried out in."""

    TARGETS = "target"
    TRIGGERS = "trigger"
    MERGE_REQUESTS = "merge-request"
    DASHBOARD = "dashboard"


@dataclass(frozen=True, slots=True)
class Focus:
    """A subject as it is written (`target:ID`, `trigger:NAME`, `merge-request:BRANCH`, `dashboard`)."""

    subject: str

    @property
    def room(self) -> Room:
        """Where it is decided."""
        return Room(self.subject.partition(":")[0])

    @property
    def name(self) -> str:
        """The subject without its kind; empty for the dashboard."""
        return self.subject.partition(":")[2]

    @property
    def narrow(self) -> bool:
        """Whether its decision hangs on a part of the config and the statefile alone."""
        return self.room in (Room.TARGETS, Room.TRIGGERS)


@dataclass(frozen=True, slots=True)
class View:
    """The part of config and statefile that a subject hangs on; `in_flight` counts the runs beside it.

    `whole` says that nothing was left out.
    """

    desired: Desired
    state: State
    in_flight: int = 0
    whole: bool = False


def subject_of_action(subject: str) -> str:
    """The subject in the queue that an action or something held belongs to: a job goes with its definition."""
    kind, _, name = subject.partition(":")
    if kind == "job":
        return f"trigger:{name.partition('/')[0]}"
    return "dashboard" if kind == "dashboard" else subject


def is_subject(text: str) -> bool:
    """Whether a text is a subject that can be looked at."""
    kind, _, name = text.partition(":")
    return text == "dashboard" or (kind in (Room.TARGETS, Room.TRIGGERS, Room.MERGE_REQUESTS) and bool(name))


def narrowed(desired: Desired, state: State, focus: Focus) -> View:
    """What the subject's decision hangs on; the whole where that is everything."""
    if focus.room is Room.TRIGGERS:
        return _of_trigger(desired, state, focus.name)
    if is_narrowed(desired, state, focus):
        return _of_target(desired, state, focus.name)
    return View(desired, state, whole=True)


def is_narrowed(desired: Desired, state: State, focus: Focus) -> bool:
    """Whether a target is decided without the rest; one that is new, or gone, may be renamed and needs all of it."""
    return focus.room is Room.TARGETS and focus.name in desired.targets and focus.name in state.targets


def _of_trigger(desired: Desired, state: State, name: str) -> View:
    file = desired.triggers[name].file if name in desired.triggers else ""
    own = _known_of_trigger(desired, state, name)
    files = {file, *(record.file for record in own.values())}
    requests = {key: each for key, each in state.trigger_requests.items() if key == name}
    view = replace(
        desired,
        targets={},
        invalid_targets={},
        triggers={key: each for key, each in desired.triggers.items() if key == name},
        invalid_triggers={key: text for key, text in desired.invalid_triggers.items() if key in files},
    )
    small = replace(_bare(state), targets={}, channels={}, triggers=own, trigger_requests=requests)
    return View(view, small, in_flight_of(state) - in_flight_of(small))


def _known_of_trigger(desired: Desired, state: State, name: str) -> dict[str, TriggerState]:
    """Its record; of one that is new also the record of the same file under another name, which may be this one's.

    That other record waits for this: what becomes of it is not decided apart.
    """
    new = {each.file: each.name for each in desired.triggers.values() if each.name not in state.triggers}
    renamed = {key: new.get(each.file) for key, each in state.triggers.items() if key not in desired.triggers}
    return {key: each for key, each in state.triggers.items() if (renamed.get(key) or key) == name}


def _of_target(desired: Desired, state: State, name: str) -> View:
    """A target with its publishers, those included that are hidden by an error and had published."""
    target = desired.targets[name]
    channels = frozenset(target.promotion.subscribe)
    near = {name}
    if channels:
        near |= {each.id for each in desired.targets.values() if not channels.isdisjoint(each.promotion.publish)}
        near |= {each.id for each in state.targets.values() if not channels.isdisjoint(each.publish)}
    kept = {key: text for key, text in desired.invalid_targets.items() if key in near}
    view = replace(
        desired,
        targets={key: desired.targets[key] for key in desired.targets if key in near},
        invalid_targets=kept,
        triggers={},
        invalid_triggers={},
    )
    small = replace(
        _bare(state),
        targets={key: each for key, each in state.targets.items() if key in near},
        channels=_published_by(state, near, channels | frozenset(target.promotion.publish)),
        triggers={},
        trigger_requests={},
    )
    small = _orders_on(state, small, near)
    return View(view, small, in_flight_of(state) - in_flight_of(small))


def _published_by(state: State, near: set[str], channels: frozenset[str]) -> dict[str, tuple[Publication, ...]]:
    return {
        channel: tuple(each for each in published if each.target in near)
        for channel, published in state.channels.items()
        if channel in channels
    }


def _bare(state: State) -> State:
    """The state without what people are told, and without what stands on merge requests."""
    return replace(
        state,
        merge_requests={},
        vetoes=(),
        failed_contents=(),
        cursors={},
        splits=frozenset(),
        requests={},
        run_requests={},
        pins={},
        overrides=(),
        answers={},
        questions={},
    )


def _orders_on(state: State, small: State, near: set[str]) -> State:
    return replace(
        small,
        vetoes=tuple(each for each in state.vetoes if each.target in near),
        requests={key: each for key, each in state.requests.items() if key in near},
        run_requests={key: each for key, each in state.run_requests.items() if key in near},
        pins={key: each for key, each in state.pins.items() if key in near},
        overrides=tuple(each for each in state.overrides if each.target in near),
    )


def in_flight_of(state: State) -> int:
    """How many runs are in flight, those of jobs included."""
    runs = sum(each.run is not None and each.run.status.in_flight for each in state.targets.values())
    rounds = (each.round for each in state.triggers.values() if each.round is not None)
    return runs + sum(job.in_flight for present in rounds for job in present.jobs)


def focused(plan: Plan, focus: Focus) -> Plan:
    """What of a plan concerns the subject: its actions and what it waits for."""
    own = tuple(each for each in plan.actions if subject_of_action(each.subject) == focus.subject)
    held = tuple(each for each in plan.held if subject_of_action(each.subject) == focus.subject)
    sets = tuple(each for each in plan.sets if f"trigger:{each.trigger}" == focus.subject)
    return replace(plan, actions=own, held=held, sets=sets)


def as_recorded(state: State, begun: State, ordered: State) -> State:
    """The state of a wide decision with targets and trigger definitions as they are on record.

    What becomes of those is saved by their own looks. What people ordered stands: a run that is to be stopped, another
    run or a round that was asked for. `begun` is the state before anybody looked at runs, `ordered` after all orders.
    """
    return replace(
        state,
        targets={name: _told_to_stop(record, ordered.targets[name]) for name, record in begun.targets.items()},
        channels=begun.channels,
        triggers=begun.triggers,
        run_requests=ordered.run_requests,
        trigger_requests=ordered.trigger_requests,
    )


def _told_to_stop(record: TargetState, ordered: TargetState) -> TargetState:
    run, seen = record.run, ordered.run
    if run is None or seen is None or run.key != seen.key or run.stop == seen.stop:
        return record
    return replace(record, run=replace(run, stop=seen.stop))


def own_part(focus: Focus, begun: State, after: State) -> State:
    """What a decision about the subject may save: the state that it began with, and its own changes."""
    return made(begun, delta(begun, after, _own_changes(focus, begun)), after)


def _own_changes(focus: Focus, begun: State) -> Callable[[Change], bool]:
    if focus.narrow:
        return lambda change: _is_about(change, focus)
    own = [each for key, each in begun.merge_requests.items() if key.partition("!")[0] == focus.name]
    targets = frozenset(edit.target for record in own for edit in record.edits)

    def changes(change: Change) -> bool:
        match change.part:
            case "merge_requests":
                return bool(focus.name) and change.key.partition("!")[0] == focus.name
            case "vetoes" if change.new is not GONE:
                return change.key.target in targets
            case "failed_contents" if change.new is not GONE:
                return change.key.iid in {record.iid for record in own}
            case _:
                return True

    return changes


def _is_about(change: Change, focus: Focus) -> bool:
    """Whether a change is about a target or a trigger definition."""
    if focus.room is Room.TRIGGERS:
        own = change.key == focus.name or (change.part == "triggers" and change.new is GONE)  # it was renamed
        return own and change.part in ("triggers", "trigger_requests")
    name = change.key[1] if change.part == "channels" else change.key
    return change.part in BY_TARGET and name == focus.name


def ordered(changes: Delta, focus: Focus) -> tuple[str, ...]:
    """The other subjects that a decision about this one has ordered something of: they are due now."""
    kinds = {"trigger_requests": "trigger", "run_requests": "target", "targets": "target"}
    found = (f"{kinds[each.part]}:{each.key}" for each in changes if each.part in kinds and each.new is not GONE)
    return tuple(dict.fromkeys(subject for subject in found if subject != focus.subject))
