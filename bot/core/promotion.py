"""Promotion: which sha each subscriber should move to (DESIGN section 4).

The candidate is the newest sha, by ancestry, that all publishers of all its channels have published and that passes
every gate. If none passes, the newest is reported as held. A sha that failed or was vetoed waits for a newer one;
there is no falling back to an older one behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bot.core.gates import Candidate, Occasion, gates, holding
from bot.core.sheet import Sheet
from bot.model.desired import Target
from bot.model.observed import Lineage
from bot.model.plan import Gate, Verdict
from bot.model.state import PromotionRequest

WAITS_FOR_NEWER = frozenset({Gate.FAILED, Gate.VETOED})


@dataclass(frozen=True, slots=True)
class Choice:
    """What a subscriber should move to: `sha` passed everything, or the newest is held by `verdicts`."""

    target: Target
    sha: str
    verdicts: tuple[Verdict, ...]
    request: PromotionRequest | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing holds it."""
        return not holding(self.verdicts)


def choices(sheet: Sheet) -> tuple[Choice, ...]:
    """The choice of every subscriber that has one, in the order of the config; what is held is noted."""
    made = []
    for target in sheet.context.desired.targets.values():
        choice = choose(sheet, target)
        if choice is None:
            continue
        made.append(choice)
        for verdict in holding(choice.verdicts):
            sheet.hold(f"target:{target.id}", verdict.gate, verdict.text, verdict.until)
    return tuple(made)


def choose(sheet: Sheet, target: Target) -> Choice | None:
    """What this subscriber should move to, or None where there is nothing newer."""
    if target.disable or target.delete or not target.pinned:
        return None
    request = sheet.state.requests.get(target.id)
    if request is not None and request.sha:
        return None if request.sha == target.ref else _judged(sheet, target, request.sha, request)
    if not target.promotion.subscribe or not (target.promotion.auto or request is not None):
        return None
    held: Choice | None = None
    for sha in newer(sheet, target):
        choice = _judged(sheet, target, sha, request)
        stops = {verdict.gate for verdict in holding(choice.verdicts)}
        if not stops or stops <= WAITS_FOR_NEWER:
            return choice
        held = held or choice
    return held


def candidate(target: Target, sha: str, *, person: bool, current: str = "") -> Candidate:
    """A sha as a promotion of a target, by the bot's own choice or a person's; `current` is by default its ref."""
    return Candidate(target, sha, Occasion.PROMOTION, current=current or target.ref, person=person)


def _judged(sheet: Sheet, target: Target, sha: str, request: PromotionRequest | None) -> Choice:
    return Choice(target, sha, gates(candidate(target, sha, person=request is not None), sheet), request)


def published(sheet: Sheet, target: Target) -> dict[str, datetime]:
    """The shas other than the present ref that its publishers have published, each with its latest success."""
    found: dict[str, datetime] = {}
    for channel, publishers in sheet.subscribed(target):
        for publication in sheet.publications(channel):
            if publication.target in publishers and publication.sha != target.ref:
                last = found.get(publication.sha, publication.finished_at)
                found[publication.sha] = max(last, publication.finished_at)
    return found


def newer(sheet: Sheet, target: Target) -> tuple[str, ...]:
    """What was published and is not known to be older than the present ref, the newest by ancestry first."""
    shas = newest_first(sheet, target, published(sheet, target))
    return tuple(sha for sha in shas if not _known_older(sheet, target, sha))


def newest_first(sheet: Sheet, target: Target, shas: dict[str, datetime]) -> Iterable[str]:
    """Order by ancestry, then by the time of success; unknown ones come last."""
    if len(shas) <= 1:
        return tuple(shas)
    lineage = sheet.facts.lineage(target.url, frozenset(shas) | {target.ref})
    if not isinstance(lineage, Lineage):
        return sorted(shas, key=lambda sha: (shas[sha], sha), reverse=True)
    return sorted(shas, key=lambda sha: (len(lineage.ancestors.get(sha, ())), shas[sha], sha), reverse=True)


def _known_older(sheet: Sheet, target: Target, sha: str) -> bool:
    """Whether a sha is an ancestor of the present ref, and so no news at all."""
    lineage = sheet.facts.lineage(target.url, frozenset({target.ref, sha}))
    return isinstance(lineage, Lineage) and sha in lineage.ancestors.get(target.ref, frozenset())
