"""Proposal: what a merge request of a person would change, told apart from all that stays as it is."""

from __future__ import annotations

from bot.model.desired import Desired
from bot.model.observed import Proposal


def proposed(base: Desired, after: Desired) -> Proposal:
    """The difference between the config now and after the merge; a config of thousands of targets differs in few."""
    known = base.targets
    return Proposal(
        changed={id: target for id, target in after.targets.items() if known.get(id) != target},  # noqa: A001 - it is one
        gone=tuple(each for each in known if each not in after.targets and each not in after.invalid_targets),
        invalid={path: text for path, text in after.invalid.items() if base.invalid.get(path) != text},
    )
