"""Events: which subjects are to be looked at for what a forge says has happened, or why none are."""

from __future__ import annotations

from bot.core.commands import parse
from bot.core.queueing import COLLECT
from bot.model.observed import Delivery, Event
from bot.model.state import Thread
from bot.settings import Settings

DASHBOARD = "dashboard"
"""The subject of what people say on the dashboard issue."""


def subjects(settings: Settings, delivery: Delivery) -> tuple[str, ...] | str:
    """The subjects that a webhook's delivery brings up, or one sentence that says why there is nothing to do.

    A merge request is named by its number (`merge-request:!7`): its branch is not always in the delivery.
    """
    reason = elsewhere(settings, delivery.project, delivery.project_id, "it happened")
    if delivery.comment is not None:
        reason = not_ours(settings, delivery.comment)
    if reason:
        return reason
    if delivery.comment is not None:
        dashboard = delivery.comment.thread is Thread.DASHBOARD
        return (DASHBOARD,) if dashboard else (_merge_request(delivery.comment.iid),)
    named = tuple(map(_merge_request, dict.fromkeys(delivery.merge_requests)))
    return (*named, COLLECT) if delivery.everything else named


def _merge_request(iid: int) -> str:
    return f"merge-request:!{iid}"


def not_ours(settings: Settings, event: Event) -> str:
    """Why a comment needs no look; empty where it does."""
    reason = elsewhere(settings, event.project, event.project_id, "the comment stands")
    if reason:
        return reason
    if event.thread is Thread.DASHBOARD and not settings.dashboard_title:
        return "the comment stands on an issue, and there is no dashboard"
    if "@" not in event.text and not parse(event.text, settings.commands.prefix, settings.bot.name):
        return "the comment has no command in it"
    return ""


def elsewhere(settings: Settings, name: str, number: str, what: str) -> str:
    """Why something of a project is none of the bot's business; empty where it is the config project."""
    project = str(settings.forge.options.get("project")).strip("/")
    return "" if project.casefold() in (name.casefold(), number) else f"{what} in {name}, not in {project}"
