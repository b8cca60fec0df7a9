"""GitLab's comment event, as a webhook's trigger hands it to a pipeline in the file `$TRIGGER_PAYLOAD`.

Source: GitLab, webhook events, "Comment events".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.model.observed import Event
from bot.model.state import Thread

THREADS = {"MergeRequest": (Thread.MERGE_REQUEST, "merge_request"), "Issue": (Thread.DASHBOARD, "issue")}
"""By what was commented: its thread, and where its number stands in the event."""


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
    path, number = str(project.get("path_with_namespace")), str(project.get("id"))
    return Event(path, thread, on["iid"], str(about.get("note")), number)
