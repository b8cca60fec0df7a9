"""The checks within one file that a JSON schema cannot say, or says in worse words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.config.documents import mapping_of, maps, target_pointer, targets_of
from bot.config.rules import Issue
from bot.config.schema import foreign_values
from bot.config.secret_rules import secret_issues
from bot.config.source import Pointer
from bot.config.trigger_rules import check_jobs, jobs_of
from bot.config.values import duration, is_timezone, moment
from bot.formats.cron import cron_fault
from bot.model.desired import is_sha
from bot.render.tags import tag_fault

_DURATION_HINT = "write numbers with d, h, m or s, for example `1d12h`"
_PLAIN = frozenset({str, bool, type(None)})


def check(kind: str, doc: dict[str, Any], *, compat: bool = False) -> Iterator[Issue]:
    """Yield every issue of a document of this kind; `compat` for one that was translated."""
    yield from secret_issues(kind, doc)
    if kind == "saas-file":
        yield from _saas_file(doc)
        return
    yield from foreign_values(doc, ())
    match kind:
        case "app" if not compat and doc.get("owners") == []:
            yield Issue("missing-owner", ("owners",), "an app needs at least one owner", "name a user or a group")
        case "freeze":
            if doc.get("owner") == "":
                yield Issue("missing-owner", ("owner",), "a freeze needs an owner", "name a user or a group")
            if doc.get("windows") == []:
                message = "a freeze without windows never freezes"
                yield Issue("unreachable-window", ("windows",), message, "add a window")
            yield from _windows(doc.get("windows"), ("windows",))
        case "pipeline":
            yield from _durations(doc, (), "timeout")
        case "trigger":
            yield from _trigger(doc)


def _saas_file(doc: dict[str, Any]) -> Iterator[Issue]:
    yield from _parameters(doc, ())
    for index, template in maps(doc.get("resourceTemplates")):
        yield from _parameters(template, ("resourceTemplates", index))
    for template_index, target_index, _, target in targets_of(doc):
        if "parameters" in target:
            yield from _parameters(target, target_pointer(template_index, target_index))
        if "images" in target or "upstream" in target:
            yield from _sources(target, target_pointer(template_index, target_index))
        promotion = target.get("promotion")
        if isinstance(promotion, dict):
            yield from _promotion(target, promotion, target_pointer(template_index, target_index))


def _sources(target: dict[str, Any], at: Pointer) -> Iterator[Issue]:
    """Yield tags that no image can have, and an upstream that nobody follows."""
    for index, image in maps(target.get("images")):
        tag = image.get("tag")
        fault = tag_fault(tag) if isinstance(tag, str) else ""
        if fault:
            yield Issue("bad-tag", (*at, "images", index, "tag"), f"`{tag!s:.80}` is no tag of an image", fault)
    ref = target.get("ref")
    if "upstream" in target and isinstance(ref, str) and is_sha(ref):
        message = "a target that pins a commit follows no build"
        hint = "remove `upstream`, or follow a branch"
        yield Issue("unused-upstream", (*at, "upstream"), message, hint, on_key=True, warning=True)


def _parameters(holder: dict[str, Any], at: Pointer) -> Iterator[Issue]:
    """Yield the parameters that could not be handed to a pipeline as JSON."""
    value = holder.get("parameters")
    if isinstance(value, dict) and not (set(map(type, value)) <= {str} and set(map(type, value.values())) <= _PLAIN):
        yield from foreign_values(value, (*at, "parameters"))


def _promotion(target: dict[str, Any], promotion: dict[str, Any], at: Pointer) -> Iterator[Issue]:
    ref = target.get("ref")
    if promotion.get("subscribe") and isinstance(ref, str) and not is_sha(ref):
        message = f"a target that subscribes to a channel is pinned to a full commit, found `{ref[:80]}`"
        yield Issue("subscriber-not-pinned", (*at, "ref"), message, "write the 40 digits of the commit in lower case")
    inside = (*at, "promotion")
    if "soak" in promotion:
        yield from _durations(promotion, inside, "soak")
    if "windows" in promotion:
        yield from _windows(promotion["windows"], (*inside, "windows"))
    if "promotionData" in promotion:
        yield from foreign_values(promotion["promotionData"], (*inside, "promotionData"))


def _windows(value: Any, at: Pointer) -> Iterator[Issue]:
    for index, window in maps(value):
        inside = (*at, index)
        yield from _cron(window, inside, "cron")
        yield from _durations(window, inside, "duration")
        yield from _timezone(window, inside)
        if isinstance(window.get("duration"), str) and duration(window["duration"]) == duration("0s"):
            message = "a window of no length never opens"
            yield Issue("unreachable-window", (*inside, "duration"), message, _DURATION_HINT)
        yield from _interval(window, inside)


def _interval(window: dict[str, Any], at: Pointer) -> Iterator[Issue]:
    """Yield what is wrong with `from` and `to`."""
    ends = []
    for key in ("from", "to"):
        value = window.get(key)
        if isinstance(value, str):
            time = moment(value)
            ends.append(time)
            if time is None:
                message = f"`{value[:80]}` is not a moment"
                yield Issue("bad-time", (*at, key), message, "write it like 2026-12-23T12:00:00Z")
    match ends:
        case [start, end] if start and end and end <= start:
            yield Issue("unreachable-window", (*at, "to"), "the window ends before it begins", "set `to` after `from`")


def _durations(holder: dict[str, Any], at: Pointer, *keys: str) -> Iterator[Issue]:
    for key in keys:
        value = holder.get(key)
        if isinstance(value, str) and duration(value) is None:
            yield Issue("bad-duration", (*at, key), f"`{value[:80]}` is not a duration", _DURATION_HINT)


def _cron(holder: dict[str, Any], at: Pointer, key: str, fields: tuple[int, ...] = (5,)) -> Iterator[Issue]:
    value = holder.get(key)
    fault = cron_fault(value, fields) if isinstance(value, str) else None
    if fault:
        rule, reason = fault
        hint = "minute, hour, day of month, month, day of week: for example `0 9 * * 1-4`"
        yield Issue(rule, (*at, key), f"`{value!s:.80}`: {reason}", hint)


def _timezone(holder: dict[str, Any], at: Pointer) -> Iterator[Issue]:
    value = holder.get("timezone")
    if isinstance(value, str) and not is_timezone(value):
        message = f"there is no time zone `{value[:80]}`"
        yield Issue("bad-timezone", (*at, "timezone"), message, "use a name such as Europe/Prague or UTC")


def _trigger(doc: dict[str, Any]) -> Iterator[Issue]:
    schedule = mapping_of(mapping_of(doc.get("on")).get("schedule"))
    yield from _cron(schedule, ("on", "schedule"), "cron", (5, 6))
    yield from _timezone(schedule, ("on", "schedule"))
    yield from _durations(doc, (), "timeout")
    for key, part in (("healthCheck", "interval"), ("retry", "interval"), ("batch", "pause")):
        yield from _durations(mapping_of(doc.get(key)), (key,), part)
    for at, job in jobs_of(doc):
        yield from _cron(job, at, "schedule", (5, 6))
    yield from check_jobs(doc)
