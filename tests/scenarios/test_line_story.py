"""The story from a commit to production, and everything that may come between."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds.line_world import LineWorld, broken, document, held, kinds

from bot.errors import LostState
from bot.model.observed import CiStatus
from bot.providers.git import git
from bot.providers.scaffold import commit_all
from bot.render.terminal import report_text


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LineWorld:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    return LineWorld(tmp_path / "world")


def promoted(world: LineWorld) -> str:
    """Adopt, commit, soak: the merge request is open afterwards; returns the new sha."""
    world.reconcile()
    sha = world.commit()
    world.reconcile()
    world.later(hours=25).reconcile()
    return sha


def test_a_commit_reaches_production_and_then_there_is_nothing_to_do(world: LineWorld) -> None:
    adoption = world.reconcile()
    assert kinds(adoption) == ["record_state", "record_state"]
    assert world.runs() == []
    sha = world.commit()
    stage = world.reconcile()
    assert kinds(stage) == ["start_run"]
    assert world.runs() == [("svc/svc/stage", sha, "deploy")]
    assert held(stage) == {("svc/svc/prod", "soak")}
    opened = world.later(hours=25).reconcile()
    assert kinds(opened) == ["open_merge_request"]
    before = world.the_merge_request()
    world.edit("svc/saas.yml", "soak: 24h", "soak: 24h  # agreed")
    assert kinds(world.reconcile()) == [], "a change beside the line does not disturb it"
    old = world.state().targets["svc/svc/prod"].sha
    world.edit("svc/saas.yml", f"ref: {old}", f"ref: {old}  # see CHANGE-1")
    regenerated = world.reconcile()
    assert kinds(regenerated) == ["regenerate_merge_request"]
    after = world.the_merge_request()
    assert (after.iid, after.has_conflicts) == (before.iid, False)
    world.people.merge_as("alice", after.iid)
    assert kinds(world.reconcile()) == ["start_run"]
    assert world.runs() == [("svc/svc/stage", sha, "deploy"), ("svc/svc/prod", sha, "deploy")]
    assert "succeeded" in world.report_on(after.iid)
    files = {path: path.read_bytes() for path in (world.root / "state.json", *world.folders.forge.rglob("*.json"))}
    idle = world.later(minutes=5).reconcile()
    assert document(idle)["actions"] == []
    assert {path: path.read_bytes() for path in files} == files, "a pass with nothing to do writes nothing"


def test_two_reasons_give_one_run(world: LineWorld) -> None:
    world.reconcile()
    world.commit()
    world.edit("svc/saas.yml", "LEVEL: info", "LEVEL: debug")
    report = world.reconcile(("alice", "retry svc/svc/stage"))
    (start,) = [action for action in report.plan.actions if kinds(report) and hasattr(action, "environment")]
    assert {reason.kind for reason in start.reasons} == {"config_change", "moving_commit", "manual"}
    assert len(world.runs()) == 1


def test_going_back_and_forth_runs_each_time(world: LineWorld) -> None:
    world.reconcile()
    for level in ("debug", "info", "debug"):
        other = "info" if level == "debug" else "debug"
        world.edit("svc/saas.yml", f"LEVEL: {other}", f"LEVEL: {level}")
        assert kinds(world.reconcile()) == ["start_run"]
    assert len(world.runs()) == 3


def test_what_is_not_effective_starts_nothing(world: LineWorld) -> None:
    world.reconcile()
    world.edit("svc/saas.yml", "parameters: {LEVEL: info}", "parameters:\n      LEVEL: info # the same")
    world.edit("svc/app.yml", "owners: [alice]", "owners: [alice, bob]")
    world.edit("svc/saas.yml", "soak: 24h", "soak: 48h")
    assert kinds(world.reconcile()) == []


def test_a_failed_run_is_tried_again_and_then_held(world: LineWorld) -> None:
    world.push({"pipelines/deploy.yml": (world.config / "pipelines/deploy.yml").read_text() + "retries: 1\n"})
    world.reconcile()
    world.fail("svc/svc/stage")
    world.commit()
    first = world.reconcile()
    assert held(first) == {("svc/svc/stage", "failed")}
    assert first.plan.next_due is not None
    second = world.later(minutes=2).reconcile()
    assert kinds(second) == ["start_run"]
    third = world.later(hours=9).reconcile()
    assert (kinds(third), held(third)) == ([], {("svc/svc/stage", "failed")})
    world.fail("svc/svc/stage", fails=False)
    assert kinds(world.reconcile(("alice", "retry svc/svc/stage"))) == ["start_run"]
    assert len(world.runs()) == 3
    assert world.state().channels["svc-ok"]


def test_a_busy_branch_reaches_production_a_day_late(world: LineWorld) -> None:
    world.push(
        {"saasbot.yml": (world.config / "saasbot.yml").read_text() + "promotions: {merge: when_pipeline_succeeds}\n"}
    )
    world.reconcile()
    shas = []
    for _ in range(12):
        world.later(hours=3)
        shas.append(world.commit())
        world.reconcile()
    deployed = [sha for target, sha, _ in world.runs() if target == "svc/svc/prod"]
    assert deployed, "the newest that has soaked goes, however fast the branch moves"
    assert deployed == shas[: len(deployed)]
    assert 3 <= len(deployed) <= 6


def test_a_veto_holds_until_a_newer_version(world: LineWorld) -> None:
    sha = promoted(world)
    world.people.close_as("bob", 1)
    closed = world.reconcile()
    assert held(closed) == {("svc/svc/prod", "vetoed")}
    assert world.merge_requests() == []
    newer = world.commit()
    world.reconcile()
    world.later(hours=25).reconcile()
    assert newer[:7] in world.the_merge_request().title
    assert sha[:7] not in world.the_merge_request().title


def test_a_newer_version_comes_into_the_same_merge_request(world: LineWorld) -> None:
    promoted(world)
    newer = world.commit()
    world.reconcile()
    report = world.later(hours=25).reconcile()
    assert kinds(report) == ["update_merge_request"]
    found = world.the_merge_request()
    assert (found.iid, newer[:7] in found.title) == (1, True)


def test_an_approved_one_is_left_alone(world: LineWorld) -> None:
    sha = promoted(world)
    world.people.approve_as("alice", 1)
    world.commit()
    world.reconcile()
    report = world.later(hours=25).reconcile()
    assert kinds(report) == []
    assert ("saasbot/svc/saas.yml", "hold") in held(report)
    assert sha[:7] in world.the_merge_request().title


def test_a_persons_commit_stops_the_bot_until_told(world: LineWorld) -> None:
    promoted(world)
    person = world.folders.person("bob")
    world.edit("svc/app.yml", "owners: [alice]", "owners: [alice, bob]")

    git(person, "fetch", "--quiet", "origin")
    git(person, "checkout", "--quiet", "-B", "mine", "origin/saasbot/svc/saas.yml")
    (person / "NOTES").write_text("by hand\n")
    commit_all(person, "By hand", "bob")
    git(person, "push", "--quiet", "origin", "HEAD:refs/heads/saasbot/svc/saas.yml")
    stopped = world.reconcile()
    assert (kinds(stopped), held(stopped)) == ([], {("saasbot/svc/saas.yml", "human_commit")})
    assert "committed" in world.report_on(1)
    world.people.comment_as("alice", 1, "/saasbot regenerate --discard-edits")
    assert "regenerate_merge_request" in kinds(world.reconcile())
    assert held(world.reconcile()) == set()
    assert world.reconcile().plan.actions == ()


def test_a_lost_state_is_refused(world: LineWorld) -> None:
    promoted(world)
    (world.root / "state.json").unlink()
    with pytest.raises(LostState, match="lost"):
        world.one_pass()


def test_a_broken_repository_holds_its_own_targets_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    world = LineWorld(tmp_path / "world", services=("one", "two"))
    world.reconcile()
    world.folders.service("one").rename(tmp_path / "elsewhere")
    sha = world.commit("two")
    report = world.reconcile()
    assert ("one/one/stage", "unreachable") in held(report)
    assert world.runs() == [("two/two/stage", sha, "deploy")]


def test_a_broken_file_holds_its_own_targets_and_removes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    world = LineWorld(tmp_path / "world", services=("one", "two"))
    world.reconcile()
    world.edit("one/saas.yml", "name: one\napp", "name: one\nname: again\napp")
    sha = world.commit("two")
    report = world.reconcile()
    assert {("one/one/stage", "invalid"), ("one/one/prod", "invalid")} <= held(report)
    assert world.runs() == [("two/two/stage", sha, "deploy")]
    assert all(record.removed_at is None for record in world.state().targets.values())


def test_a_wrong_commit_that_changes_everything_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    names = tuple(f"s{number}" for number in range(4))
    world = LineWorld(tmp_path / "world", services=names, more="runs: {maxStarts: 2}\n")
    world.reconcile()
    for name in names:
        world.edit(f"{name}/saas.yml", "LEVEL: info", "LEVEL: wrong")
    report = world.reconcile()
    assert kinds(report) == ["start_run"] * 2, "passes until idle do not go round the limit"

    first = report_text(report).splitlines()[0]
    assert "2" in first
    assert "budget" in first.lower() or "maxStarts" in first


def test_a_failed_batch_is_bisected_and_the_good_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    names = ("a", "b", "c", "d")
    world = LineWorld(tmp_path / "world", services=names, more="promotions: {batchBy: all}\n", soak="1h")
    world.reconcile()
    shas = {name: world.commit(name) for name in names}
    world.reconcile()
    world.later(hours=2).reconcile()
    assert len(world.merge_requests()) == 1
    for _ in range(12):
        for each in world.merge_requests():
            if "c/c/prod" not in each.description:
                world.people.merge_as("alice", each.iid)
            elif each.ci == "none":
                world.people.set_ci(each.iid, CiStatus.FAILED)
        report = world.later(minutes=1).reconcile()
    deployed = {target for target, _, _ in world.runs() if target.endswith("/prod")}
    assert deployed == {"a/a/prod", "b/b/prod", "d/d/prod"}
    assert ("c/c/prod", "failed") in held(report)
    assert shas["c"][:7] in world.the_merge_request().title
    assert broken(report) == []


def test_time_that_runs_backwards_holds_what_depends_on_time(world: LineWorld) -> None:
    promoted(world)
    world.people.close_as("saasbot", 1)
    world.now = datetime(2026, 1, 1, tzinfo=UTC)
    report = world.reconcile()
    assert ("svc/svc/prod", "soak") in held(report)
    assert any("clock" in each.text for each in report.plan.held)
