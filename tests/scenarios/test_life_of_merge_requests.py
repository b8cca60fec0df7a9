"""The life of a promotion merge request (DESIGN section 5): regenerated, updated, left alone, stopped, closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.line_world import document, held, kinds
from worlds.world import BRANCH, PROD, NewWorld, World, reasons

from bot.errors import LostState
from bot.model.plan import Report
from bot.providers.git import git
from bot.settings import BotSettings


@pytest.fixture
def open_world(plain: World) -> World:
    """A world with the promotion merge request !1 open."""
    plain.promoted()
    return plain


def settle(world: World, word: str = "") -> Report:
    """The merge request's CI has a word, and passes until idle."""
    if word:
        world.ci(word)
    return world.reconcile()


def conflict(world: World) -> None:
    """A person touches the line that the merge request changes."""
    world.edit("svc/saas.yml", f"ref: {world.ref()}", f"ref: {world.ref()}  # by hand")


def test_one_commit_on_the_base_with_one_changed_scalar(open_world: World) -> None:
    sha = open_world.state().channels["svc-ok"][-1].sha
    repo = open_world.folders.forge / "config.git"
    assert open_world.difference() == [f"-    ref: {open_world.ref()}", f"+    ref: {sha}"]
    line = git(repo, "log", "--format=%an <%ae> %P %at", f"main..{BRANCH}").decode().splitlines()
    base, date = git(repo, "log", "-1", "--format=%H %at", "main").decode().split()
    assert line == [f"{BotSettings().name} <{BotSettings().email}> {base} {date}"]


def test_a_change_elsewhere_does_not_disturb_it(open_world: World) -> None:
    before = open_world.show().head_sha
    open_world.edit("svc/saas.yml", "path: /template.yml", "path: /template.yml # here")
    assert kinds(open_world.reconcile()) == []
    assert open_world.show().head_sha == before


def test_regenerate_behind_keeps_it_on_the_base(new_world: NewWorld) -> None:
    world = new_world(more="promotions: {regenerate: behind}\n")
    world.promoted()
    world.edit("svc/app.yml", "[alice]", "[alice, bob]")
    assert kinds(world.reconcile()) == ["regenerate_merge_request"]
    base = git(world.folders.forge / "config.git", "rev-parse", "main").decode().strip()
    assert git(world.folders.forge / "config.git", "rev-parse", f"{BRANCH}^").decode().strip() == base
    assert kinds(world.reconcile()) == []


def test_a_running_ci_is_not_disturbed_unless_it_conflicts(open_world: World) -> None:
    open_world.ci("running")
    before = open_world.show().head_sha
    newer = open_world.due()
    assert open_world.show().head_sha == before
    assert (BRANCH, "run_in_flight") in held(open_world.plan())
    conflict(open_world)
    assert kinds(open_world.reconcile()) == ["update_merge_request"]
    assert newer[:7] in open_world.the_merge_request().title


def test_the_newer_version_comes_when_the_ci_has_ended(open_world: World) -> None:
    open_world.ci("running")
    newer = open_world.due()
    assert kinds(settle(open_world, "success")) == ["update_merge_request"]
    assert newer[:7] in open_world.the_merge_request().title
    assert open_world.the_merge_request().iid == 1


def test_an_approved_one_is_regenerated_when_it_conflicts_with_what_was_approved(open_world: World) -> None:
    sha = open_world.state().channels["svc-ok"][-1].sha
    open_world.approve()
    open_world.due()
    conflict(open_world)
    assert kinds(open_world.reconcile()) == ["regenerate_merge_request"]
    assert sha[:7] in open_world.the_merge_request().title
    open_world.merge()
    open_world.reconcile()
    assert open_world.ref() == sha
    assert open_world.the_merge_request().iid == 2, "the newer version follows after it"


def test_update_always_moves_an_approved_one(new_world: NewWorld) -> None:
    world = new_world(more="promotions: {update: always}\n")
    world.promoted()
    world.approve()
    newer = world.due()
    assert newer[:7] in world.the_merge_request().title


def test_already_on_the_base_closes_as_done_and_vetoes_nothing(open_world: World) -> None:
    sha = open_world.state().channels["svc-ok"][-1].sha
    open_world.edit("svc/saas.yml", f"ref: {open_world.ref()}", f"ref: {sha}")
    report = open_world.reconcile()
    assert [kind for kind, _ in reasons(report, "close_merge_request")[BRANCH]] == ["done"]
    assert (open_world.show().state, open_world.state().vetoes) == ("closed", ())
    assert PROD in reasons(report)
    heads = git(open_world.folders.forge / "config.git", "for-each-ref", "--format=%(refname)", "refs/heads/saasbot")
    assert heads == b""


def test_a_target_that_is_gone_takes_its_merge_request_along(open_world: World) -> None:
    before = open_world.on_main("svc/saas.yml")
    open_world.push({"svc/saas.yml": before[: before.index("  - name: prod")]})
    assert "close_merge_request" in kinds(open_world.reconcile())
    assert open_world.merge_requests() == []


