"""Trigger definitions from YAML to the model, and what `validate` says of those that cannot be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from config_world import SCHEMAS, MemoryCache, MemoryTree, findings
from config_world import VALID as PLAIN

from bot.config.load import Loaded, load
from bot.config.settings_file import read_settings
from bot.model.servers import SecretRef
from bot.model.triggers import (
    Batch,
    DateRange,
    DayOfMonth,
    HealthCheck,
    IsoWeek,
    Job,
    JobsFrom,
    NewBuild,
    Retry,
    Schedule,
    Trigger,
    Wait,
)

PATH = "triggers/nightly.yml"
HEAD = "$schema: /trigger-1.json\nname: nightly\nowners: [alice]\ninstance: {$ref: /instances/prow.yml}\n"
PROW = "$schema: /instance-1.json\nname: prow\nprovider: gangway\nurl: https://prow.example.com\ntoken: {env: T}\n"
VALID = {**PLAIN, "instances/prow.yml": PROW}
FULL = """\
on: {schedule: {cron: "0 6 * * 1", timezone: Europe/Prague}, command: true}
with: {job: deploy}
conditions:
- dayOfMonth: {max: 7}
- isoWeek: {every: 2, offset: 1}
- dateRange: {from: 2026-01-01}
- dateRange: {to: 2026-12-31}
- newBuild: {url: "https://releases.example.com/latest", field: name, token: {env: RELEASES}}
- newBuild: {url: "https://releases.example.com/other", field: name}
healthCheck: {attempts: 5}
retry: {interval: 90s}
batch: {size: 5, pause: 10m, wait: finished}
failFast: true
cancelOnError: true
timeout: 2h
jobs:
- {name: a, activeAfter: 2026-01-01, activeUntil: "2026-03-31T12:00:00+02:00", once: true, with: {job: other}}
- {name: b, active: false, schedule: "0 0 0 * * *", after: [a]}
"""


def loaded(files: dict[str, str]) -> Loaded:
    """The model of a whole repository."""
    tree = MemoryTree(files)
    settings, _ = read_settings(tree, SCHEMAS)
    assert settings is not None
    return load(tree, settings, SCHEMAS, MemoryCache())


def definition(body: str) -> Trigger:
    """The model of a definition in the small world."""
    return loaded({**VALID, PATH: HEAD + body}).desired.triggers["nightly"]


def rules(body: str) -> list[str]:
    """Line, column and rule of every finding of a definition."""
    found = findings({**VALID, PATH: HEAD + body})
    return [f"{each.line}:{each.column} {each.rule}" for each in found]


def test_everything_that_a_definition_may_say() -> None:
    found = definition(FULL)
    assert rules(FULL) == []
    assert (found.instance.name, found.owners, found.file, found.command) == ("prow", ("alice",), PATH, True)
    assert (found.schedule, found.timezone) == (Schedule("0 6 * * 1", "Europe/Prague"), "Europe/Prague")
    assert found.conditions == (
        DayOfMonth(1, 7),
        IsoWeek(2, 1),
        DateRange(date(2026, 1, 1), None),
        DateRange(None, date(2026, 12, 31)),
        NewBuild("https://releases.example.com/latest", "name", SecretRef(env="RELEASES")),
        NewBuild("https://releases.example.com/other", "name"),
    )
    assert found.health_check == HealthCheck(5, timedelta(seconds=60))
    assert (found.retry, found.batch) == (
        Retry(3, timedelta(seconds=90)),
        Batch(5, timedelta(minutes=10), Wait.FINISHED),
    )
    assert (found.fail_fast, found.cancel_on_error, found.timeout) == (True, True, timedelta(hours=2))
    assert found.jobs == (
        Job("a", True, date(2026, 1, 1), datetime(2026, 3, 31, 10, tzinfo=UTC), once=True, options={"job": "other"}),
        Job("b", active=False, schedule=Schedule("0 0 0 * * *", "Europe/Prague"), after=("a",)),
    )
    assert (found.staged, found.options) == (False, {"job": "deploy"})


def test_what_a_definition_need_not_say() -> None:
    found = definition("jobs: [{name: a}]\n")
    assert found == Trigger("nightly", found.instance, ("alice",), found.stages, file=PATH)
    assert definition("on: {command: true}\n").jobs == ()


def test_jobs_in_a_triple_store_run_one_after_another_and_end_with_their_time() -> None:
    """Unless the definition says otherwise."""
    store = "$schema: /instance-1.json\nname: prow\nprovider: sparql\nurl: http://store.example.com/sparql\n"
    job = "with: {graph: 'urn:g', operation: 'urn:o', taskOperation: 'urn:t'}\njobs: [{name: a}]\n"
    for more, batch in (("", Batch(1, wait=Wait.FINISHED)), ("batch: {size: 9}\n", Batch(9))):
        files = {**VALID, "instances/prow.yml": store, PATH: HEAD + job + more}
        found = loaded(files).desired.triggers["nightly"]
        assert (found.batch, found.cancel_on_error) == (batch, True)


def test_stages_are_kept_apart() -> None:
    found = definition("stages: [{name: one, jobs: [{name: a}]}, {name: two, jobs: [{name: b}]}]\n")
    assert (found.staged, [stage.name for stage in found.stages]) == (True, ["one", "two"])


def test_jobs_may_come_from_elsewhere() -> None:
    body = "jobsFrom: {folder: {env: PROFILE}, key: {env: LIST}, format: gangway-list}\n"
    assert definition(body).jobs_from == JobsFrom("gangway-list", "", "PROFILE", "LIST")
    assert not definition(body).read


RELEASE = """{"version": "1.2.0-SNAPSHOT", "scmHttpUrl": "https://github.com/acme/",
 "components": [{"name": "core", "version": ""}, {"name": "docs", "version": "1.1.0"}],
 "buildDependencies": [["docs"], ["core"]]}"""
CIRCLE = {
    **VALID,
    "instances/circle.yml": "$schema: /instance-1.json\nname: circle\nprovider: circleci\n"
    "url: https://circleci.com\ntoken: {env: T}\n",
}
AT_CIRCLE = HEAD.replace("/instances/prow.yml", "/instances/circle.yml")
FROM_FILE = "jobsFrom: {file: lists/release.json, format: gravitee-release}\n"


def test_jobs_may_stand_in_a_file_of_the_config() -> None:
    files = {**CIRCLE, PATH: AT_CIRCLE + FROM_FILE, "lists/release.json": RELEASE}
    assert list(findings(files)) == []
    found = loaded(files).desired.triggers["nightly"]
    assert (found.jobs_from, found.read) == (JobsFrom("gravitee-release", "lists/release.json"), True)
    assert (found.version, [job.version for job in found.jobs]) == ("1.2.0-SNAPSHOT", ["1.2.0-SNAPSHOT"])
    assert (found.staged, found.fail_fast, [stage.name for stage in found.stages]) == (True, True, ["set 0", "set 1"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, ["there is no file `lists/release.json`"]),
        ("{", ["lists/release.json: the manifest is no JSON"]),
        (RELEASE.replace("1.1.0", "1-SNAPSHOT"), ["lists/release.json: the component `docs`: 1-SNAPSHOT"]),
        ("{}", ["lists/release.json: `version`", "lists/release.json: `components`", "lists/release.json: `buildDep"]),
        (
            '{"version": "1.0.0", "components": [' + ",".join("{}" for _ in range(30)) + '], "buildDependencies": []}',
            ["lists/release.json: components["] * 20 + ["lists/release.json: and 40 more faults"],
        ),
    ],
)
def test_a_list_with_faults_is_a_finding_and_starts_nothing(content: str | None, expected: list[str]) -> None:
    files = {**VALID, PATH: HEAD + FROM_FILE, **({"lists/release.json": content} if content is not None else {})}
    messages = sorted(each.message for each in findings(files) if each.file == PATH)
    assert len(messages) == len(expected)
    for message, words in zip(messages, sorted(expected), strict=True):
        assert message.startswith(words)
    assert loaded(files).desired.invalid_triggers.keys() == {PATH}


def test_two_definitions_do_not_release_one_manifest() -> None:
    other = (AT_CIRCLE + FROM_FILE).replace("name: nightly", "name: other")
    files = {**CIRCLE, PATH: AT_CIRCLE + FROM_FILE, "triggers/other.yml": other, "lists/release.json": RELEASE}
    assert [(each.file, each.rule) for each in findings(files)] == [
        (PATH, "bad-job-list"),
        ("triggers/other.yml", "bad-job-list"),
    ]
    assert "is released by triggers/other.yml as well" in findings(files)[0].message
    assert loaded(files).desired.triggers == {}
    staging = files["triggers/other.yml"] + "with: {parameters: {gio_action: nexus_staging}}\n"
    assert list(findings({**files, "triggers/other.yml": staging})) == []
    jobs = {path: text.replace("gravitee-release", "gangway-list") for path, text in files.items()}
    assert not any("released by" in each.message for each in findings({**jobs, "lists/release.json": "[]"}))


def test_a_definition_without_an_instance_starts_nothing_and_says_so() -> None:
    lonely = "$schema: /trigger-1.json\nname: nightly\nowners: [alice]\njobs: [{name: a}]\n"
    (found,) = findings({**VALID, PATH: lonely})
    assert (found.rule, found.severity) == ("missing-instance", "error")
    assert set(loaded({**VALID, PATH: lonely}).desired.invalid_triggers) == {PATH}


def test_a_list_is_judged_when_its_definition_and_instance_are_right() -> None:
    broken = {**VALID, PATH: HEAD + FROM_FILE + "timeout: soon\n", "lists/release.json": "{"}
    assert {each.rule for each in findings(broken) if each.file == PATH} == {"bad-duration"}


def test_a_list_is_not_judged_while_its_instance_is_wrong() -> None:
    files = {**CIRCLE, PATH: AT_CIRCLE + FROM_FILE, "lists/release.json": "{"}
    broken = {**files, "instances/circle.yml": files["instances/circle.yml"] + "rateLimit: often\n"}
    assert {each.file for each in findings(broken)} == {"instances/circle.yml"}


def test_the_jobs_of_a_list_are_judged_by_their_provider() -> None:
    without = RELEASE.replace("https://github.com/acme/", "https://example.com/")
    files = {**CIRCLE, PATH: AT_CIRCLE + FROM_FILE, "lists/release.json": without}
    (found,) = (each for each in findings(files) if each.file == PATH)
    assert found.rule == "bad-job-list"
    assert "the job `core`" in found.message


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("jobs: [{name: a}, {name: a}]\n", ["5:26 duplicate-job"]),
        ("jobs: [{name: a, after: [b]}]\n", ["5:26 unknown-job"]),
        ("jobs: [{name: a, after: [a]}]\n", ["5:26 unknown-job"]),
        (
            "jobs: [{name: b, after: [c]}, {name: c, after: [b]}, {name: a, after: [b]}]\n",
            ["5:25 job-cycle", "5:48 job-cycle"],
        ),
        ("stages: [{name: x, jobs: [{name: a, after: [b]}]}, {name: y, jobs: [{name: b}]}]\n", ["5:45 job-cycle"]),
        ("stages: [{name: x, jobs: [{name: b}]}, {name: y, jobs: [{name: a, after: [b]}]}]\n", []),
        ("jobs: [{name: a, conditions: [{dateRange: {from: 2026-02-31}}]}]\n", ["5:50 bad-date"]),
        ("jobs: [{name: a, activeAfter: 2026-02-31}]\n", ["5:31 bad-date"]),
        ("jobs: [{name: a, activeAfter: 2026-02-02, activeUntil: 2026-02-01}]\n", ["5:56 bad-date"]),
        ("jobs: [{name: a, activeAfter: 2026-02-02, activeUntil: 2026-02-02}]\n", []),
        ("conditions: [{dateRange: {from: 2026-02-30}}]\njobs: [{name: a}]\n", ["5:33 bad-date"]),
        ("conditions: [{dateRange: {from: 2026-02-28}}]\njobs: [{name: a}]\n", []),
        ("jobs: [{name: a, active: 'true'}]\n", ["5:26 wrong-type"]),
        ("conditions: [{dayOfMonth: {max: 7}, isoWeek: {every: 2}}]\n", ["5:14 bad-value"]),
        ("jobs: [{name: ''}]\n", ["5:15 bad-value"]),
        ("jobs: [{nam: a}]\n", ["5:8 missing-key", "5:9 unknown-key"]),
        ("jobs: [{name: 1}, {name: 1}]\n", ["5:15 wrong-type", "5:26 wrong-type"]),
    ],
)
def test_gw_1_and_gw_2_what_cannot_be_is_said_with_its_place(body: str, expected: list[str]) -> None:
    assert rules(body) == expected


def test_a_definition_without_a_server_is_no_definition() -> None:
    tree = {**VALID, PATH: "$schema: /trigger-1.json\nname: nightly\nowners: [alice]\njobs: [{name: a}]\n"}
    assert loaded(tree).desired.triggers == {}
