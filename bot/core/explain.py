"""Explain: one target explained at the context's `now`, for whoever has no sheet."""

from __future__ import annotations

from bot.core.context import Context
from bot.core.explanation import Explanation, explain_on
from bot.core.opening import opened_sheet


def explain(context: Context, target: str) -> Explanation:
    """Everything that decides about one target at the context's `now`."""
    return explain_on(opened_sheet(context), target)
