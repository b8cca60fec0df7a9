"""What scripts rely on: exit codes, and the exact shapes of what is printed (DESIGN section 9)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from worlds.line_world import document
from worlds.world import PROD, STAGE, World

ACTION_KINDS = {
    "record_state", "start_run", "follow_run", "cancel_run", "open_merge_request", "update_merge_request",
    "regenerate_merge_request", "split_merge_request", "merge_merge_request", "close_merge_request", "comment",
    "answer_command", "start_job",
}  # fmt: skip
GATES = {
    "published", "same_sha", "soak", "window", "freeze", "blocked_version", "going_back", "hold", "budget",
    "run_in_flight", "failed", "unknown", "vetoed", "human_commit", "unsafe_edit", "unreachable", "invalid",
}  # fmt: skip
MERGE_REQUEST = [
    "iid", "title", "state", "source_branch", "target_branch", "head_sha", "author", "labels", "draft",
    "has_conflicts", "description", "notes",
]  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SUBJECT = re.compile(r"target:.+/.+/.+|merge-request:.+|trigger:.+|job:.+/.+")


def check(found: dict[str, Any], *, outcomes: bool) -> None:
    """The object of `plan` and `reconcile`, key by key."""
    assert list(found) == ["schema", "config_sha", "now", "actions", "held", "next_due"]
    assert found["schema"] == "saasbot.plan/1"
    assert found["config_sha"] is None or re.fullmatch(r"[0-9a-f]{40}", found["config_sha"])
    assert TIME.fullmatch(found["now"])
    assert found["next_due"] is None or TIME.fullmatch(found["next_due"])
    for action in found["actions"]:
        keys = ["kind", "subject", "key", "reasons", "details", *(["outcome"] if outcomes else [])]
        assert list(action) == keys
        assert action["kind"] in ACTION_KINDS
        assert SUBJECT.fullmatch(action["subject"])
        assert isinstance(action["key"], str)
        assert isinstance(action["details"], dict)
        assert action["reasons"], action
        assert all(list(reason) == ["kind", "text"] for reason in action["reasons"])
        if outcomes:
            assert list(action["outcome"]) == ["status", "text", "url"]
            assert action["outcome"]["status"] in {"done", "refused", "failed", "skipped"}
    for held in found["held"]:
        assert list(held) == ["subject", "gate", "text", "until"]
        assert SUBJECT.fullmatch(held["subject"])
        assert held["gate"] in GATES
        assert held["until"] is None or TIME.fullmatch(held["until"])


def test_plan_and_reconcile_print_the_contracts_object_all_along_the_story(plain: World) -> None:
    seen: set[str] = set()

    def reconcile() -> None:
        found: Any = document(plain.reconcile())
        check(found, outcomes=True)
        seen.update(action["kind"] for action in found["actions"])

    reconcile()
    plain.commit()
    check(document(plain.plan()), outcomes=False)
    reconcile()
    plain.later(hours=25)
    reconcile()
    plain.edit("svc/saas.yml", f"ref: {plain.ref()}", f"ref: {plain.ref()} # x")
    plain.people.comment_as("alice", 1, "/saasbot status")
    reconcile()
    plain.due()
    reconcile()
    plain.close()
    reconcile()
    assert seen >= ACTION_KINDS - {
        "cancel_run", "update_merge_request", "split_merge_request", "merge_merge_request", "close_merge_request",
        "follow_run", "start_job",
    }  # fmt: skip


def test_a_start_carries_what_a_script_wants_to_know(plain: World) -> None:
    plain.reconcile()
    sha = plain.commit()
    found: Any = document(plain.plan())
    (start,) = (action for action in found["actions"] if action["kind"] == "start_run")
    assert start["subject"] == f"target:{STAGE}"
    assert (start["details"]["sha"], start["details"]["action"]) == (sha, "deploy")
    done: Any = document(plain.reconcile())
    assert start["key"] == next(action["key"] for action in done["actions"] if action["kind"] == "start_run")


def test_the_command_line_from_adoption_to_production(plain: World) -> None:
    found = plain.saasbot("reconcile", "--format", "json")
    assert (found.code, len(found.document["actions"])) == (0, 2)
    plain.commit()
    found = plain.saasbot("reconcile", "--until-idle", "--format", "json")
    check(found.document, outcomes=True)
    kinds = [action["kind"] for action in found.document["actions"]]
    assert (found.code, kinds[0], set(kinds[1:])) == (0, "start_run", {"follow_run"}), "one object with all passes"
    plain.later(hours=25)
    assert plain.saasbot("reconcile").out.startswith("Open merge requests (1)\n")
    listed = plain.saasbot("local", "mr", "list", "--format", "json").document
    assert [list(each) for each in listed] == [MERGE_REQUEST]
    assert (listed[0]["state"], listed[0]["author"]) == ("opened", "saasbot")
    assert [list(note) for note in listed[0]["notes"]] == [["id", "author", "body"]]
    assert plain.saasbot("local", "mr", "comment", "1", "/saasbot ignore", "--as", "bob").code == 0
    assert plain.saasbot("local", "mr", "ci", "1", "success").code == 0
    assert plain.saasbot("local", "mr", "merge", "1", "--as", "alice").code == 0
    assert plain.saasbot("local", "mr", "list", "--format", "json").document[0]["state"] == "merged"
    assert plain.saasbot("reconcile", "--until-idle").code == 0
    runs = plain.saasbot("local", "run", "list", "--format", "json").document
    assert [run["status"] for run in runs] == ["succeeded", "succeeded"]
    again = plain.saasbot("reconcile", "--format", "json")
    assert (again.document["actions"], again.err) == ([], "")


def test_validate_prints_findings_and_ends_with_one(plain: World) -> None:
    good = plain.saasbot("validate", "--format", "json", now=False)
    assert (good.code, good.document) == (0, {"schema": "saasbot.findings/1", "findings": []})
    plain.write({"svc/saas.yml": plain.on_main("svc/saas.yml").replace("soak: 24h", "soak: soon\n      colour: red")})
    bad = plain.saasbot("validate", "--format", "json", now=False)
    assert bad.code == 1
    assert len(bad.document["findings"]) == 2, "all findings in one go"
    for finding in bad.document["findings"]:
        assert list(finding) == ["file", "line", "column", "severity", "rule", "message", "hint"]
        assert (finding["file"], finding["severity"]) == ("svc/saas.yml", "error")
        assert (finding["line"] > 1, finding["column"] > 1) == (True, True)


def test_a_plan_reads_the_working_tree_and_says_so(plain: World) -> None:
    plain.reconcile()
    plain.write({"svc/saas.yml": plain.on_main("svc/saas.yml").replace("LEVEL: info", "LEVEL: debug")})
    found = plain.saasbot("plan", "--format", "json").document
    assert found["config_sha"] is None, "a dirty working tree has no sha"
    assert [action["subject"] for action in found["actions"]] == [f"target:{STAGE}"]
    assert plain.reconcile().plan.actions == (), "what writes reads the branch"


def test_explain_tells_as_of_a_time_to_come(plain: World) -> None:
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    now = plain.saasbot("explain", PROD, "--format", "json").document
    soak = next(verdict for verdict in now["promotion"]["gates"] if verdict["gate"] == "soak")
    assert soak["passed"] is False
    later = plain.saasbot("explain", PROD, "--format", "json", "--as-of", soak["until"]).document
    assert all(verdict["passed"] for verdict in later["promotion"]["gates"])


def test_exit_codes(plain: World) -> None:
    assert plain.saasbot("explain", "no/such/target").code == 2
    assert plain.saasbot("plan", "--format", "xml").code == 2
    assert plain.saasbot("reconcile", "--bootstrap", "hope").code == 2
    plain.reconcile()
    assert plain.saasbot("say", "ignore", "--as", "bob").code == 1, "a refused command"
    plain.fail(STAGE)
    plain.commit()
    assert plain.saasbot("reconcile", "--until-idle").code == 0, "a deployment that failed is a fact, not an error"
    plain.fail(STAGE, fails=False)
    plain.say("bob", f"retry {STAGE}")
    plain.later(hours=25).reconcile()
    state = plain.root / "state.json"
    kept = state.read_bytes()
    state.unlink()
    lost = plain.saasbot("reconcile")
    assert (lost.code, "state rebuild" in lost.err, "--bootstrap adopt" in lost.err) == (2, True, True)
    assert plain.saasbot("plan").code == 2
    state.write_bytes(kept[: len(kept) // 2])
    assert plain.saasbot("reconcile").code == 2
    state.write_bytes(kept)
    (plain.folders.forge / "config.git").rename(plain.root / "away.git")
    gone = plain.saasbot("reconcile")
    assert (gone.code, gone.out, gone.err.startswith("saasbot: ")) == (4, "", True)
    assert "Traceback" not in gone.err


def test_an_error_in_the_settings_stops_a_pass(plain: World) -> None:
    plain.reconcile()
    plain.write({"saasbot.yml": plain.on_main("saasbot.yml") + "colour: blue\n"})
    stopped = plain.saasbot("reconcile")
    assert stopped.code == 1
    assert "saasbot.yml:5:1" in stopped.err
    assert "colour" in stopped.err


def test_now_replaces_the_clock_in_all_that_is_recorded(plain: World) -> None:
    plain.reconcile()
    plain.commit()
    plain.later(days=100)
    assert plain.saasbot("reconcile", "--until-idle").code == 0
    (publication,) = plain.state().channels["svc-ok"]
    assert publication.finished_at == publication.first_at == plain.now
    assert plain.saasbot("--now", "yesterday", "plan", now=False).code == 2
    assert plain.saasbot("--now", "2026-01-01T00:00:00", "plan", now=False).code == 2, "a time without a zone"


@pytest.mark.parametrize("fmt", ["text", "json", "markdown"])
def test_logs_go_to_standard_error_and_results_to_standard_output(plain: World, fmt: str) -> None:
    found = plain.saasbot("-v", "--log-format", "json", "plan", "--format", fmt)
    assert found.code == 0
    assert found.out
    assert all(json.loads(line) for line in found.err.splitlines())
