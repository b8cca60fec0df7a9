"""The story of the demo at every forge: local, GitLab and GitHub, with the same assertions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds import planted
from worlds.fake_gitlab import FakeGitLab
from worlds.forge_world import FORGES, TOKEN, ForgeWorld, forge_world
from worlds.line_world import broken, held, kinds
from worlds.world import BRANCH, PROD, STAGE

from bot.model.observed import MergeRequestStatus
from bot.providers.git import git

MORE = 'dashboard: {title: "Deployments"}\n'


@pytest.fixture(params=FORGES)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeWorld]:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    monkeypatch.setenv("SAASBOT_KEY", planted.token("key"))
    with forge_world(request.param, tmp_path / "world") as found:
        yield found


def test_a_commit_reaches_production_and_then_there_is_nothing_to_do(world: ForgeWorld) -> None:
    assert kinds(world.reconcile()) == ["record_state", "record_state"]
    sha = world.commit()
    stage = world.reconcile()
    assert (kinds(stage), held(stage)) == (["start_run"], {(PROD, "soak")})
    opened = world.later(hours=25).reconcile()
    assert (kinds(opened), broken(opened)) == (["open_merge_request"], [])
    first = world.the_merge_request()
    assert (first.source_branch, first.author, first.labels) == (BRANCH, "saasbot", ("saasbot",))
    assert len(world.difference(first.iid)) == 2, "one line moves"
    old = world.state().targets[PROD].sha
    world.edit("svc/saas.yml", f"ref: {old}", f"ref: {old}  # see CHANGE-1")
    regenerated = world.reconcile()
    assert (kinds(regenerated), broken(regenerated)) == (["regenerate_merge_request"], [])
    second = world.the_merge_request()
    assert (second.iid, second.has_conflicts) == (first.iid, False)
    world.merge(second.iid)
    assert kinds(world.reconcile()) == ["start_run"]
    assert world.runs() == [(STAGE, sha, "deploy"), (PROD, sha, "deploy")]
    assert "succeeded" in world.report_on(second.iid)
    world.later(minutes=30).reconcile()
    state = (world.root / "state.json").read_bytes()
    assert world.later(minutes=30).reconcile().plan.actions == ()
    assert (world.root / "state.json").read_bytes() == state
    assert BRANCH not in git(world.folders.forge / "config.git", "branch", "--list").decode()


def test_a_veto_a_hold_and_a_promotion_by_command(world: ForgeWorld) -> None:
    world.promoted()
    held_back = world.comment("bob", "Not today.\n\n/saasbot hold the release party")
    assert "answer_command" in kinds(held_back)
    assert "the release party" in world.report_on(1)
    assert kinds(world.reconcile()) == []
    world.comment("bob", "/saasbot unhold")
    assert "the release party" not in world.report_on(1)
    world.close()
    closed = world.reconcile()
    assert held(closed) == {(PROD, "vetoed")}
    assert world.merge_requests() == []
    _, answer = world.say("alice" if world.server is None else "saasbot", f"explain {PROD}")
    assert "vetoed" in answer.text


def test_a_person_without_rights_is_told_who_may(world: ForgeWorld) -> None:
    world.promoted()
    world.comment("bob", '/saasbot override soak reason="now"')
    assert "alice" in world.reply()
    assert "@alice" not in world.reply()
    count = len(world.show(1).notes)
    world.later(minutes=10).reconcile()
    assert len(world.show(1).notes) == count, "said once"


def test_a_persons_commit_stops_the_bot_and_is_replayed_when_told(world: ForgeWorld) -> None:
    world.promoted()
    world.on_branch(BRANCH, {"NOTES": "by hand\n"}, start=BRANCH)
    stopped = world.reconcile()
    assert (kinds(stopped), held(stopped)) == ([], {(BRANCH, "human_commit")})
    world.edit("svc/saas.yml", "LEVEL: info", "LEVEL: debug")
    world.later(minutes=5).comment("alice", "/saasbot regenerate")
    repo, head = world.folders.forge / "config.git", world.show(1).head_sha
    assert git(repo, "show", f"{head}:NOTES") == b"by hand\n"
    assert b"LEVEL: debug" in git(repo, "show", f"{head}:svc/saas.yml")
    world.later(minutes=5).comment("alice", "/saasbot regenerate --discard-edits")
    assert not git(repo, "ls-tree", world.show(1).head_sha, "NOTES")


def test_a_failed_ci_holds_and_a_newer_version_comes_into_the_same_merge_request(world: ForgeWorld) -> None:
    world.promoted()
    world.ci("failed")
    assert (PROD, "failed") in held(world.later(minutes=5).reconcile())
    newer = world.due()
    found = world.the_merge_request()
    assert (found.iid, newer[:7] in found.title) == (1, True)


def test_a_merge_request_of_a_person_gets_the_plan(world: ForgeWorld) -> None:
    world.reconcile()
    text = world.on_main("svc/saas.yml").replace("LEVEL: info", "LEVEL: debug")
    change = world.proposes({"svc/saas.yml": text})
    world.reconcile()
    report = world.report_on(change.iid)
    assert STAGE in report
    assert "config\\_change" in report or "config_change" in report
    assert world.later(minutes=10).reconcile().plan.actions == ()


def test_an_approved_one_is_left_alone_and_its_approval_lasts(world: ForgeWorld) -> None:
    world.promoted()
    head = world.show(1).head_sha
    world.approve()
    world.later(minutes=5)
    world.edit("svc/app.yml", "owners: [alice]", "owners: [alice, bob]")
    world.due()
    assert (world.show(1).head_sha, world.show(1).approved_by) == (head, ("alice",))


@pytest.mark.parametrize("word", ["success", "failed"])
def test_it_merges_when_its_ci_succeeds_and_only_then(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    for kind in FORGES:
        more = "promotions: {merge: when_pipeline_succeeds}\n"
        with forge_world(kind, tmp_path / kind, more=more) as world:
            world.requires_ci()
            world.reconcile()
            world.commit()
            world.reconcile()
            world.later(hours=25).one_pass()
            world.ci("running")
            world.later(minutes=5).one_pass()
            assert world.show(1).auto_merge, kind
            world.ci(word)
            world.later(minutes=5).reconcile()
            merged = world.show(1).state is MergeRequestStatus.MERGED
            assert merged is (word == "success"), kind


def test_a_freeze_period_of_gitlab_holds_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    with forge_world("gitlab", tmp_path / "world") as world:
        assert isinstance(world.server, FakeGitLab)
        world.reconcile()
        world.server.add_freeze("0 9 3 3 *", "0 12 4 3 *", "Europe/Prague")
        world.commit()
        world.reconcile()
        frozen = world.later(hours=25).reconcile()
        assert held(frozen) == {(PROD, "freeze")}
        (entry,) = (each for each in frozen.plan.held if each.subject.endswith(PROD))
        assert entry.until == datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
        assert kinds(world.later(hours=24, minutes=1).reconcile()) == ["open_merge_request"]


def test_the_dashboard_says_what_is_held_and_takes_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    for kind in FORGES:
        with forge_world(kind, tmp_path / kind, more=MORE) as world:
            world.reconcile()
            sha = world.commit()
            world.reconcile()
            board = world.ports().forge.dashboard("Deployments")
            assert board is not None
            assert "soak" in board.body, kind
            world.people.comment_dashboard_as("alice", f'/saasbot override soak {PROD} reason="urgent"')
            world.people.comment_dashboard_as("bob", f"/saasbot explain {PROD}")
            world.later(minutes=5).reconcile()
            assert sha[:7] in world.the_merge_request().title, kind
            board = world.ports().forge.dashboard("Deployments")
            assert board is not None
            assert sum("explain" in note.body for note in board.notes if note.author == "saasbot") == 1, kind
            world.later(minutes=10).reconcile()
            assert world.later(minutes=10).reconcile().plan.actions == (), kind
