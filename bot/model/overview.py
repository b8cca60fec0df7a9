"""Overview: what runs where, what is promoted, what is stuck; one row a target, one a trigger definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.model.desired import Target
from bot.model.observed import MergeRequest
from bot.model.plan import Gate, Held
from bot.model.rounds import SetReport, TriggerState
from bot.model.state import Flag, TargetState
from bot.model.triggers import Trigger

NEEDS_A_PERSON = frozenset(
    {Gate.FAILED, Gate.UNKNOWN, Gate.INVALID, Gate.UNSAFE_EDIT, Gate.HUMAN_COMMIT, Gate.UNREACHABLE, Gate.VETOED}
)
"""Gates that time alone does not open."""


@dataclass(frozen=True, slots=True)
class Row:
    """One target: the config's side, the record's side, and what holds it. Either side may be missing."""

    id: str
    target: Target | None
    record: TargetState | None
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """One trigger definition: the config's side and the record's side; either may be missing.

    `sets` are those of its present (or last) round; `due` is when a schedule of it comes due next, known once a pass
    has recorded it.
    """

    name: str
    trigger: Trigger | None
    record: TriggerState | None
    sets: tuple[SetReport, ...] = ()
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """All targets in the order of the config, then those only on record; likewise all trigger definitions.

    And the bot's open merge requests, what holds all else, and by subject what the work queue leaves to a person.
    `written_at` is when the statefile was written last, None where there is none; `pending` how many actions a pass
    would take at `now`, and `heartbeat` the longest silence that the settings allow, None where they allow any.
    """

    rows: tuple[Row, ...]
    merge_requests: tuple[MergeRequest, ...]
    held: tuple[Held, ...]
    now: datetime
    config_sha: str | None
    triggers: tuple[TriggerRow, ...] = ()
    attention: Mapping[str, Flag] = field(default_factory=dict)
    written_at: datetime | None = None
    pending: int = 0
    next_due: datetime | None = None
    heartbeat: timedelta | None = None

    @property
    def silent(self) -> bool:
        """Whether the bot must have stopped: a pass that had nothing to do would still have given a sign of life."""
        if self.heartbeat is None or self.written_at is None:
            return False
        return self.now - self.written_at > 2 * self.heartbeat
