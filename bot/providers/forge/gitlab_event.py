"""GitLab's webhook events: as a hook posts them, or as its trigger hands one to a pipeline in `$TRIGGER_PAYLOAD`.

Source: GitLab, webhook events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.model.observed import Delivery, Event
from bot.model.state import Thread

THREADS = {"MergeRequest": (Thread.MERGE_REQUEST, "merge_request"), "Issue": (Thread.DASHBOARD, "issue")}
"""By what was commented: its thread, and where its number stands in the event."""

CI = ("pipeline", "build")
"""Kinds of events that tell how the config project's CI goes."""


def comment_event(payload: Mapping[str, Any]) -> Event | str:
    """Where the comment stands; a sentence where the event is none that the bot listens to."""
    if payload.get("object_kind") != "note":
        return f"a {str(payload.get('object_kind'))[:40]} event, not a comment"
    about = payload.get("object_attributes")
    if not isinstance(about, Mapping):
        return "a comment event without its comment"
    kind = str(about.get("noteable_type"))
    if kind not in THREADS:
        return f"a comment on a {kind[:40]}"
    if about.get("system") is True:
        return "a note of GitLab itself"
    thread, place = THREADS[kind]
    on, project = payload.get(place), payload.get("project")
    if not isinstance(on, Mapping) or not isinstance(on.get("iid"), int) or not isinstance(project, Mapping):
        return "a comment event without its project or its number"
    return Event(_path(project), thread, on["iid"], str(about.get("note")), str(project.get("id")))


def delivery(payload: Mapping[str, Any], branch: str) -> Delivery | str:
    """What a hook tells of; `branch` is the config branch. A sentence where it is nothing to look at."""
    kind, project = str(payload.get("object_kind")), payload.get("project")
    if kind == "note":
        comment = comment_event(payload)
        return comment if isinstance(comment, str) else Delivery(comment.project, comment.project_id, comment)
    if not isinstance(project, Mapping):
        return f"a {kind[:40]} event without its project"
    where = (_path(project), str(project.get("id")))
    if kind == "merge_request":
        about = payload.get("object_attributes")
        target = about.get("target_branch") if isinstance(about, Mapping) else None
        found = _numbers(about)
        return Delivery(*where, merge_requests=found) if found and target == branch else _not_into(branch)
    if kind == "push":
        ours = payload.get("ref") == f"refs/heads/{branch}"
        return Delivery(*where, everything=True) if ours else f"a push to another branch than {branch}"
    if kind in CI:
        return Delivery(*where, merge_requests=_numbers(payload.get("merge_request")), everything=True)
    return f"a {kind[:40]} event"


def _path(project: Mapping[str, Any]) -> str:
    return str(project.get("path_with_namespace"))


def _not_into(branch: str) -> str:
    return f"not a merge request into {branch}"


def _numbers(found: object) -> tuple[int, ...]:
    number = found.get("iid") if isinstance(found, Mapping) else None
    return (number,) if isinstance(number, int) else ()