def test_a_merge_by_a_merge_button_that_rebases_is_a_merge(open_world: World) -> None:
    repo = open_world.folders.forge / "config.git"
    open_world.edit("svc/app.yml", "[alice]", "[alice, bob]")
    main, head = (git(repo, "rev-parse", name).decode().strip() for name in ("main", BRANCH))
    tree = git(repo, "merge-tree", "--write-tree", main, head).decode().strip()
    who = {f"GIT_{role}_{part}": "forge@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    rebased = git(repo, "commit-tree", tree, "-p", main, "-m", "Promote", env=who).decode().strip()
    git(repo, "update-ref", f"refs/heads/{BRANCH}", rebased)
    report = open_world.reconcile()
    assert (kinds(report), held(report)) == ([], set()), "the forge's own rebase does not stop the bot"
    merged = git(repo, "commit-tree", tree, "-p", rebased, "-p", main, "-m", "Update", env=who).decode().strip()
    git(repo, "update-ref", f"refs/heads/{BRANCH}", merged)
    report = open_world.reconcile()
    assert (kinds(report), held(report)) == ([], set()), "nor does its update button"


def test_a_persons_commit_is_replayed_by_regenerate(open_world: World) -> None:
    open_world.on_branch(BRANCH, {"svc/NOTES": "by hand\n"}, start=BRANCH)
    stopped = open_world.reconcile()
    assert (kinds(stopped), held(stopped)) == ([], {(BRANCH, "human_commit")})
    conflict(open_world)
    assert kinds(open_world.reconcile()) == [], "stopped is stopped"
    report = open_world.comment("bob", "/saasbot regenerate")
    assert "regenerate_merge_request" in kinds(report)
    found = open_world.the_merge_request()
    assert not found.has_conflicts
    repo = open_world.folders.forge / "config.git"
    authors = git(repo, "log", "--format=%an", f"main..{BRANCH}").decode().split()
    assert authors == ["bob", "saasbot"]
    assert (BRANCH, "human_commit") in held(open_world.reconcile())
    assert open_world.reconcile().plan.actions == ()


def test_a_persons_commit_that_does_not_apply_any_more_is_not_lost(open_world: World) -> None:
    content = git(open_world.folders.forge / "config.git", "show", f"{BRANCH}:svc/saas.yml").decode()
    theirs = content.replace("soak: 24h", "soak: 12h")
    head = open_world.on_branch(BRANCH, {"svc/saas.yml": theirs}, start=BRANCH)
    open_world.edit("svc/saas.yml", "soak: 24h", "soak: 20h")
    open_world.reconcile()
    open_world.comment("bob", "/saasbot regenerate")
    assert open_world.show().head_sha == head
    for _ in range(3):
        open_world.reconcile()
    assert open_world.show().head_sha == head
    open_world.comment("alice", "/saasbot regenerate --discard-edits")
    assert "-      soak: 20h" not in open_world.difference()
    assert held(open_world.reconcile()) == set()


def test_a_persons_edit_of_the_ref_on_the_branch_is_what_is_promoted_then(open_world: World) -> None:
    sha = open_world.state().channels["svc-ok"][-1].sha
    content = git(open_world.folders.forge / "config.git", "show", f"{BRANCH}:svc/saas.yml").decode()
    open_world.on_branch(BRANCH, {"svc/saas.yml": content.replace(sha, f"{sha}  # agreed")}, start=BRANCH)
    report = open_world.reconcile()
    assert (BRANCH, "human_commit") in held(report), "a comment is nothing that the bot could have written"


def test_a_branch_that_was_deleted_is_opened_again(open_world: World) -> None:
    git(open_world.folders.forge / "config.git", "update-ref", "-d", f"refs/heads/{BRANCH}")
    open_world.reconcile()
    found = open_world.the_merge_request()
    assert (found.iid, found.head_sha != "", open_world.state().vetoes) == (2, True, ())


def test_a_branch_without_a_merge_request_is_taken_over(plain: World) -> None:
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    plain.on_branch(BRANCH, {"svc/NOTES": "left behind\n"})
    assert kinds(plain.later(hours=25).reconcile()) == ["open_merge_request"]
    assert len(plain.difference()) == 2


def test_a_draft_is_not_merged(new_world: NewWorld) -> None:
    world = new_world(more="promotions: {merge: when_pipeline_succeeds}\n", soak="25h")
    world.reconcile()
    world.commit()
    world.reconcile()
    world.later(hours=25).one_pass()
    world.granted(world.people.set_draft(1, draft=True))
    world.reconcile()
    assert world.show().state == "opened"
    world.granted(world.people.set_draft(1, draft=False))
    world.reconcile()
    assert world.show().state == "merged"


@pytest.mark.parametrize("policy", ["never", "when_pipeline_succeeds", "when_approved"])
def test_the_merge_policies(new_world: NewWorld, policy: str) -> None:
    world = new_world(more=f"promotions: {{merge: {policy}}}\n")
    world.reconcile()
    sha = world.commit()
    world.reconcile()
    world.later(hours=25).one_pass()
    world.ci("running")
    world.reconcile()
    assert world.show().state == "opened"
    world.ci("success")
    world.reconcile()
    assert (world.show().state == "merged") is (policy == "when_pipeline_succeeds")
    if policy == "when_approved":
        world.approve()
        world.reconcile()
    assert (world.ref() == sha) is (policy != "never")
    ran = [found for target, found, _ in world.runs() if target == PROD]
    assert ran == ([] if policy == "never" else [sha])


def test_what_came_up_since_it_opened_stops_the_bots_own_merge(new_world: NewWorld) -> None:
    world = new_world(more="promotions: {merge: when_approved}\n")
    world.promoted()
    world.say("alice", 'freeze environment:prod reason="night"')
    world.approve()
    assert (BRANCH, "freeze") in held(world.reconcile())
    assert world.show().state == "opened"
    world.say("alice", "unfreeze environment:prod")
    assert world.show().state == "merged"


def test_a_single_failure_is_held_until_a_newer_version(open_world: World) -> None:
    report = settle(open_world, "failed")
    assert (PROD, "failed") in held(report)
    assert document(open_world.reconcile())["actions"] == []
    newer = open_world.due()
    assert newer[:7] in open_world.the_merge_request().title
    assert (PROD, "failed") not in held(open_world.plan())
    assert open_world.the_merge_request().iid == 1


def test_the_report_follows_the_runs_after_the_merge_up_to_the_last_attempt(open_world: World) -> None:
    open_world.edit("pipelines/deploy.yml", "with:", "retries: 1\nwith:")
    open_world.fail(PROD)
    open_world.merge()
    open_world.reconcile()
    assert "failed" in open_world.report_on(1)
    open_world.fail(PROD, fails=False)
    assert PROD in reasons(open_world.later(hours=2).reconcile())
    assert "succeeded" in open_world.report_on(1)
    assert open_world.reconcile().plan.actions == ()


def test_the_report_follows_a_run_that_was_retried_by_command(open_world: World) -> None:
    open_world.fail(PROD)
    open_world.merge()
    open_world.reconcile()
    open_world.fail(PROD, fails=False)
    open_world.say("bob", f"retry {PROD}")
    assert "succeeded" in open_world.report_on(1)


def test_a_pass_with_nothing_to_do_writes_nothing(open_world: World) -> None:
    watched = [open_world.root / "state.json", *sorted((open_world.folders.forge / "merge_requests").rglob("*"))]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in watched if path.is_file()}
    heads = git(open_world.folders.forge / "config.git", "for-each-ref")
    for _ in range(3):
        assert document(open_world.later(minutes=7).reconcile())["actions"] == []
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before
    assert git(open_world.folders.forge / "config.git", "for-each-ref") == heads


