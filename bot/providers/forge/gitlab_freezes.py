"""GitLab's Freeze Periods as freezes. Source: https://docs.gitlab.com/api/freeze_periods/.

A period that cannot be understood here (GitLab's cron parser knows words that ours does not) is in force at all times:
a freeze is never ignored, and the reason on the report says what to correct.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from bot.model.desired import Between, Freeze, Interval, Window
from bot.providers.forge.gitlab_wire import FreezeWire
from bot.providers.forge.gitlab_zones import iana

ALWAYS = Interval(datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))
"""In force until somebody corrects the period."""


def freeze(wire: FreezeWire, project: str) -> Freeze:
    """One period as a freeze of everything."""
    problem = _problem(wire)
    window: Window = ALWAYS
    reason = f"Freeze Period of {project}"
    if problem:
        reason = f"{reason} that cannot be understood and so counts as always in force: {problem}"
    else:
        window = Between(wire.freeze_start, wire.freeze_end, iana(wire.cron_timezone or ""))
    return Freeze(name=f"GitLab freeze period {wire.id}", owner="GitLab", reason=reason, windows=(window,))


def _problem(wire: FreezeWire) -> str:
    """Why a period cannot be understood; empty where it can."""
    if not iana(wire.cron_timezone or ""):
        return f"nobody knows the time zone {wire.cron_timezone!r}"
    for cron in (wire.freeze_start, wire.freeze_end):
        try:
            CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            return f"cron {cron!r}: {error}"
    return ""
