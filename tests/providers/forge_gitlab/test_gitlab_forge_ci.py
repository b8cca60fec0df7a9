"""When a head counts as tested: nothing is merged before its own pipeline has said so."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.git_world import run_git
from worlds.gitlab_forge_world import OWN, GitLabWorld, gitlab_world, granted, refused

from bot.model.observed import CiStatus, MergeRequest, MergeRequestStatus
from bot.providers.forge.gitlab import GitLabForge

MERGED_RESULT = "refs/merge-requests/1/merge"
TRAIN = "refs/merge-requests/1/train"


def first(forge: GitLabForge) -> MergeRequest:
    """The only open merge request."""
    (found,) = forge.open_merge_requests()
    return found


def merge_of(world: GitLabWorld, head: str) -> str:
    """The commit that GitLab makes for a pipeline of merged results."""
    bare = world.repository.bare
    who = ("-c", "user.name=gitlab", "-c", "user.email=g@localhost")
    parents = ("-p", world.base, "-p", head)
    return run_git(bare, *who, "commit-tree", f"{head}^{{tree}}", *parents, "-m", "merged").strip()


def merges(world: GitLabWorld) -> list[str]:
    """The requests to merge, so far."""
    return [each.path for each in world.writes() if each.path.endswith("/merge")]


def test_a_head_just_pushed_is_not_green_for_want_of_a_pipeline(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.checking_reads = 0
        forge = world.forge()
        world.opened(forge)
        assert first(forge).ci is CiStatus.RUNNING
        world.later(1)
        assert first(forge).ci is CiStatus.RUNNING
        world.later(2)
        assert first(world.forge()).ci is CiStatus.NONE, "it gets none, and no memory is needed to know"
        granted(forge.push(world.change("ref: three\n", expected=world.heads()[OWN])))
        assert first(world.forge()).ci is CiStatus.RUNNING


def test_auto_merge_waits_for_a_pipeline_that_is_yet_to_come(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.checking_reads = 0
        forge = world.forge()
        head = world.opened(forge).head_sha
        found = granted(forge.merge(1, head, when_green=True))
        assert (found.state, found.auto_merge, merges(world)) == (MergeRequestStatus.OPENED, False, [])
        world.people.set_ci(1, CiStatus.RUNNING)
        assert granted(forge.merge(1, head, when_green=True)).auto_merge


def test_auto_merge_does_not_take_an_older_heads_pipeline_for_this_ones(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.checking_reads = 0
        forge = world.forge()
        old = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        head = granted(forge.push(world.change("ref: three\n", expected=old)))
        world.later(3)
        found = granted(forge.merge(1, head, when_green=True))
        assert (found.state, found.auto_merge, merges(world)) == (MergeRequestStatus.OPENED, False, [])


def test_a_failed_ci_is_not_set_to_merge(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.FAILED)
        assert "its CI has not succeeded" in refused(forge.merge(1, head, when_green=True))
        assert merges(world) == []


@pytest.mark.parametrize("ref", [MERGED_RESULT, TRAIN])
def test_a_merged_result_is_green_for_the_head_that_was_merged_only(tmp_path: Path, ref: str) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.checking_reads = 0
        forge = world.forge()
        old = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.SUCCESS, ref=ref, sha=merge_of(world, old))
        assert first(forge).ci is CiStatus.SUCCESS
        head = granted(forge.push(world.change("ref: three\n", expected=old)))
        assert first(world.forge()).ci is CiStatus.RUNNING
        assert granted(forge.merge(1, head, when_green=True)).state is MergeRequestStatus.OPENED
        world.people.set_ci(1, CiStatus.SUCCESS, ref=ref, sha=merge_of(world, head))
        assert first(world.forge()).ci is CiStatus.SUCCESS


def test_auto_merge_waits_for_a_pipeline_of_merged_results(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING, ref=MERGED_RESULT, sha=merge_of(world, head))
        found = granted(forge.merge(1, head, when_green=True))
        assert (found.auto_merge, found.auto_merge_by) == (True, "saasbot")


def test_what_a_merged_result_merged_is_asked_once(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.SUCCESS, ref=MERGED_RESULT, sha=merge_of(world, head))
        with world.counted() as asked:
            first(world.forge())
        assert sum(count for what, count in asked.items() if "/commits/" in what) == 1
        with world.counted() as again:
            assert first(world.forge()).ci is CiStatus.SUCCESS
        assert not any("/commits/" in what for what in again)


def test_a_merged_result_whose_commit_is_gone_is_no_ones(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.set_ci(1, CiStatus.SUCCESS, ref=MERGED_RESULT, sha="d" * 40)
        assert first(forge).ci is CiStatus.RUNNING
        world.later(11)
        assert first(forge).ci is CiStatus.NONE


def test_a_pipeline_that_waits_for_a_person_neither_runs_nor_is_green(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        (pipeline,) = world.server.pipelines.all()
        world.server.pipelines.set_status(pipeline.id, "manual")
        assert first(forge).ci is CiStatus.WAITING
        found = granted(forge.merge(1, head, when_green=True))
        assert (found.state, found.auto_merge, merges(world)) == (MergeRequestStatus.OPENED, False, [])


def test_a_required_pipeline_that_never_comes_waits_for_a_person(tmp_path: Path) -> None:
    """It must not lock the merge request against newer versions for ever."""
    with gitlab_world(tmp_path) as world:
        world.server.main.pipelines_must_succeed = True
        forge = world.forge()
        world.opened(forge)
        world.later(5)
        assert first(forge).ci is CiStatus.RUNNING
        world.later(6)
        assert first(forge).ci is CiStatus.WAITING


def test_who_has_set_it_to_merge(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.set_ci(1, CiStatus.RUNNING)
        assert first(forge).auto_merge_by == ""
        world.people.comment_as("alice", 1, "/merge")
        found = first(forge)
        assert (found.auto_merge, found.auto_merge_by) == (True, "alice")
