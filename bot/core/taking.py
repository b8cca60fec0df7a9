"""A rebuild in the making: what it works with, what it has taken back so far, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bot.core.context import Context
from bot.core.excerpts import Excerpt
from bot.model.desired import Target
from bot.model.observed import MergeRequest
from bot.model.state import Edit, MergeRequestState, State, TargetState


@dataclass(frozen=True, slots=True)
class Told:
    """What one comment says. `current`: it was kept up to date until the statefile was lost."""

    where: str
    excerpt: Excerpt
    current: bool
    merge_request: MergeRequest | None = None

    @property
    def record(self) -> MergeRequestState | None:
        """The record of its merge request, as it was at the comment's last edit."""
        return next(iter(self.excerpt.part.merge_requests.values()), None)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What its merge request promotes."""
        return self.record.edits if self.record is not None else ()

    @property
    def serial(self) -> int:
        """How new it is."""
        return self.excerpt.seen.serial if self.excerpt.seen is not None else 0


@dataclass(slots=True)
class Taking:
    """The state so far, with one line for each thing that was taken back, or could not be.

    `begun` are records of targets with a run that may have begun without a word on any comment: its server is asked.
    """

    context: Context
    state: State
    taken: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    begun: dict[str, TargetState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Copy the records once: there may be thousands."""
        self._records = dict(self.state.targets)
        self.state = replace(self.state, targets=self._records)

    _records: dict[str, TargetState] = field(init=False, default_factory=dict)

    def put(self, record: TargetState) -> None:
        """Write a target's record down."""
        self._records[record.id] = record

    @property
    def targets(self) -> Mapping[str, Target]:
        """The targets of the config."""
        return self.context.desired.targets