def test_the_bot_writes_nothing_into_the_working_tree(open_world: World) -> None:
    status = git(open_world.config, "status", "--porcelain", "--ignored")
    assert status == b""
    assert git(open_world.config, "rev-parse", "HEAD") == git(open_world.config, "rev-list", "--max-parents=0", "HEAD")


def test_a_lost_state_is_refused_until_adoption_is_asked(open_world: World) -> None:
    (open_world.root / "state.json").unlink()
    with pytest.raises(LostState):
        open_world.plan()
    before = open_world.runs()
    open_world.one_pass(open_world.job(bootstrap="adopt"))
    assert open_world.runs() == before
    assert len(open_world.state().targets) == 2


ALIAS = """\
- name: svc
  url: {url}
  path: /template.yml
  targets:
  - name: stage
    namespace: {{$ref: /svc/stage.yml}}
    ref: main
    promotion: {{publish: [svc-ok]}}
  - name: prod
    namespace: {{$ref: /svc/prod.yml}}
    ref: &prod {sha}
    promotion: {{auto: true, subscribe: [svc-ok]}}
  - name: second
    namespace: {{$ref: /svc/prod.yml}}
    ref: *prod
    promotion: {{auto: true, subscribe: [svc-ok]}}
  - name: third
    namespace: {{$ref: /svc/prod.yml}}
    ref: {sha}
    promotion: {{auto: true, subscribe: [svc-ok]}}
"""


def test_unsafe_edits_are_refused_by_name_and_the_others_go(plain: World) -> None:
    head = plain.on_main("svc/saas.yml").split("- name: svc\n")[0]
    body = ALIAS.format(url=plain.folders.service("svc"), sha=plain.ref())
    plain.push({"svc/saas.yml": head + body})
    plain.reconcile()
    sha = plain.commit()
    report = plain.reconcile()
    refused = {subject for subject, gate in held(report) if gate == "unsafe_edit"}
    assert "svc/svc/second" in refused
    assert "svc/svc/third" not in refused
    assert plain.difference()[-1] == f"+    ref: {sha}"
    assert "svc/svc/second" in plain.report_on(1)
    assert held(plain.reconcile()) == held(report), "it is still said in the next pass"


def test_checkouts_of_people_are_never_needed(open_world: World, tmp_path: Path) -> None:
    assert not open_world.folders.person("bob").exists()
    git(tmp_path, "clone", "--quiet", str(open_world.folders.forge / "config.git"), "fresh")
    assert (tmp_path / "fresh/svc/saas.yml").exists()
