"""What may go to production and when (DESIGN section 4), in whole worlds."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from worlds.line_world import held, kinds
from worlds.world import BRANCH, PROD, STAGE, World, reasons, why

from bot.providers.git import git

EAST = """\
  - name: east
    namespace: {$ref: /svc/stage.yml}
    ref: main
    promotion: {publish: [svc-ok]}
"""


def second_publisher(world: World) -> None:
    """A second target publishes the same channel."""
    world.push({"svc/saas.yml": world.on_main("svc/saas.yml") + EAST})


def gates_of(world: World, subject: str = PROD) -> set[str]:
    """The gates that hold a subject in a plan."""
    return {gate for name, gate in held(world.plan()) if name == subject}


def test_the_soak_is_counted_from_the_last_publishers_first_success(plain: World) -> None:
    second_publisher(plain)
    plain.reconcile()
    plain.fail("svc/svc/east")
    plain.commit()
    assert why(plain.reconcile(), "same_sha").subject == f"target:{PROD}"
    plain.later(hours=10)
    plain.fail("svc/svc/east", fails=False)
    report, _ = plain.say("bob", "retry svc/svc/east")
    assert why(report, "soak").until == plain.now + timedelta(hours=24), "the longest wait counts, not the sum"
    assert kinds(plain.later(hours=23).reconcile()) == []
    assert kinds(plain.later(hours=1).reconcile()) == ["open_merge_request"]


def test_a_success_again_does_not_start_the_soak_anew(plain: World) -> None:
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    plain.later(hours=20)
    plain.say("bob", f"retry {STAGE}")
    assert kinds(plain.later(hours=5).reconcile()) == ["open_merge_request"]


def test_publishers_that_skip_different_commits_agree_on_a_common_one(plain: World) -> None:
    second_publisher(plain)
    plain.reconcile()
    shas = []
    for failing in ("svc/svc/east", "", STAGE):
        if failing:
            plain.fail(failing)
        shas.append(plain.commit())
        plain.reconcile()
        if failing:
            plain.fail(failing, fails=False)
    report = plain.later(hours=25).reconcile()
    assert kinds(report) == ["open_merge_request"]
    assert shas[1][:7] in plain.the_merge_request().title


def test_a_later_failure_of_the_same_sha_withdraws_it(plain: World) -> None:
    plain.promoted()
    plain.fail(STAGE)
    report, _ = plain.say("bob", f"retry {STAGE}")
    assert "close_merge_request" in kinds(report)
    assert plain.merge_requests() == []
    plain.fail(STAGE, fails=False)
    plain.say("bob", f"retry {STAGE}")
    assert kinds(plain.later(hours=25).reconcile()) == ["open_merge_request"], "a withdrawal is no veto"


def test_a_failure_of_another_sha_withdraws_nothing(plain: World) -> None:
    sha = plain.promoted()
    plain.fail(STAGE)
    plain.commit()
    assert "close_merge_request" not in kinds(plain.reconcile())
    assert sha[:7] in plain.the_merge_request().title


def test_outside_its_window_nothing_is_promoted_or_started(plain: World) -> None:
    plain.edit("svc/saas.yml", "soak: 24h", 'soak: 1h\n      windows: [{cron: "0 9 * * 1-4", duration: 8h}]')
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    plain.now = plain.now.replace(hour=20)
    report = plain.reconcile()
    assert kinds(report) == []
    assert why(report, "window").until == plain.now.replace(day=plain.now.day + 1, hour=9)
    plain.later(hours=13)
    assert kinds(plain.reconcile()) == ["open_merge_request"]
    plain.now = plain.now.replace(hour=18)
    plain.merge()
    assert (kinds(plain.reconcile()), gates_of(plain)) == ([], {"window"})
    assert reasons(plain.later(hours=15).reconcile()).keys() == {PROD}


FREEZE = """\
$schema: /freeze-1.json
name: audit
owner: release-team
reason: the auditors are here
scope: {{environments: [prod]}}
windows: [{{from: {start}, to: {end}}}]
"""


def test_a_freeze_in_a_file_holds_its_scope_and_says_until_when(plain: World) -> None:
    end = plain.now + timedelta(hours=48)
    plain.push({"freezes/audit.yml": FREEZE.format(start=plain.now.isoformat(), end=end.isoformat())})
    plain.reconcile()
    plain.commit()
    assert reasons(plain.reconcile()).keys() == {STAGE}, "stage is not in its scope"
    report = plain.later(hours=25).reconcile()
    assert kinds(report) == []
    assert (why(report, "freeze").until, "auditors" in why(report, "freeze").text) == (end, True)
    assert kinds(plain.later(hours=23).reconcile()) == ["open_merge_request"]


def test_a_freeze_by_command_stops_the_line_until_it_is_lifted(plain: World) -> None:
    plain.reconcile()
    _, refused = plain.say("bob", 'freeze all reason="no"')
    assert not refused.ok
    assert "alice" in refused.text
    _, answer = plain.say("alice", 'freeze all reason="bad night"')
    assert answer.ok
    plain.commit()
    assert "bad night" in why(plain.reconcile(), "freeze").text
    assert plain.runs() == []
    report, _ = plain.say("alice", "unfreeze all")
    assert reasons(report).keys() == {STAGE}


def test_a_freeze_by_command_with_an_end_lifts_itself(plain: World) -> None:
    plain.reconcile()
    plain.say("alice", 'freeze environment:stage 4h reason="maintenance"')
    plain.commit()
    assert why(plain.reconcile(), "freeze").until == plain.now + timedelta(hours=4)
    assert reasons(plain.later(hours=4).reconcile()).keys() == {STAGE}
    plain.reconcile()
    assert plain.state().freezes == ()


def component(world: World, kind: str, *shas: str) -> None:
    """A person writes versions of the service into the app file."""
    content = world.on_main("svc/app.yml").split("codeComponents")[0]
    part = f"codeComponents: [{{url: {world.folders.service('svc')}, {kind}: [{', '.join(shas)}]}}]\n"
    world.push({"svc/app.yml": content + part})


def test_a_blocked_version_is_passed_over_and_never_started(plain: World) -> None:
    plain.reconcile()
    first = plain.commit()
    plain.reconcile()
    second = plain.commit()
    plain.reconcile()
    component(plain, "blockedVersions", second)
    report = plain.later(hours=25).reconcile()
    assert kinds(report) == ["open_merge_request"]
    assert first[:7] in plain.the_merge_request().title
    plain.say("bob", f"retry {STAGE}")
    assert len(plain.runs()) == 2, "stage follows main, which is at the blocked version"
    assert (STAGE, "blocked_version") in held(plain.reconcile())


def test_blocking_by_command_takes_the_version_out_of_its_merge_request(plain: World) -> None:
    sha = plain.promoted()
    url = plain.folders.service("svc")
    _, refused = plain.say("bob", f'block {url} {sha} reason="it eats data"')
    assert not refused.ok
    report, answer = plain.say("alice", f'block {url} {sha} reason="it eats data"')
    assert answer.ok
    assert "close_merge_request" in kinds(report)
    assert "eats data" in why(plain.reconcile(), "blocked_version").text
    report, _ = plain.say("alice", f"unblock {url} {sha}")
    assert "open_merge_request" in kinds(report)


def test_a_hotfix_by_command_passes_soak_and_freeze(plain: World) -> None:
    plain.reconcile()
    sha = plain.commit()
    component(plain, "hotfixVersions", sha)
    plain.say("alice", 'freeze environment:prod reason="night"')
    report = plain.reconcile()
    assert plain.merge_requests() == [], "it is never a candidate by itself"
    assert (PROD, "freeze") in held(report)
    _, answer = plain.say("alice", f"promote {PROD} {sha}")
    assert answer.ok
    plain.merge(plain.the_merge_request().iid)
    assert PROD in reasons(plain.reconcile())


def test_a_person_who_moves_the_ref_passes_the_same_gates(plain: World) -> None:
    plain.reconcile()
    old, sha = plain.ref(), plain.commit()
    plain.reconcile()
    plain.edit("svc/saas.yml", f"ref: {old}", f"ref: {sha}")
    assert (kinds(plain.reconcile()), gates_of(plain)) == ([], {"soak"})
    report = plain.later(hours=25).reconcile()
    assert [kind for kind, _ in reasons(report)[PROD]] == ["promotion"], "never also config_change"


def test_a_sha_that_nobody_published_is_held(plain: World) -> None:
    plain.reconcile()
    plain.fail(STAGE)
    old, sha = plain.ref(), plain.commit()
    plain.reconcile()
    plain.edit("svc/saas.yml", f"ref: {old}", f"ref: {sha}")
    plain.reconcile()
    assert gates_of(plain) == {"published"}
    _, refused = plain.say("bob", f'override published {PROD} reason="I know"')
    assert not refused.ok
    report, answer = plain.say("alice", f'override published {PROD} reason="I know"')
    assert answer.ok, answer.text
    assert PROD in reasons(report)


def test_an_override_holds_for_one_version_only(plain: World) -> None:
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    report, answer = plain.say("alice", f'override soak {PROD} reason="urgent"')
    assert answer.ok
    assert kinds(report) == ["open_merge_request"]
    plain.merge()
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    assert gates_of(plain) == {"soak"}


def test_going_back_by_hand_is_held(plain: World) -> None:
    old = plain.ref()
    sha = plain.promoted()
    plain.merge()
    plain.reconcile()
    plain.edit("svc/saas.yml", f"ref: {sha}", f"ref: {old}")
    plain.reconcile()
    assert "going_back" in gates_of(plain)
    assert [found for target, found, _ in plain.runs() if target == PROD] == [sha]


def test_a_rewritten_history_holds_what_it_left_behind(plain: World) -> None:
    plain.reconcile()
    repo = plain.folders.service("svc")
    tree = git(repo, "mktree", stdin=b"").decode().strip()
    who = {f"GIT_{role}_{part}": "dana@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    other = git(repo, "commit-tree", tree, "-m", "another root", env=who).decode().strip()
    git(repo, "update-ref", "refs/heads/main", other)
    plain.reconcile()
    report = plain.later(hours=25).reconcile()
    assert kinds(report) == []
    assert "does not descend" in why(report, "going_back").text


def test_going_back_with_a_rollback_and_forth_with_unpin(plain: World) -> None:
    old = plain.ref()
    sha = plain.promoted()
    plain.merge()
    plain.reconcile()
    _, refused = plain.say("bob", f"rollback {PROD}")
    assert not refused.ok
    _, answer = plain.say("alice", f"rollback {PROD}")
    assert answer.ok
    opened = plain.the_merge_request()
    assert opened.title.startswith("Roll back")
    assert plain.difference(opened.iid) == [f"-    ref: {sha}", f"+    ref: {old}"]
    plain.merge(opened.iid)
    plain.reconcile()
    assert [found for target, found, _ in plain.runs() if target == PROD] == [sha, old]
    plain.due()
    assert gates_of(plain) == {"hold"}, "it stays there"
    assert plain.merge_requests() == []
    report, _ = plain.say("alice", f"unpin {PROD}")
    assert "open_merge_request" in kinds(report)


def test_a_pinned_target_is_not_promoted_until_unpinned(plain: World) -> None:
    plain.reconcile()
    _, answer = plain.say("alice", f"pin {PROD}")
    assert answer.ok
    plain.due()
    assert (gates_of(plain), plain.merge_requests()) == ({"hold"}, [])
    report, _ = plain.say("alice", f"unpin {PROD}")
    assert kinds(report) == ["open_merge_request"]


def test_without_auto_only_a_command_promotes(plain: World) -> None:
    plain.edit("svc/saas.yml", "auto: true", "auto: false")
    plain.reconcile()
    sha = plain.due()
    assert plain.merge_requests() == []
    report, answer = plain.say("alice", f"promote {PROD}")
    assert answer.ok
    assert kinds(report) == ["open_merge_request"]
    assert sha[:7] in plain.the_merge_request().title
    assert kinds(plain.reconcile()) == []


def test_a_promotion_by_command_waits_for_its_gates(plain: World) -> None:
    plain.reconcile()
    sha = plain.commit()
    plain.reconcile()
    report, answer = plain.say("alice", f"promote {PROD} {sha}")
    assert answer.ok
    assert (kinds(report), gates_of(plain)) == ([], {"soak"})
    assert kinds(plain.later(hours=24).reconcile()) == ["open_merge_request"]


@pytest.mark.parametrize("words", [f"promote {PROD} {'0' * 40}", "promote svc/svc/nothing", "promot x", "merge"])
def test_commands_that_cannot_be_carried_out_are_answered(plain: World, words: str) -> None:
    plain.reconcile()
    report, answer = plain.say("alice", words)
    assert kinds(report) == []
    assert answer.text
    if answer.ok:
        assert "published" in gates_of(plain), "a version that nobody published waits"


def test_a_publishers_new_configuration_redeploys_where_that_is_wished(plain: World) -> None:
    plain.edit("svc/saas.yml", "auto: true", "auto: true\n      redeployOnPublisherConfigChange: true")
    plain.reconcile()
    sha = plain.promoted()
    plain.merge()
    plain.reconcile()
    plain.edit("svc/saas.yml", "LEVEL: info", "LEVEL: debug")
    report = plain.reconcile()
    assert [kind for kind, _ in reasons(report)[PROD]] == ["publisher_config"]
    assert plain.merge_requests() == []
    assert plain.runs()[-1] == (PROD, sha, "deploy")
    assert kinds(plain.reconcile()) == []


def test_the_clock_before_the_last_pass_holds_what_depends_on_time(plain: World) -> None:
    plain.reconcile()
    plain.commit()
    plain.reconcile()
    plain.later(hours=30).reconcile()
    plain.close()
    plain.due()
    now: datetime = plain.now
    plain.later(hours=-48)
    assert "clock" in why(plain.plan(), "soak").text
    plain.now = now
    assert "soak" not in gates_of(plain)
    assert plain.the_merge_request().source_branch == BRANCH
