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
    for sha in newest_first(sheet, target, published(sheet, target)):
        choice = _judged(sheet, target, sha, request)
        stops = {verdict.gate for verdict in holding(choice.verdicts)}
        if not stops or stops <= WAITS_FOR_NEWER:
            return choice
        news = Gate.GOING_BACK not in stops or not _known_older(sheet, target, sha)
        if held is None and news:
            held = choice
    return held


def candidate(target: Target, sha: str, *, person: bool, current: str = "") -> Candidate:
    """A sha as a promotion of a target, by the bot's own choice or a person's; `current` is by default its ref."""
    return Candidate(target, sha, Occasion.PROMOTION, current=current or target.ref, person=person)


def _judged(sheet: Sheet, target: Target, sha: str, request: PromotionRequest | None) -> Choice:
    return Choice(target, sha, gates(candidate(target, sha, person=request is not None), sheet), request)


def published(sheet: Sheet, target: Target) -> dict[str, datetime]:
    """The shas that may be newer than the present ref, each with its latest success at any publisher.

    A publisher's successes before its last one of the present ref are older; they need no look at the history.
    """
    found: dict[str, datetime] = {}
    for channel, publishers in sheet.subscribed(target):
        own = [p for p in sheet.publications(channel) if p.target in publishers]
        passed = {p.target: p.finished_at for p in own if p.sha == target.ref}
        for publication in own:
            known = passed.get(publication.target)
            if publication.sha != target.ref and (known is None or publication.finished_at >= known):
                found[publication.sha] = max(
                    found.get(publication.sha, publication.finished_at), publication.finished_at
                )
    return found


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
