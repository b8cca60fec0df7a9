"""What the GitHub forge must not believe too soon, too long or of the wrong one: heads, checks, approvals, names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from github_forge_world import OWN, PROJECT, GitHubWorld, github_world, granted, status
from worlds.fake_http import Answer
from worlds.git_world import run_git

from bot.errors import ServerUnreachable, WrongUsage
from bot.model.observed import CiStatus, MergeRequestStatus
from bot.model.state import Thread
from bot.providers.forge.github import GitHubForge
from bot.providers.forge.github_settings import served_by
from bot.settings import Merge

GREEN = Merge.WHEN_PIPELINE_SUCCEEDS


def fresh(world: GitHubWorld) -> GitHubForge:
    """The forge of a job on a machine that kept nothing."""
    shutil.rmtree(world.root / "cache", ignore_errors=True)
    return world.forge(merge=GREEN)


@pytest.mark.parametrize("required", [True, False])
def test_without_a_cache_no_ci_is_not_running_for_ever(tmp_path: Path, *, required: bool) -> None:
    with github_world(tmp_path) as world:
        world.rules.checks = required
        world.opened(world.forge())
        assert fresh(world).open_merge_requests()[0].ci is CiStatus.RUNNING
        world.later(2)
        assert fresh(world).open_merge_requests()[0].ci is (CiStatus.NONE if required else CiStatus.SUCCESS)


def test_a_new_head_on_an_old_pull_request_may_still_get_its_ci(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        head = world.opened(world.forge()).head_sha
        world.later(60)
        granted(fresh(world).push(world.change("ref: three\n", expected=head)))
        assert fresh(world).open_merge_requests()[0].ci is CiStatus.RUNNING
        world.later(2)
        assert fresh(world).open_merge_requests()[0].ci is CiStatus.SUCCESS


def test_a_word_on_a_pull_request_without_ci_does_not_make_its_head_new(tmp_path: Path) -> None:
    """What starts the bot is often that very comment or approval."""
    with github_world(tmp_path) as world:
        world.opened(world.forge())
        world.later(60)
        world.people.approve_as("alice", 1)
        assert fresh(world).open_merge_requests()[0].ci is CiStatus.SUCCESS
        world.people.comment_as("alice", 1, "fine")
        world.breaks("GET", "activity", status(404, "Not Found"))
        assert fresh(world).open_merge_requests()[0].ci is CiStatus.RUNNING, "nobody tells when it was pushed"


@pytest.mark.parametrize("what", ["all", "one"])
def test_one_stale_answer_about_branches_does_not_empty_a_head(tmp_path: Path, what: str) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        branches = "git/matching-refs/heads/saasbot/" + ("" if what == "all" else "app.yml")
        world.breaks("GET", branches, Answer(200, []))
        seen = forge.open_merge_requests()[0] if what == "all" else forge.merge_request(1)
        assert seen is not None
        assert (seen.head_sha, seen.has_conflicts) == (head, False)


def test_one_stale_answer_about_branches_does_not_bring_an_old_head_back(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        forge.open_merge_requests()
        new = granted(forge.push(world.change("ref: three\n", expected=head)))
        world.breaks("GET", "git/matching-refs/heads/saasbot/", "stale")
        assert forge.open_merge_requests()[0].head_sha == new


def test_an_approval_is_of_the_head_that_was_looked_at(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.approve_as("bob", 1)
        assert forge.open_merge_requests()[0].approved_by == ("bob",)
        granted(forge.push(world.change("ref: three\n", expected=head)))
        world.later(10)
        assert world.forge().open_merge_requests()[0].approved_by == ()
        world.server.world.review(
            world.server.config, world.server.config.pulls[0], world.server.world.user("bob"), "APPROVED"
        )
        assert world.forge().open_merge_requests()[0].approved_by == ("bob",)


def test_an_approval_ends_with_the_right_to_write(tmp_path: Path) -> None:
    with github_world(tmp_path, private=False) as world:
        world.opened(world.forge())
        world.people.approve_as("bob", 1)
        world.later(10)
        assert world.forge().open_merge_requests()[0].approved_by == ("bob",)
        world.server.config.members.pop("bob")
        assert world.forge().open_merge_requests()[0].approved_by == ()


def test_a_check_that_failed_when_it_ran_again_hides_behind_no_earlier_success(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.rules.approvals = 1
        world.rules.checks = True
        world.opened(world.forge())
        world.people.set_ci(1, CiStatus.SUCCESS)
        for _ in range(2):
            world.later(15)
            assert world.forge().open_merge_requests()[0].ci is CiStatus.SUCCESS
        world.people.set_ci(1, CiStatus.FAILED)
        assert world.forge().open_merge_requests()[0].ci is CiStatus.FAILED


def test_a_check_that_waits_for_a_person_is_not_running(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.set_ci(1, CiStatus.RUNNING)
        world.server.config.checks[-1].status = "waiting"
        assert forge.open_merge_requests()[0].ci is CiStatus.WAITING
        world.people.set_status(world.heads()[OWN], "jenkins", "failure")
        assert forge.open_merge_requests()[0].ci is CiStatus.FAILED


def test_two_bots_with_one_cache_know_the_heads_of_their_own_commands(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        head = world.opened(world.forge()).head_sha
        world.later(10)
        world.people.comment_as("alice", 1, '/otherbot override soak reason="x"')
        world.later(10)
        assert [each.head for each in world.forge().open_merge_requests()[0].notes] == [""]
        other = world.forge(prefix="/otherbot")
        assert [each.head for each in other.open_merge_requests()[0].notes] == [head]


def test_a_comment_within_the_second_of_a_push_stood_beside_the_head_before(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        first = world.opened(forge).head_sha
        world.later(1)
        world.more_on(OWN, {"app.yml": "ref: bob\n"})
        note = world.people.comment_as("alice", 1, "/saasbot hold")
        pushes = world.server.config.activities
        comment = world.server.config.issues[1].comments[0]
        comment.created_at = comment.updated_at = pushes[-1].timestamp
        (seen,) = forge.open_merge_requests()
        assert [(each.id, each.head) for each in seen.notes] == [(note.id, first)]


@pytest.mark.parametrize("said", ["SaasBot", "SAASBOT"])
def test_the_bot_is_spelled_as_github_spells_it(tmp_path: Path, said: str) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge(user=said)
        world.opened(forge)
        written = granted(forge.comment(Thread.MERGE_REQUEST, 1, "the report"))
        assert forge.me() == written.author == forge.open_merge_requests()[0].author


def test_a_user_that_the_token_is_not_of_is_told(tmp_path: Path) -> None:
    with github_world(tmp_path) as world, pytest.raises(WrongUsage, match=r"forge.user is alice.*saasbot") as caught:
        world.forge(user="alice").me()
    assert caught.value.hint


def test_a_token_that_cannot_tell_is_the_user_of_the_settings(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        environ = {"GITHUB_TOKEN": world.server.actions_token}
        assert world.forge(environ=environ, user="GitHub-Actions[bot]").me() == "github-actions[bot]"
        assert world.forge(environ=environ, user="Robot").me() == "Robot"


def test_one_that_must_be_rebuilt_before_it_may_merge_says_that_it_conflicts(tmp_path: Path) -> None:
    """GitHub's rule that a branch must be up to date; only the bot's own, which it can rebuild."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.rules.up_to_date = True
        world.opened(forge)
        world.branch("bob", {"other.yml": "ref: bob\n"})
        world.people.open_as("bob", "bob", "Mine")
        assert [each.has_conflicts for each in forge.open_merge_requests()] == [False, False]
        world.on_main({"third.yml": "x\n"})
        assert [each.has_conflicts for each in forge.open_merge_requests()] == [True, False]


