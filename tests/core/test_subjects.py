"""Subjects as people write them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_values import settings

from bot.core.subjects import subject_named
from bot.errors import WrongUsage
from bot.settings import ForgeSettings

LOCAL = settings()
GITLAB = replace(LOCAL, forge=ForgeSettings("gitlab", {"project": "acme/config"}))
NUMBERED = replace(LOCAL, forge=ForgeSettings("gitlab", {"project": "4711"}))


@pytest.mark.parametrize(
    "text", ["target:a/b/c", "trigger:nightly", "merge-request:saasbot/a.yml", "dashboard", "collect"]
)
def test_a_subject_is_taken_as_it_is(text: str) -> None:
    assert subject_named(text, GITLAB) == text


@pytest.mark.parametrize(
    "text",
    [
        "!7",
        "https://gitlab.example.com/acme/config/-/merge_requests/7",
        "https://gitlab.example.com/Acme/config/-/merge_requests/7/diffs#note_1",
        "https://github.example.com/acme/config/pull/7?w=1",
    ],
)
def test_a_merge_request_may_be_named_by_its_number_or_page(text: str) -> None:
    assert subject_named(text, GITLAB) == "merge-request:!7"


def test_where_the_project_has_no_name_any_page_will_do() -> None:
    url = "https://gitlab.example.com/any/where/-/merge_requests/7"
    assert subject_named(url, NUMBERED) == "merge-request:!7"
    assert subject_named("file:///forge/merge_requests/7.json", LOCAL) == "merge-request:!7"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "job:a/b", "7", "https://gitlab.example.com/acme/config", "target:", "!x"]
)
def test_what_is_no_subject_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(WrongUsage, match="is no subject") as refused:
        subject_named(text, GITLAB)
    assert "target:ID" in refused.value.hint


def test_a_page_of_another_project_is_refused() -> None:
    with pytest.raises(WrongUsage, match="no merge request of acme/config"):
        subject_named("https://gitlab.example.com/acme/other/-/merge_requests/7", GITLAB)
