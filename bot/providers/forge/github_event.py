"""GitHub's `issue_comment` event, as a workflow finds it in the file `$GITHUB_EVENT_PATH`.

Source: GitHub, webhook events and payloads, "issue_comment".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.model.observed import Event
from bot.model.state import Thread


def comment_event(payload: Mapping[str, Any]) -> Event | str:
    """Where the comment stands; a sentence where the event is none that the bot listens to."""
    comment, issue, repository = (payload.get(name) for name in ("comment", "issue", "repository"))
    if not isinstance(comment, Mapping) or not isinstance(issue, Mapping) or not isinstance(repository, Mapping):
        return "not an issue_comment event"
    if payload.get("action") != "created":
        return f"a comment was {str(payload.get('action'))[:40]}; only a new one is a command"
    if not isinstance(issue.get("number"), int):
        return "an issue_comment event without a number"
    thread = Thread.MERGE_REQUEST if issue.get("pull_request") else Thread.DASHBOARD
    name, number = str(repository.get("full_name")), str(repository.get("id"))
    return Event(name, thread, issue["number"], str(comment.get("body")), number)