def test_a_fork_of_the_same_owner_is_not_adopted(tmp_path: Path) -> None:
    """`head=owner:branch` finds those of every repository of that owner."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        shown = forks(world)
        world.breaks("POST", "pulls", status(422, "No commits between main and it"))
        world.breaks("GET", "pulls", shown)
        assert "No commits" in str(forge.open("saasbot/new.yml", "T", "D", []))
        world.breaks("GET", "pulls", shown)
        assert forge.close(1, OWN, "") is None
        assert OWN not in world.heads()


def forks(world: GitHubWorld) -> Answer:
    """A list with one pull request, of a fork that has the same owner."""
    shape = world.server.shapes.pull(world.server.config, world.server.config.pulls[0], world.server.world.user("acme"))
    fork = json.loads(json.dumps(shape))
    fork["number"] = 9
    fork["head"]["repo"]["full_name"] = f"{PROJECT}-fork"
    return Answer(200, [fork])


def test_where_history_must_be_linear_it_is_squashed(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        words = "Repository rule violations found\n\nThis branch must not contain merge commits.\n\n"
        world.breaks("PUT", "pulls/1/merge", status(405, words))
        assert granted(forge.merge(1, head)).state is MergeRequestStatus.MERGED
        assert run_git(world.repository.bare, "log", "-1", "--format=%P", "main") == world.base


def test_a_token_that_may_not_read_checks_is_told_which_permission_it_needs(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.set_ci(1, CiStatus.RUNNING)
        world.breaks("GET", "commits/.*/check-runs", status(403, "Resource not accessible by personal access token"))
        with pytest.raises(ServerUnreachable) as caught:
            forge.open_merge_requests()
        assert "checks" in caught.value.hint
        assert "commit statuses" in caught.value.hint
        with pytest.raises(WrongUsage) as missing:
            world.forge(environ={"OTHER": "x"})
        assert "commit statuses" in missing.value.hint


def test_who_set_it_to_merge_is_told(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.rules.checks = True
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.people.set_ci(1, CiStatus.RUNNING)
        assert forge.open_merge_requests()[0].auto_merge_by == ""
        granted(forge.merge(1, head, when_green=True))
        assert forge.open_merge_requests()[0].auto_merge_by == "saasbot"


def test_title_and_text_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    """A write moves the time of the last change, after which all comments are read again."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        before = len(world.writes())
        assert forge.update(1, f"Promote {OWN}", "Because.") is None
        assert len(world.writes()) == before


