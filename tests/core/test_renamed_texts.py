"""Renames with a merge request open: its title and description follow, whether its branch has to move or not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_values import sha, state

from bot.core.branches import TEXTS
from bot.core.renames import renamed
from bot.model.state import Edit, MergeRequestState, TargetState

OLD, NEW = "svc/web/old", "svc/web/new"
RECORD = MergeRequestState(
    "saasbot/web", 1, "web", 1, (Edit(OLD, "web.yml", sha("a"), sha("b")),), sha("base"), sha("head")
)


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        (RECORD, TEXTS),
        (replace(RECORD, asked="discard"), "discard"),
        (replace(RECORD, merged=True), ""),
        (replace(RECORD, edits=(replace(RECORD.edits[0], target="svc/web/other"),)), ""),
    ],
)
def test_its_texts_are_asked_for_where_it_is_open_and_nothing_else_was_asked(
    record: MergeRequestState, asked: str
) -> None:
    known = state(TargetState(OLD, "web.yml", "main", sha("a"), "", "1:c"), merge_requests={"saasbot/web": record})
    found = renamed(known, OLD, NEW).merge_requests["saasbot/web"]
    assert (found.asked, found.edits[0].target) == (asked, record.edits[0].target.replace("old", "new"))
