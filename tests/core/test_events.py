"""What a forge tells, as subjects to look at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.core.events import not_ours, subjects
from bot.model.observed import Delivery, Event
from bot.model.state import Thread
from bot.settings import ForgeSettings, Settings, StateSettings

SETTINGS = Settings(
    "main", ForgeSettings("gitlab", {"project": "/acme/Config"}), StateSettings("file:s"), dashboard_title="Board"
)
HERE = ("Acme/config", "12")


def said(text: str, thread: Thread = Thread.MERGE_REQUEST, project: str = "acme/config") -> Event:
    return Event(project, thread, 7, text, "12")


def test_a_comment_with_a_command_brings_its_thread_up() -> None:
    assert subjects(SETTINGS, Delivery(*HERE, said("/saasbot hold"))) == ("merge-request:!7",)
    assert subjects(SETTINGS, Delivery(*HERE, said("@robot hold", Thread.DASHBOARD))) == ("dashboard",)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (said("fine"), "no command"),
        (said("/saasbot hold", project="acme/other"), "the comment stands in acme/other, not in acme/Config"),
    ],
)
def test_any_other_does_not(event: Event, why: str) -> None:
    event = replace(event, project_id="13")
    found = subjects(SETTINGS, Delivery(*HERE, event))
    assert why in found
    assert found == not_ours(SETTINGS, event)


def test_without_a_dashboard_issues_say_nothing() -> None:
    found = subjects(replace(SETTINGS, dashboard_title=""), Delivery(*HERE, said("/saasbot help", Thread.DASHBOARD)))
    assert "no dashboard" in found


def test_merge_requests_and_everything_else() -> None:
    assert subjects(SETTINGS, Delivery(*HERE, merge_requests=(3, 4, 3))) == ("merge-request:!3", "merge-request:!4")
    assert subjects(SETTINGS, Delivery(*HERE, merge_requests=(3,), everything=True)) == ("merge-request:!3", "collect")
    assert subjects(SETTINGS, Delivery("acme/other", "13", everything=True)) == (
        "it happened in acme/other, not in acme/Config"
    )


def test_a_project_may_be_named_by_its_number() -> None:
    settings = replace(SETTINGS, forge=ForgeSettings("gitlab", {"project": "12"}))
    assert subjects(settings, Delivery("somewhere/else", "12", everything=True)) == ("collect",)
