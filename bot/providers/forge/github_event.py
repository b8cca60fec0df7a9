"""GitHub's webhook events: as a hook posts them, or as a workflow finds one in the file `$GITHUB_EVENT_PATH`.

Source: GitHub, webhook events and payloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.model.observed import Delivery, Event
from bot.model.state import Thread

PULLS = ("pull_request", "pull_request_review")
"""Events that tell of one pull request."""

CI = ("check_run", "check_suite", "workflow_run", "status")
"""Events that tell how the config repository's CI goes."""


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


def delivery(kind: str, payload: Mapping[str, Any], branch: str) -> Delivery | str:
    """What a hook tells of; `kind` is its `X-GitHub-Event`, `branch` the config branch.

    A sentence where it is nothing to look at.
    """
    if kind == "issue_comment":
        comment = comment_event(payload)
        return comment if isinstance(comment, str) else Delivery(comment.project, comment.project_id, comment)
    repository = payload.get("repository")
    if kind == "ping":
        return "the hook is in place"
    if not isinstance(repository, Mapping):
        return f"a {kind[:40]} event without its repository"
    where = (str(repository.get("full_name")), str(repository.get("id")))
    if kind in PULLS:
        pull = payload.get("pull_request")
        base = pull.get("base") if isinstance(pull, Mapping) else None
        into = base.get("ref") if isinstance(base, Mapping) else None
        found = _numbers([pull])
        return Delivery(*where, merge_requests=found) if found and into == branch else _not_into(branch)
    if kind == "push":
        ours = payload.get("ref") == f"refs/heads/{branch}"
        return Delivery(*where, everything=True) if ours else f"a push to another branch than {branch}"
    if kind in CI:
        about = payload.get(kind)
        pulls = about.get("pull_requests") if isinstance(about, Mapping) else None
        found = _numbers(pulls if isinstance(pulls, list) else [])
        return Delivery(*where, merge_requests=found, everything=True)
    return f"a {kind[:40]} event"


def _not_into(branch: str) -> str:
    return f"not a pull request into {branch}"


def _numbers(pulls: list[Any]) -> tuple[int, ...]:
    numbers = (pull.get("number") for pull in pulls if isinstance(pull, Mapping))
    return tuple(number for number in numbers if isinstance(number, int))
