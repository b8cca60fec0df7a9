"""Explanation: every reason and gate of one target, answered by the rooms that decide (DESIGN section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.core import diff
from bot.core.gates import gates, holding
from bot.core.promotion import choose
from bot.core.sheet import Sheet
from bot.core.sources import Offer, offer_of
from bot.core.triggers import candidate, reasons_of
from bot.model.desired import Target
from bot.model.plan import Verdict
from bot.model.runs import Reason
from bot.model.state import TargetState

DISABLED = "disabled in the config"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One target in full: `run` and `promotion` are the verdicts of the next start and of the next version.

    `problem` says why nothing can be told: an unknown or invalid target, a repository out of reach. `next_time` is
    when the last of the holding gates may pass, where all of them know.
    """

    target: str
    now: datetime
    desired: Target | None = None
    record: TargetState | None = None
    sha: str = ""
    problem: str = ""
    reasons: tuple[Reason, ...] = ()
    run: tuple[Verdict, ...] = ()
    promoted_sha: str = ""
    promotion: tuple[Verdict, ...] = ()
    next_time: datetime | None = None


def explain_on(sheet: Sheet, target: str) -> Explanation:
    """Everything that decides about one target, from a sheet that is being written."""
    context = sheet.context
    record = sheet.target_state(target)
    found = context.desired.targets.get(target)
    if found is None:
        problem = context.desired.invalid_targets.get(target) or f"the config has no target {target}"
        return Explanation(target, context.now, record=record, problem=problem)
    offer = offer_of(sheet.facts, found, record)
    if isinstance(offer, Offer):
        return _explained(sheet, found, record, offer)
    problem = DISABLED if found.disable else offer.text
    return Explanation(target, context.now, found, record, problem=problem)


def _explained(sheet: Sheet, target: Target, record: TargetState | None, offer: Offer) -> Explanation:
    config, sha = diff.canonical(diff.effective(target)), offer.sha
    reasons = () if target.disable else reasons_of(sheet, target, record, config, offer)
    kinds = frozenset(reason.kind for reason in reasons)
    run = gates(candidate(sheet, target, sha, diff.config_hash(config), kinds), sheet)
    choice = choose(sheet, target)
    promotion = choice.verdicts if choice is not None else ()
    return Explanation(
        target=target.id,
        now=sheet.now,
        desired=target,
        record=record,
        sha=sha,
        problem=DISABLED if target.disable else "",
        reasons=reasons,
        run=run,
        promoted_sha=choice.sha if choice is not None else "",
        promotion=promotion,
        next_time=_next_time(holding(run) if reasons else holding(promotion)),
    )


def _next_time(stops: tuple[Verdict, ...]) -> datetime | None:
    times = [verdict.until for verdict in stops if verdict.until is not None]
    return max(times) if times and len(times) == len(stops) else None
