"""Lists of jobs behind `jobsFrom`, put into their definition (DESIGN section 7)."""

from __future__ import annotations

import json

import pytest

from bot.formats.job_lists import FORMATS, expanded
from bot.model.servers import Instance
from bot.model.triggers import Job, JobsFrom, Stage, Trigger

CIRCLECI = Instance("circleci", "circleci", "https://circleci.example.com")


def trigger(format_: str) -> Trigger:
    return Trigger("nightly", CIRCLECI, jobs_from=JobsFrom(format_, "list.json"))


def test_a_definition_without_a_list_stays_as_it_is() -> None:
    bare = Trigger("nightly", CIRCLECI)
    assert expanded(bare, b"nothing") is bare


def test_jobs_of_its_own_beside_a_list_are_a_fault_and_not_dropped() -> None:
    both = Trigger("nightly", CIRCLECI, (), (Stage("", (Job("a"),)),), jobs_from=JobsFrom("gangway-list", "list.json"))
    assert expanded(both, b"[]") == (
        "its definition has jobs of its own beside `jobsFrom`: only one of the two can be",
    )


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_is_read_or_refused_with_reasons(format_: str) -> None:
    found = expanded(trigger(format_), b"{")
    assert isinstance(found, tuple)
    assert "no JSON" in found[0]


def test_a_format_that_is_none_is_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="ini-file"):
        expanded(trigger("ini-file"), b"")


def test_rp_2_a_release_is_a_stage_for_each_row_also_for_those_with_nothing_to_release() -> None:
    manifest = {
        "name": "Example",
        "version": "1.2.0-SNAPSHOT",
        "scmHttpUrl": "https://github.com/acme/",
        "components": [
            {"name": "web", "since": "1.1.0"},
            {"name": "old", "version": "1.0.0"},
            {"name": "api", "version": "2.0.1-SNAPSHOT"},
        ],
        "buildDependencies": [["old"], ["api"], ["web"]],
    }
    found = expanded(trigger("gravitee-release"), json.dumps(manifest).encode())
    assert isinstance(found, Trigger)
    assert (found.staged, found.process, found.version, found.read) == (True, "Example", "1.2.0-SNAPSHOT", True)
    assert [(stage.name, [(job.name, job.version) for job in stage.jobs]) for stage in found.stages] == [
        ("set 0", []),
        ("set 1", [("api", "2.0.1-SNAPSHOT")]),
        ("set 2", [("web", "1.2.0-SNAPSHOT")]),
    ]
    assert found.jobs[0].options["project"] == "gh/acme/api"
