"""Reports of rounds in every form: the contract's document, lines for logs, tables for terminals and comments."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from worlds import planted

from bot.model.rounds import JobReport, Result, SetReport
from bot.model.runs import Run, RunStatus
from bot.render.comments import LARGEST_TEXT, ChangeView, DashboardView, Section, change_report, dashboard
from bot.render.rounds import job_text, level_of, set_document, set_line, set_text, sets_markdown, sets_text

BEGAN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=5)
CIRCLE: dict[str, Any] = {
    "pipeline_guid": "guid-web",
    "project_slug": "gh/acme/web",
    "branch": "1.2.x",
    "number": 7,
    "state": "created",
    "created_at": "2026-03-02T10:00:01Z",
    "errors": [],
    "workflows": [{"id": "w", "name": "release", "status": "failed", "jobs": []}],
    "http_link": "https://ci.example.com/7",
    "error": {"pipeline": "guid-web", "workflow": "release", "status": "failed", "message": "failed: release"},
}
RP_9 = (
    "process",
    "version",
    "set_index",
    "result",
    "error",
    "started_at",
    "finished_at",
    "pipelines",
    "pipeline_links",
)
OWN = ("schema", "trigger", "round", "set", "text", "jobs", "not_started", "rehearsal")
PIPELINE = ("pipeline_guid", "project_slug", "branch", "number", "state", "created_at", "errors", "workflows")


def job(name: str = "web", word: str = "succeeded", **fields: Any) -> JobReport:
    """A job whose run was taken by its server."""
    status = RunStatus(word)
    run = Run(
        key=f"key-{name}",
        number=1,
        sha="",
        config_hash="",
        pipeline=name,
        status=status,
        intent_at=BEGAN,
        started_at=BEGAN + timedelta(seconds=1),
        finished_at=None if status.in_flight else ENDED,
        handle=f"guid-{name}",
        url="https://ci.example.com/7",
    )
    return JobReport(name, word, **{"run": run, **fields})


def report(*jobs: JobReport, **fields: Any) -> SetReport:
    """A set that has succeeded."""
    known: dict[str, Any] = {
        "trigger": "release",
        "process": "Gravitee APIM",
        "version": "1.2.0-SNAPSHOT",
        "round": 3,
        "index": 1,
        "name": "set 1",
        "result": Result.SUCCESS,
        "text": "1 of 1 jobs ran and succeeded",
        "started_at": BEGAN,
        "ended_at": ENDED,
        "jobs": jobs,
    }
    return SetReport(**{**known, **fields})


FAILED = job(word="failed", details=CIRCLE, text="failed: release")
WAITING, REFUSED = JobReport("docs", "not_started"), JobReport("ui", "refused", "403: not yours")
BROKEN = report(
    FAILED,
    job("core", "running"),
    WAITING,
    REFUSED,
    result=Result.ERROR,
    text="failed: web, ui",
    error=FAILED,
    not_started=("set 2", "set 3"),
)


# The document


def test_rp_9_the_document_has_the_contracts_keys_and_then_our_own() -> None:
    for each in (report(job()), BROKEN, report(result=Result.RUNNING, ended_at=None), report(result=Result.SKIPPED)):
        found = set_document(each)
        assert tuple(found) == RP_9 + OWN
        assert all(set(PIPELINE) <= set(pipeline) for pipeline in found["pipelines"])
        assert all(list(link) == ["pipeline_guid", "http_link"] for link in found["pipeline_links"])
        json.dumps(found)


def test_rp_9_a_set_that_failed() -> None:
    found = set_document(BROKEN)
    assert {key: found[key] for key in (*RP_9[:4], *RP_9[5:7])} == {
        "process": "Gravitee APIM",
        "version": "1.2.0-SNAPSHOT",
        "set_index": 1,
        "result": "error",
        "started_at": "2026-03-02T10:00:00Z",
        "finished_at": "2026-03-02T10:05:00Z",
    }
    assert found["error"] == CIRCLE["error"]
    web, core = found["pipelines"]
    assert tuple(web) == PIPELINE, "neither the link nor the error once more"
    assert (web["workflows"], web["number"]) == (CIRCLE["workflows"], 7)
    assert core == {
        "pipeline_guid": "guid-core",
        "project_slug": None,
        "branch": None,
        "number": None,
        "state": "running",
        "created_at": "2026-03-02T10:00:01Z",
        "errors": [],
        "workflows": [],
    }
    assert found["pipeline_links"] == [
        {"pipeline_guid": "guid-web", "http_link": "https://ci.example.com/7"},
        {"pipeline_guid": "guid-core", "http_link": "https://ci.example.com/7"},
    ]
    assert (found["schema"], found["trigger"], found["round"], found["set"]) == (
        "saasbot.round/1",
        "release",
        3,
        "set 1",
    )
    assert [each["status"] for each in found["jobs"]] == ["failed", "running", "not_started", "refused"]
    assert found["jobs"][0] == {
        "name": "web",
        "status": "failed",
        "text": "failed: release",
        "url": "https://ci.example.com/7",
        "run_key": "key-web",
        "started_at": "2026-03-02T10:00:01Z",
        "finished_at": "2026-03-02T10:05:00Z",
    }
    assert found["jobs"][3] == {
        "name": "ui",
        "status": "refused",
        "text": "403: not yours",
        "url": None,
        "run_key": None,
        "started_at": None,
        "finished_at": None,
    }
    assert (found["not_started"], found["rehearsal"]) == (["set 2", "set 3"], False)


def without_handle() -> JobReport:
    """A job of which nobody can tell whether it has started."""
    lost = job("lost", "unknown")
    assert lost.run is not None
    return replace(lost, run=replace(lost.run, handle="", url="", started_at=None))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (report(job()), None),
        (report(result=Result.SKIPPED, text="skipped: day 14"), None),
        (
            report(result=Result.ERROR, text="nothing was started: 503"),
            {"pipeline": None, "workflow": None, "status": "error", "message": "nothing was started: 503"},
        ),
        (
            report(REFUSED, result=Result.ERROR, error=REFUSED),
            {"pipeline": None, "workflow": None, "status": "refused", "message": "ui: 403: not yours"},
        ),
        (
            report(job(word="failed"), result=Result.ERROR, error=job(word="failed")),
            {"pipeline": "guid-web", "workflow": None, "status": "failed", "message": "web: failed"},
        ),
        (
            report(job(word="running"), result=Result.TIMEOUT, text="not done within 6h"),
            {"pipeline": "guid-web", "workflow": None, "status": "timeout", "message": "not done within 6h"},
        ),
        (
            report(WAITING, FAILED, result=Result.TIMEOUT, text="not done within 6h", error=FAILED),
            {"pipeline": "guid-web", "workflow": None, "status": "timeout", "message": "not done within 6h"},
        ),
        (
            report(WAITING, result=Result.TIMEOUT, text="not done within 6h"),
            {"pipeline": None, "workflow": None, "status": "timeout", "message": "not done within 6h"},
        ),
    ],
)
def test_rp_8_and_rp_9_what_kept_a_set_from_succeeding(given: SetReport, error: dict[str, Any] | None) -> None:
    assert set_document(given)["error"] == error


def test_a_job_without_a_handle_has_no_link_and_what_is_unknown_is_null() -> None:
    found = set_document(report(without_handle(), version="", name=""))
    assert (found["pipelines"], found["pipeline_links"], found["version"], found["set"]) == ([], [], None, None)
    assert found["jobs"][0]["url"] is None
    linkless = job()
    assert linkless.run is not None
    found = set_document(report(replace(linkless, run=replace(linkless.run, url="", started_at=None))))
    assert found["pipeline_links"] == [{"pipeline_guid": "guid-web", "http_link": None}]
    assert found["pipelines"][0]["created_at"] == "2026-03-02T10:00:00Z", "when it was asked for"


def test_what_other_servers_tell_stands_beside_the_same_keys() -> None:
    (found,) = set_document(report(job(details={"job": "periodic-ci-web", "execution": "guid-web"})))["pipelines"]
    assert tuple(found) == (*PIPELINE, "job", "execution")
    (missing,) = set_document(report(job(details={"unavailable": "ci: no answer"})))["pipelines"]
    assert (missing["unavailable"], missing["state"]) == ("ci: no answer", "succeeded")


# Lines and tables


def test_a_set_in_one_line() -> None:
    assert set_text(report(job())) == "release: round 3, set 1: success: 1 of 1 jobs ran and succeeded"
    assert set_text(BROKEN) == ("release: round 3, set 1: error: failed: web, ui (https://ci.example.com/7)")
    assert set_text(report(name="build", text="")) == "release: round 3, build: success"
    bare = report(name="", text="", rehearsal=True)
    assert set_text(bare) == "release: round 3, set 1, rehearsal: success"
    assert set_text(replace(BROKEN, error=REFUSED)).endswith("failed: web, ui")


def test_rp_9_one_json_line_for_the_log() -> None:
    line = set_line(replace(BROKEN, text="line 1\nline 2 \ud800"))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["level"], found["result"]) == ("warning", "error")
    assert found["message"].startswith("release: round 3, set 1: error: line 1 line 2")
    assert {key: found[key] for key in set_document(BROKEN) if key != "text"} == {
        key: value for key, value in set_document(BROKEN).items() if key != "text"
    }
    assert [level_of(replace(BROKEN, result=each)) for each in Result] == ["info", "info", "warning", "warning", "info"]


def test_gw_9_a_table_for_terminals_with_what_failed_once_more_at_the_end() -> None:
    text = sets_text((report(job("docs"), index=0, name="set 0"), BROKEN))
    assert text.splitlines() == [
        "release: round 3, set 0: success: 1 of 1 jobs ran and succeeded",
        "  docs  succeeded  https://ci.example.com/7",
        "release: round 3, set 1: error: failed: web, ui (https://ci.example.com/7)",
        "  web   failed       https://ci.example.com/7  failed: release",
        "  core  running      https://ci.example.com/7",
        "  docs  not started",
        "  ui    refused                                403: not yours",
        "  not started: set 2, set 3",
        "Failed or unknown:",
        "  web  failed   https://ci.example.com/7  failed: release",
        "  ui   refused                            403: not yours",
    ]
    assert sets_text((report(),)) == "release: round 3, set 1: success: 1 of 1 jobs ran and succeeded\n"
    assert sets_text(()) == ""


def test_no_form_shows_a_secret_or_steers_a_terminal() -> None:
    secret = "glpat-" + "x1" * 12
    bad = job(word="failed", text=f"\x1b[31m{secret}\nred", details={"errors": [{"message": secret}], "n": (1, secret)})
    given = report(bad, result=Result.ERROR, text=secret, error=bad, not_started=(secret,))
    for said in (json.dumps(set_document(given)), set_line(given), sets_text((given,)), sets_markdown((given,))):
        assert secret not in said
    assert "\x1b" not in sets_text((given,)) + set_text(given) + job_text(bad)
    assert job_text(JobReport("a", "waiting")) == "a: waiting"
    planted.printed("a table", sets_text((given,)))


# Comments


def test_gw_15_a_table_of_job_state_and_link() -> None:
    assert sets_markdown((BROKEN,)) == (
        "`release`, round 3, `set 1`: **error** – failed: web, ui\n"
        "\n"
        "| job | state | link |\n"
        "|---|---|---|\n"
        "| `web` | failed – failed: release | [open](https://ci.example.com/7) |\n"
        "| `core` | running | [open](https://ci.example.com/7) |\n"
        "| `docs` | not started |  |\n"
        "| `ui` | refused – 403: not yours |  |\n"
        "\n"
        "Not started: `set 2` `set 3`\n"
    )
    assert sets_markdown((report(name="", text="", rehearsal=True),)) == (
        "`release`, round 3, set 1, rehearsal: **success**\n"
    )
    assert sets_markdown(()) == "No round has begun yet.\n"


def test_a_long_round_is_cut_and_what_failed_is_shown_first() -> None:
    many = tuple(job(f"job-{number}") for number in range(150))
    said = sets_markdown((report(*many, FAILED),))
    assert said.index("`web`") < said.index("`job-0`")
    assert "… and 51 more jobs." in said
    assert said.count("| `job-") == 99


def test_a_comment_has_a_bound_however_much_there_is_to_say() -> None:
    text = "failed – " * 60
    jobs = tuple(job(f"job-{number}", "failed", text=text) for number in range(300))
    names = tuple(f"later {number}" for number in range(200))
    given = tuple(report(*jobs, index=number, not_started=names) for number in range(40))
    said = sets_markdown(given)
    assert len(said) <= LARGEST_TEXT
    assert "sets before." in said
    assert "more sets." in said
    section = Section("trigger release", (), given)
    assert len(change_report(ChangeView(answers=(section,) * 10))) <= LARGEST_TEXT
    board = dashboard(DashboardView(rounds=given * 3))
    assert len(board) <= LARGEST_TEXT
    assert "more rounds" in board
    assert "more jobs" in board


def test_a_comment_without_rounds_is_what_it_was() -> None:
    plain = change_report(ChangeView(answers=(Section("explain x", ("one", "two")),)))
    assert "**explain x**\n\n- one\n- two\n" in plain
    assert plain == change_report(ChangeView(answers=(Section("explain x", ("one", "two"), ()),)))
    assert "ound" not in dashboard(DashboardView())
