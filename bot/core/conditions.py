"""Conditions of a trigger definition: may a round begin now, and if not, why (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from bot.core.facts import Facts
from bot.model.observed import Unreachable
from bot.model.triggers import Condition, DateRange, DayOfMonth, IsoWeek, Job, NewBuild, Trigger
from bot.render.words import utc


def unmet(condition: Condition, today: date, known: Mapping[str, str], found: str | None) -> str:
    """Why a condition does not hold on this day, or an empty text; `found` is the value of a new build's source."""
    match condition:
        case DayOfMonth(first, last):
            return "" if first <= today.day <= last else f"day {today.day} of the month is not in {first} to {last}"
        case IsoWeek(every, offset):
            week = today.isocalendar().week
            return "" if week % every == offset % every else f"ISO week {week} is not one of every {every}"
        case DateRange(first, last):
            inside = (first is None or first <= today) and (last is None or today <= last)
            return "" if inside else f"{today} is not in {first or '...'} to {last or '...'}"
        case NewBuild(url=url):
            return "no new build since the last start" if found and known.get(url) == found else ""
        case _:
            assert_never(condition)


def new_builds(trigger: Trigger) -> Iterator[NewBuild]:
    """Every condition on a new build, the definition's and its jobs'."""
    for condition in (*trigger.conditions, *(each for job in trigger.jobs for each in job.conditions)):
        if isinstance(condition, NewBuild):
            yield condition


def builds_of(facts: Facts, trigger: Trigger) -> dict[str, str] | Unreachable:
    """The present values of all sources of new builds, by url."""
    values: dict[str, str] = {}
    for condition in new_builds(trigger):
        if condition.url not in values:
            value = facts.new_build(condition)
            if isinstance(value, Unreachable):
                return value
            values[condition.url] = value
    return values


def first_unmet(
    conditions: Iterable[Condition], today: date, known: Mapping[str, str], found: Mapping[str, str]
) -> str:
    """Why a round, or a job, does not begin, or an empty text; every condition must hold."""
    for condition in conditions:
        value = found.get(condition.url) if isinstance(condition, NewBuild) else None
        text = unmet(condition, today, known, value)
        if text:
            return text
    return ""


def today_of(trigger: Trigger, now: datetime) -> date:
    """The day that it is where the definition counts days."""
    return now.astimezone(ZoneInfo(trigger.timezone)).date()


def idle(job: Job, trigger: Trigger, now: datetime) -> str:
    """Why a job is not started at this moment, or an empty text; both ends of its dates are included."""
    if not job.active:
        return "not active"
    today = today_of(trigger, now)
    after, until = job.active_after, job.active_until
    if after is not None and (now < after if isinstance(after, datetime) else today < after):
        return f"not before {_shown(after)}"
    if until is not None and (now > until if isinstance(until, datetime) else today > until):
        return f"not after {_shown(until)}"
    return ""


def _shown(moment: date | datetime) -> str:
    return utc(moment) if isinstance(moment, datetime) else str(moment)
