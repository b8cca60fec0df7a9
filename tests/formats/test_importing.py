"""`trigger import`: files of other tools become definitions that validate as they are (GW-16, BJ-1, RP-1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml_rs
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.memory_git import MemoryTree

from bot.config.trigger_definitions import trigger_of
from bot.config.validate import validate
from bot.formats.importing import Imported, _condition, imported
from bot.formats.job_lists import expanded
from bot.model.servers import Instance
from bot.model.triggers import DateRange, DayOfMonth, IsoWeek, Job, JobsFrom, Trigger
from bot.providers.resources import PACKAGE, schemas
from bot.render.definitions import definition_text, yaml_text

INSTANCES = {
    "gangway": "provider: gangway\nurl: https://gangway.example.com\n",
    "store": "provider: sparql\nurl: https://store.example.com\n",
    "circleci": "provider: circleci\nurl: https://circleci.example.com\n",
}
WORLD = {
    "saasbot.yml": (
        "$schema: /settings-1.json\nbranch: main\nforge: {provider: local, path: ../forge}\n"
        'state: {url: "file:../state.json"}\n'
    )
} | {f"instances/{name}.yml": f"$schema: /instance-1.json\nname: {name}\n{rest}" for name, rest in INSTANCES.items()}
OPERATION = "http://redpencil.data.gift/id/jobs/concept/JobOperation/deltas/"
ENTRY: dict[str, Any] = {
    "name": "people",
    "jobsGraph": "http://mu.semte.ch/graphs/system/jobs",
    "dumpFileCreationJobOperation": f"{OPERATION}dump/people",
    "initialPublicationGraphSyncJobOperation": f"{OPERATION}sync/people",
    "healingJobOperation": f"{OPERATION}healing/people",
    "cronPatternDumpJob": "0 0 0 1 1 *",
    "startInitialSync": True,
}
MANIFEST: dict[str, Any] = {
    "name": "Gravitee.io APIM",
    "version": "1.2.0-SNAPSHOT",
    "scmHttpUrl": "https://github.com/acme/",
    "components": [{"name": "gateway", "version": "1.2.0-SNAPSHOT"}, {"name": "portal", "version": "1.1.0"}],
    "buildDependencies": [["portal"], ["gateway"]],
}


class NoCache:
    """A `bot.ports.Cache` that keeps nothing."""

    def get(self, name: str) -> bytes | None:
        del name
        return None

    def put(self, name: str, data: bytes) -> None:
        del name, data


def read(document: Any, name: str = "jobs.json", trigger: str = "", instance: str = "gangway") -> Imported:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = imported(name, data, trigger=trigger, instance=f"/instances/{instance}.yml")
    assert isinstance(found, Imported), found
    return found


def faults(document: Any, name: str = "jobs.json") -> tuple[str, ...]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = imported(name, data, trigger="", instance="/instances/gangway.yml")
    assert isinstance(found, tuple), found
    return found


def assert_valid(found: Imported, more: Mapping[str, str] | None = None) -> None:
    """Written into a config repository as they are, the definitions have no finding, not even a warning."""
    names = [document["name"] for document in found.documents]
    files = WORLD | {
        f"triggers/{name}.yml": definition_text(document) for name, document in zip(names, found.documents, strict=True)
    }
    assert len(set(names)) == len(names)
    contents = {path: text.encode() for path, text in sorted((files | dict(more or {})).items())}
    assert validate(MemoryTree(None, contents), NoCache(), schemas()) == ()


def jobs_of(document: Mapping[str, Any]) -> Iterable[Job]:
    return trigger_of(document, Instance("x", "gangway"), "triggers/x.yml").jobs


LIST: list[dict[str, Any]] = [
    {"job_name": "periodic-ci-a", "active": True, "active_until": "2026-03-31"},
    {"job_name": "periodic-ci-b", "active": False, "activeAfter": "2026-01-01T06:00:00+01:00"},
    {
        "trigCond": [
            {
                "trigCondFlgs": 1,
                "trigCondStep": "trigger-jobs-trig-time-eval",
                "trigCondPars": {"datePars": ["+%V"], "mathExpr": ["timeVal % 2"]},
            },
            {
                "trigCondFlgs": 1,
                "trigCondStep": "trigger-jobs-trig-time-eval",
                "trigCondPars": {"datePars": ["+%d"], "mathExpr": ["timeVal > 7"]},
            },
        ],
        "jobList": [{"jobType": "periodic", "jobName": "periodic-ci-c", "active": True}],
        "postTask": [{"postTaskFlgs": 1, "postTaskStep": "trigger-jobs-post-message"}],
    },
]


def test_gw_16_a_job_list_becomes_a_definition_with_the_same_jobs() -> None:
    found = read(LIST, "lists/nightly jobs.json")
    assert [dict(document) for document in found.documents] == [
        {
            "$schema": "/trigger-1.json",
            "name": "nightly-jobs",
            "instance": {"$ref": "/instances/gangway.yml"},
            "on": {"command": True},
            "jobs": [
                {"name": "periodic-ci-a", "activeUntil": "2026-03-31"},
                {"name": "periodic-ci-b", "active": False, "activeAfter": "2026-01-01T05:00:00Z"},
                {
                    "name": "periodic-ci-c",
                    "conditions": [{"isoWeek": {"every": 2, "offset": 1}}, {"dayOfMonth": {"min": 8}}],
                },
            ],
        }
    ]
    assert found.notes == (
        "[2].postTask[0]: the task `trigger-jobs-post-message` is not carried out here",
        "when it starts is not in the list but in the CI job around it: set `on.schedule`",
        "set `owners`: who may start it by command (`trigger start`, or in a comment)",
    )
    assert_valid(found)


def test_gw_16_the_definition_and_the_list_itself_have_the_same_jobs() -> None:
    plain = [LIST[0], LIST[1], {key: value for key, value in LIST[2].items() if key != "postTask"}]
    source = Trigger("x", Instance("x", "gangway"), jobs_from=JobsFrom("gangway-list", "jobs.json"))
    made = expanded(source, json.dumps(plain).encode())
    assert isinstance(made, Trigger)
    assert made.jobs == jobs_of(read(plain).documents[0])


@pytest.mark.parametrize(
    ("name", "conditions"),
    [
        ("self-managed-lp-interop-jobs", [{"dayOfMonth": {"min": 8}}]),
        ("self-managed-lp-interop-jobs.json", [{"dayOfMonth": {"min": 8}}]),
        ("4.20-self-managed-lp-interop-jobs-fips.json", [{"dayOfMonth": {"max": 7}}]),
        ("self-managed-lp-interop-jobs-zstream.json", None),
        ("self-managed-lp-interop-jobs-zstream-fips.json", None),
        ("rosa-sts-hypershift-lp-interop-jobs", None),
    ],
)
def test_the_days_of_a_list_come_from_its_name(name: str, conditions: Any) -> None:
    found = read(LIST[:1], name)
    assert found.documents[0].get("conditions") == conditions
    said = [note for note in found.notes if "list's name" in note or "newBuild" in note]
    assert len(said) == ("self-managed" in name)
    assert_valid(found)


@pytest.mark.parametrize(
    ("name", "trigger", "expected"),
    [
        ("a/b/job list.v2.json", "", "job-list.v2"),
        (".env", "", "env"),
        ("C:\\lists\\jobs.json", "", "jobs"),
        ("", "", "imported"),
        ("jobs", "mine", "mine"),
    ],
)
def test_a_definition_is_called_as_asked_or_as_its_file(name: str, trigger: str, expected: str) -> None:
    assert read(LIST[:1], name, trigger).documents[0]["name"] == expected


def test_bj_1_an_entry_becomes_a_definition() -> None:
    found = read([ENTRY], instance="store")
    (document,) = found.documents
    operations = {kind: f"{OPERATION}{word}/people" for kind, word in KINDS.items()}
    assert document["with"] == {"graph": ENTRY["jobsGraph"], "operations": operations}
    assert (document["name"], document["on"]) == ("people", {"command": True})
    assert document["jobs"] == [
        {"name": "initial-sync", "schedule": "0 30 * * * *", "once": True, "with": {"kind": "initial-sync"}},
        {"name": "dump", "schedule": "0 0 0 1 2 *", "with": {"kind": "dump"}},
        {"name": "healing", "schedule": "0 0 0 * * *", "after": ["initial-sync"], "with": {"kind": "healing"}},
    ]
    assert [note.split(":")[0] for note in found.notes] == [
        "[0]",
        "people",
        "the instance is the triple store",
        "set `owners`",
    ]
    assert_valid(found)


KINDS = {"initial-sync": "sync", "dump": "dump", "healing": "healing"}


def test_bj_1_several_entries_become_several_definitions() -> None:
    found = read([ENTRY, ENTRY | {"name": "places", "startInitialSync": False}], instance="store")
    assert [document["name"] for document in found.documents] == ["people", "places"]
    assert "places: the initial sync is not active; remove `active: false` when it is to start" in found.notes
    assert_valid(found)
    named = read([ENTRY, ENTRY | {"name": "places"}], trigger="deltas", instance="store")
    assert [document["name"] for document in named.documents] == ["deltas-people", "deltas-places"]
    creators = [document["with"]["errorCreator"].rsplit("/", 1)[1] for document in named.documents]
    assert creators == ["people", "places"], "errors are found under the name that they had"
    assert_valid(named)


def test_bj_1_environment_variables_become_a_definition() -> None:
    lines = (
        f"DUMP_FILE_CREATION_JOB_OPERATION={OPERATION}dump\nHEALING_JOB_OPERATION={OPERATION}healing\n"
        "JOB_TIMEOUT_MINUTES=60\nMU_SPARQL_ENDPOINT=http://virtuoso:8890/sparql\n"
    )
    found = read(lines.encode(), "config/initiator.env", instance="store")
    (document,) = found.documents
    assert (document["name"], document["timeout"], document["with"]["timeoutMinutes"]) == ("initiator", "60m", 60)
    assert [job["name"] for job in document["jobs"]] == ["dump", "healing"]
    assert "`MU_SPARQL_ENDPOINT` is none of the initiator's own settings, and is left aside" in found.notes
    assert_valid(found)
    object_ = read(dict(line.split("=", 1) for line in lines.splitlines()), "initiator.json", instance="store")
    assert object_.documents == found.documents


def test_rp_1_a_manifest_stays_a_file_and_is_named() -> None:
    found = read(MANIFEST, "release.json", instance="circleci")
    assert [dict(document) for document in found.documents] == [
        {
            "$schema": "/trigger-1.json",
            "name": "Gravitee.io-APIM",
            "instance": {"$ref": "/instances/circleci.yml"},
            "on": {"command": True},
            "jobsFrom": {"file": "release.json", "format": "gravitee-release"},
        }
    ]
    assert len(found.notes) == 3
    assert_valid(found, {"release.json": json.dumps(MANIFEST)})
    bare = {key: value for key, value in MANIFEST.items() if key not in ("name", "scmHttpUrl")}
    unnamed = read(bare, "release.json", instance="circleci")
    assert unnamed.documents[0]["name"] == "release"
    assert "set `with.project`" in unnamed.notes[1]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "the list is empty: there is nothing to import"),
        ([{"jobList": []}], "the list has no jobs: there is nothing to import"),
        (LIST[0], "it is one element of a job list: put it into a list, as `trigger-jobs` wants it"),
        (ENTRY, "it is one entry of background settings: put it into a list, as the initiator wants it"),
        (MANIFEST | {"version": 1}, "`version`, the manifest's own, is not there or is not three numbers with dots"),
        ([{"job_name": 1}], "[0]: `job_name` is missing or empty"),
        ([ENTRY | {"name": ""}], "[0]: `name` is missing"),
        (b"jobs:\n- name: a\n", "line 1 is neither JSON nor KEY=VALUE"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[1, 1", "it is no JSON: "),
    ],
)
def test_what_cannot_be_imported_is_refused_with_all_reasons(document: Any, fault: str) -> None:
    assert faults(document)[0].startswith(fault)


def test_the_path_of_an_instance_is_made_absolute() -> None:
    found = imported("x.json", json.dumps(LIST[:1]).encode(), trigger="", instance="instances/gangway.yml")
    assert isinstance(found, Imported)
    assert found.documents[0]["instance"] == {"$ref": "/instances/gangway.yml"}


def test_conditions_that_no_list_knows_are_not_written() -> None:
    assert _condition(DayOfMonth(2, 3)) == {"dayOfMonth": {"min": 2, "max": 3}}
    assert _condition(IsoWeek(2)) == {"isoWeek": {"every": 2}}
    with pytest.raises(TypeError):
        _condition(DateRange())


def test_a_definition_begins_with_a_line_for_editors_and_is_plain_yaml() -> None:
    text = definition_text(read(LIST[:1], "nightly.json").documents[0])
    assert text == (
        "# yaml-language-server: $schema=../.saasbot/schemas/trigger-1.json\n"
        "$schema: /trigger-1.json\n"
        "name: nightly\n"
        "instance:\n"
        "  $ref: /instances/gangway.yml\n"
        "on:\n"
        "  command: true\n"
        "jobs:\n"
        "- name: periodic-ci-a\n"
        "  activeUntil: '2026-03-31'\n"
    )


ODD = [
    "yes",
    "012",
    "1e3",
    "0x1",
    "null",
    "~",
    "a: b",
    "- a",
    "# a",
    "@a",
    "*",
    "é",
    "2026-01-01",
    "a\nb",
    "",
    "!x",
    "{a",
]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(ODD) | st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))))
def test_every_name_is_read_back_as_it_was_written(names: list[str]) -> None:
    document = {"$schema": "/trigger-1.json", "jobs": [{"name": name, "with": {name or "x": True}} for name in names]}
    assert yaml_rs.loads(definition_text(document), parse_datetime=False) == document


@settings(max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"job_name": st.text(alphabet="abc-0", min_size=1, max_size=80), "active": st.booleans()},
            optional={
                "activeAfter": st.dates().map(str),
                "active_until": st.datetimes(timezones=st.just(UTC), min_value=datetime(1900, 1, 1)).map(  # noqa: DTZ001 - hypothesis wants it so
                    datetime.isoformat
                ),
            },
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda each: each["job_name"],
    )
)
def test_gw_16_any_list_is_imported_as_it_is_or_refused(elements: list[dict[str, Any]]) -> None:
    found = imported("x.json", json.dumps(elements).encode(), trigger="", instance="/instances/gangway.yml")
    if isinstance(found, tuple):
        assert all("ends before it begins" in fault for fault in found)
        return
    text = yaml_rs.loads(definition_text(found.documents[0]), parse_datetime=False)
    assert isinstance(text, dict)
    source = Trigger("x", Instance("x", "gangway"), jobs_from=JobsFrom("gangway-list", "x.json"))
    made = expanded(source, json.dumps(elements).encode())
    assert isinstance(made, Trigger)
    assert tuple(jobs_of(text)) == made.jobs


PAGES = {"coming-from-trigger-jobs": "gangway", "coming-from-background-jobs": "store"}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_an_import_makes(page: str) -> None:
    """The jobs of the definition on the page are those of the list above it, and both are valid."""
    text = (PACKAGE.parent / "docs" / f"{page}.md").read_text(encoding="utf-8")
    before, after = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("json", "yaml"))
    shown = yaml_rs.loads(after, parse_datetime=False)
    assert isinstance(shown, dict)
    found = read(before.encode(), instance=PAGES[page])
    assert tuple(jobs_of(found.documents[0])) == tuple(jobs_of(shown))
    assert found.documents[0].get("with") == shown.get("with")
    assert_valid(Imported((shown,)))


def test_values_are_written_as_a_person_would() -> None:
    assert yaml_text({"on": True, "after": ["a"], "schedule": "0 0 0 * * *"}) == (
        "on: true\nafter:\n- a\nschedule: 0 0 0 * * *\n"
    )


@pytest.mark.parametrize("name", ["a\u2028b", "a\x85b", "a\nb", "- a", "#x", "'\"", "yes", "\u00e9"])
def test_names_are_read_back_as_they_were(name: str) -> None:
    document = {"$schema": "/trigger-1.json", "name": name, "jobs": [{"name": name, "with": {"x": [name, 1, True]}}]}
    assert yaml_rs.loads(definition_text(document)) == document
