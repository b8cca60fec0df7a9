"""The sheet on which one decision is written: what is known, what was decided so far, and the record to be saved.

It is local to one call of `decide`; what comes out of it is frozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from bot.core.context import Context
from bot.core.facts import Facts
from bot.core.focus import subject_of_action
from bot.model.desired import Target
from bot.model.plan import Action, Gate, Held
from bot.model.rounds import SetReport, TriggerState
from bot.model.state import Answer, Publication, Question, State, TargetState


@dataclass
class Sheet:
    """One decision in the making. `state` already holds every intent written down so far."""

    context: Context
    facts: Facts
    state: State
    actions: list[Action] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    replies: list[Answer] = field(default_factory=list)
    sets: list[SetReport] = field(default_factory=list)
    """The sets of rounds that end with this decision."""
    dues: list[datetime] = field(default_factory=list)
    question: Question | None = None
    """What was asked without a merge request."""
    unsafe: dict[str, str] = field(default_factory=dict)
    """By target: why its `ref` cannot be edited safely."""
    begun: State = field(default_factory=State)
    """The state after renames, before anybody looked at runs."""
    ordered: State = field(default_factory=State)
    """The state after all orders, before anything was decided."""
    starts: int = 0
    in_flight: int = 0
    opened: int = 0

    @property
    def now(self) -> datetime:
        """The one clock reading of the pass."""
        return self.context.now

    @cached_property
    def time_is_behind(self) -> bool:
        """Whether `now` lies before the statefile's last time: then everything time-based is held."""
        last = self.context.state.time if self.context.state is not None else None
        return last is not None and self.now < last

    @cached_property
    def publishers(self) -> Mapping[str, tuple[str, ...]]:
        """By channel: the ids of the targets that publish it; one in an invalid file still counts as it last did."""
        found: dict[str, list[str]] = {}
        for record in self.state.targets.values():
            if record.publish and self._invalid(record.id):
                for channel in record.publish:
                    found.setdefault(channel, []).append(record.id)
        for target in self.context.desired.targets.values():
            if target.disable or target.delete:
                continue
            for channel in target.promotion.publish:
                found.setdefault(channel, []).append(target.id)
        return {channel: tuple(ids) for channel, ids in found.items()}

    def _invalid(self, target: str) -> bool:
        desired = self.context.desired
        record = self.state.targets.get(target)
        return target in desired.invalid_targets or (
            target not in desired.targets and record is not None and record.file in desired.invalid
        )

    def publications(self, channel: str) -> tuple[Publication, ...]:
        """What the channel's present publishers have published."""
        return self.state.channels.get(channel, ())

    def mark(self) -> State:
        """The state as it is now; it stays as it is, whatever is written down afterwards."""
        self._copied = False
        return self.state

    def target_state(self, target: str) -> TargetState | None:
        """The record of a target."""
        return self.state.targets.get(target)

    def put_target(self, record: TargetState) -> None:
        """Write a target's record down."""
        self._targets()[record.id] = record

    def drop_target(self, target: str) -> None:
        """Forget a target."""
        self._targets().pop(target, None)

    def put_trigger(self, record: TriggerState) -> None:
        """Write a trigger definition's record down."""
        if self.state.triggers.get(record.name) != record:
            self.state = replace(self.state, triggers={**self.state.triggers, record.name: record})

    def drop_trigger(self, name: str) -> None:
        """Forget a trigger definition."""
        triggers = {key: record for key, record in self.state.triggers.items() if key != name}
        self.state = replace(self.state, triggers=triggers)

    def forget_request(self, trigger: str) -> None:
        """A start that was asked for is being carried out."""
        requests = {name: each for name, each in self.state.trigger_requests.items() if name != trigger}
        self.state = replace(self.state, trigger_requests=requests)

    def _targets(self) -> dict[str, TargetState]:
        """The records, copied once so that the context stays as it is."""
        if not self._copied:
            self.state = replace(self.state, targets=dict(self.state.targets))
            self._copied = True
        targets = self.state.targets
        if not isinstance(targets, dict):  # pragma: no cover - replaced above
            raise TypeError(type(targets))
        return targets

    _copied: bool = False
    _noted: set[Held] = field(default_factory=set)

    def hold(self, subject: str, gate: Gate, text: str, until: datetime | None = None) -> None:
        """Note what is not done, and why."""
        entry = Held(subject, gate, text, until)
        if entry in self._noted:
            return
        self._noted.add(entry)
        self.held.append(entry)
        if until is not None and self.concerns(subject):
            self.due(until)

    def concerns(self, subject: str) -> bool:
        """Whether this decision is about a subject: a focused one is about one alone."""
        focus = self.context.focus
        return focus is None or subject_of_action(subject) == focus.subject

    def due(self, moment: datetime | None) -> None:
        """Note when something may next happen."""
        if moment is not None and moment > self.now:
            self.dues.append(moment)

    def subscribed(self, target: Target) -> Iterable[tuple[str, tuple[str, ...]]]:
        """Each channel that a target subscribes to, with its publishers."""
        return ((channel, self.publishers.get(channel, ())) for channel in target.promotion.subscribe)