@pytest.mark.parametrize(
    ("origin", "url", "same"),
    [
        ("https://github.com/acme/config.git", "https://api.github.com", True),
        ("http://github.com/acme/config.git", "https://api.github.com", False),
        ("https://github.example.com:443/acme/config", "https://github.example.com/api/v3", True),
        ("http://github.example.com/acme/config", "https://github.example.com", False),
        ("https://acme.ghe.com/acme/config.git", "https://api.acme.ghe.com", True),
        ("https://evil.example.com/acme/config.git", "https://api.acme.ghe.com", False),
        ("https://example.com/acme/config.git", "https://api.example.com", False),
        ("git@github.com:acme/config.git", "https://api.github.com", False),
    ],
)
def test_git_is_given_the_token_at_the_forges_own_server_only(
    tmp_path: Path, origin: str, url: str, *, same: bool
) -> None:
    run_git(tmp_path, "init", "--quiet", ".")
    run_git(tmp_path, "remote", "add", "origin", origin)
    assert served_by(tmp_path, url) is same


def test_what_belongs_to_a_write_is_done_although_its_answer_is_lost(tmp_path: Path) -> None:
    """No later pass asks again for the label of what is open, or for the end of the branch of what is merged."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = granted(forge.push(world.change()))
        world.breaks("POST", "pulls", "drop after")
        opened = granted(forge.open(OWN, "T", "D", ["saasbot"]))
        seen = world.people.show(1)
        assert seen is not None
        assert (opened.iid, seen.labels) == (1, ("saasbot",))
        world.breaks("PUT", "pulls/1/merge", "drop after")
        assert granted(forge.merge(1, head)).state is MergeRequestStatus.MERGED
        assert OWN not in world.heads()
        assert [each.method for each in world.writes()].count("PUT") == 1
