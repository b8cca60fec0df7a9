"""From valid trigger definitions to model values (DESIGN section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from bot.config.values import duration, moment
from bot.model.servers import Instance, SecretRef
from bot.model.triggers import (
    Batch,
    Condition,
    DateRange,
    DayOfMonth,
    HealthCheck,
    IsoWeek,
    Job,
    JobsFrom,
    NewBuild,
    Retry,
    Schedule,
    Stage,
    Trigger,
    Wait,
)

MINUTE = timedelta(minutes=1)
CANCELS = frozenset({"sparql"})
"""Providers whose jobs are set to failed when their time is over, unless the definition says otherwise."""


ALONE: Mapping[str, Batch] = {"sparql": Batch(1, wait=Wait.FINISHED)}
"""Providers whose jobs keep each other from running: one is started when the one before it is over."""


def trigger_of(doc: Mapping[str, Any], instance: Instance, path: str) -> Trigger:
    """The definition in a document that has no errors."""
    on = doc.get("on", {})
    schedule = on.get("schedule", {})
    timezone = schedule.get("timezone", "UTC")
    return Trigger(
        name=doc["name"],
        instance=instance,
        owners=tuple(doc.get("owners", ())),
        stages=_stages(doc, timezone),
        staged="stages" in doc,
        jobs_from=_jobs_from(doc["jobsFrom"]) if "jobsFrom" in doc else None,
        schedule=Schedule(schedule["cron"], timezone) if schedule else None,
        command=on.get("command", False),
        timezone=timezone,
        conditions=tuple(_condition(each) for each in doc.get("conditions", ())),
        health_check=_health_check(doc["healthCheck"]) if "healthCheck" in doc else None,
        retry=_retry(doc.get("retry", {})),
        batch=_batch(doc["batch"]) if "batch" in doc else ALONE.get(instance.provider, Batch()),
        fail_fast=doc.get("failFast", _release(doc)),
        cancel_on_error=doc.get("cancelOnError", instance.provider in CANCELS),
        timeout=_span(doc, "timeout", timedelta(hours=6)),
        options=doc.get("with", {}),
        file=path,
    )


def _release(doc: Mapping[str, Any]) -> bool:
    """Whether the definition is a release, which ends with the first failure unless it says otherwise."""
    return bool(doc.get("jobsFrom", {}).get("format") == "gravitee-release")


def _stages(doc: Mapping[str, Any], timezone: str) -> tuple[Stage, ...]:
    if "stages" in doc:
        return tuple(Stage(each["name"], _jobs(each["jobs"], timezone)) for each in doc["stages"])
    return (Stage("", _jobs(doc["jobs"], timezone)),) if doc.get("jobs") else ()


def _jobs(docs: list[Mapping[str, Any]], timezone: str) -> tuple[Job, ...]:
    return tuple(
        Job(
            name=doc["name"],
            active=doc.get("active", True),
            active_after=_bound(doc.get("activeAfter")),
            active_until=_bound(doc.get("activeUntil")),
            schedule=Schedule(doc["schedule"], timezone) if "schedule" in doc else None,
            after=tuple(doc.get("after", ())),
            once=doc.get("once", False),
            options=doc.get("with", {}),
            conditions=tuple(_condition(each) for each in doc.get("conditions", ())),
        )
        for doc in docs
    )


def _bound(text: str | None) -> date | datetime | None:
    """A day, or a moment; the schema has judged the text, the calendar may still not have the day."""
    if text is None:
        return None
    return moment(text) if "T" in text else date.fromisoformat(text)


def _condition(doc: Mapping[str, Any]) -> Condition:
    ((kind, value),) = doc.items()
    match kind:
        case "dayOfMonth":
            return DayOfMonth(value.get("min", 1), value.get("max", 31))
        case "isoWeek":
            return IsoWeek(value["every"], value.get("offset", 0))
        case "dateRange":
            first, last = (value.get(key) for key in ("from", "to"))
            return DateRange(
                date.fromisoformat(first) if first else None,
                date.fromisoformat(last) if last else None,
            )
        case _:
            token = SecretRef(**value["token"]) if "token" in value else None
            return NewBuild(value["url"], value["field"], token)


def _jobs_from(doc: Mapping[str, Any]) -> JobsFrom:
    return JobsFrom(
        doc["format"],
        doc.get("file", ""),
        doc.get("folder", {}).get("env", ""),
        doc.get("key", {}).get("env", ""),
        doc.get("mask", 0),
    )


def _health_check(doc: Mapping[str, Any]) -> HealthCheck:
    return HealthCheck(doc.get("attempts", 60), _span(doc, "interval", MINUTE))


def _retry(doc: Mapping[str, Any]) -> Retry:
    return Retry(doc.get("attempts", 3), _span(doc, "interval", MINUTE))


def _batch(doc: Mapping[str, Any]) -> Batch:
    return Batch(doc.get("size", 0), _span(doc, "pause", timedelta()), Wait(doc.get("wait", "none")))


def _span(doc: Mapping[str, Any], key: str, default: timedelta) -> timedelta:
    return (duration(doc[key]) or timedelta()) if key in doc else default
