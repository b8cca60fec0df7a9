"""When a target runs, and for which reasons (DESIGN section 3), in whole worlds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from worlds.line_world import document, held, kinds
from worlds.world import PROD, STAGE, NewWorld, World, reasons, why

from bot.providers.git import git
from bot.reconcile import Job

NEW = """\
  - name: {name}
    namespace: {{$ref: /svc/{namespace}.yml}}
    ref: {ref}
"""


def add_target(world: World, name: str, ref: str, more: str = "", *, namespace: str = "stage") -> None:
    """A person appends a target to the SaaS file."""
    content = world.on_main("svc/saas.yml")
    world.push({"svc/saas.yml": content + NEW.format(name=name, ref=ref, namespace=namespace) + more})


def remove_target(world: World, name: str) -> str:
    """A person takes a target out of the SaaS file; returns its text."""
    before = world.on_main("svc/saas.yml")
    begin = before.index(f"  - name: {name}\n")
    end = before.find("  - name: ", begin + 1)
    block = before[begin : end if end > 0 else len(before)]
    world.push({"svc/saas.yml": before.replace(block, "")})
    return block


def bootstrap(world: World, how: str) -> Job:
    return world.job(bootstrap=how)


def test_adoption_starts_nothing_and_publishes_nothing(plain: World) -> None:
    report = plain.reconcile()
    assert kinds(report) == ["record_state", "record_state"]
    assert all(kind == "adopted" for found in reasons(report, "record_state").values() for kind, _ in found)
    assert plain.runs() == []
    assert dict(plain.state().channels) == {}
    assert document(plain.reconcile())["actions"] == []


def test_bootstrap_run_starts_what_no_gate_holds(plain: World) -> None:
    report = plain.one_pass(bootstrap(plain, "run"))
    assert reasons(report).keys() == {STAGE}
    assert (PROD, "published") in held(report)


def test_a_target_that_is_added_later_runs_as_new(plain: World) -> None:
    plain.reconcile()
    add_target(plain, "canary", "main")
    report = plain.reconcile()
    assert [kind for kind, _ in reasons(report)["svc/svc/canary"]] == ["new_target"]
    assert [target for target, _, _ in plain.runs()] == ["svc/svc/canary"]


def test_a_new_subscriber_with_a_sha_that_nobody_published_is_held(plain: World) -> None:
    plain.reconcile()
    sha = plain.ref()
    add_target(plain, "second", sha, "    promotion: {auto: true, subscribe: [svc-ok]}\n", namespace="prod")
    report = plain.reconcile()
    assert why(report, "published").subject == "target:svc/svc/second"
    assert "override" in why(report, "published").text
    assert plain.runs() == []
    _, answer = plain.say("alice", 'override published svc/svc/second reason="it is what production has"')
    assert answer.ok, answer.text
    assert [target for target, _, _ in plain.runs()] == ["svc/svc/second"]


def test_a_changed_parameter_runs_with_the_change_in_words(plain: World) -> None:
    plain.reconcile()
    plain.edit("svc/saas.yml", "LEVEL: info", "LEVEL: debug")
    (found,) = reasons(plain.reconcile()).values()
    assert found == [("config_change", 'parameters.LEVEL: "info" -> "debug"')]


def test_a_shared_namespace_or_parameter_runs_all_that_have_it(plain: World) -> None:
    plain.reconcile()
    plain.edit("svc/saas.yml", "resourceTemplates:", "parameters: {EXTRA: 1}\nresourceTemplates:")
    report = plain.reconcile()
    assert reasons(report).keys() == {STAGE, PROD}
    plain.edit("svc/prod.yml", "cluster: prod", "cluster: elsewhere")
    assert reasons(plain.reconcile()) == {PROD: [("config_change", 'namespace.cluster: "prod" -> "elsewhere"')]}


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("svc/saas.yml", "LEVEL: info", 'LEVEL:   "info"'),
        ("svc/app.yml", "[alice]", "[alice, bob]"),
        ("svc/saas.yml", "soak: 24h", "soak: 1h"),
        ("pipelines/deploy.yml", "with:", "timeout: 2h\nwith:"),
        ("svc/saas.yml", "parameters: {LEVEL: info}", "disable: false\n    parameters: {LEVEL: info}"),
    ],
    ids=["formatting", "owners", "promotion", "time-out", "unset"],
)
def test_what_is_not_effective_starts_nothing(plain: World, path: str, old: str, new: str) -> None:
    plain.reconcile()
    plain.edit(path, old, new)
    report = plain.reconcile()
    assert (document(report)["actions"], held(report)) == ([], set())


def test_a_moved_tag_runs_and_a_branch_that_went_away_holds(plain: World) -> None:
    repo = plain.folders.service("svc")
    git(repo, "tag", "v1", "main")
    plain.edit("svc/saas.yml", "ref: main", "ref: v1")
    plain.reconcile()
    sha = plain.commit()
    assert kinds(plain.reconcile()) == []
    git(repo, "tag", "--force", "v1", sha)
    assert [kind for kind, _ in reasons(plain.reconcile())[STAGE]] == ["moving_commit"]
    git(repo, "tag", "--delete", "v1")
    gone = plain.reconcile()
    assert held(gone) >= {(STAGE, "unreachable")}
    assert "v1" in why(gone, "unreachable").text


def test_an_annotated_tag_stands_for_its_commit(plain: World) -> None:
    repo = plain.folders.service("svc")
    plain.reconcile()
    sha = plain.commit()
    who = ("-c", "user.name=x", "-c", "user.email=x@localhost")
    git(repo, *who, "tag", "--annotate", "--message=one", "v1", sha)
    plain.edit("svc/saas.yml", "ref: main", "ref: v1")
    plain.reconcile()
    assert [found for _, found, _ in plain.runs()] == [sha]


def test_a_failed_run_is_tried_again_with_a_growing_pause(plain: World) -> None:
    plain.edit("pipelines/deploy.yml", "with:", "retries: 2\nwith:")
    plain.reconcile()
    plain.fail(STAGE)
    plain.commit()
    pauses = []
    for attempt in (1, 2):
        report = plain.reconcile()
        assert len(plain.runs()) == attempt
        entry = why(report, "failed")
        assert entry.until == report.plan.next_due
        assert entry.until is not None
        pauses.append(entry.until - plain.now)
        plain.later(seconds=pauses[-1].total_seconds())
    assert pauses[0] < pauses[1]
    last = plain.reconcile()
    assert len(plain.runs()) == 3
    assert why(last, "failed").until is None
    assert kinds(plain.later(days=3).reconcile()) == []
    plain.fail(STAGE, fails=False)
    plain.commit()
    assert reasons(plain.reconcile()).keys() == {STAGE}, "a new commit is a new content"


def test_a_run_by_command_is_manual_and_needs_the_write_role(plain: World) -> None:
    plain.reconcile()
    refused, answer = plain.say("mallory", f"retry {STAGE}")
    assert (answer.ok, kinds(refused)) == (False, [])
    report, answer = plain.say("bob", f"retry {STAGE}")
    assert answer.ok
    assert [kind for kind, _ in reasons(report)[STAGE]] == ["manual"]
    assert kinds(plain.reconcile()) == []


def test_a_renamed_target_keeps_its_record_and_runs_nothing(plain: World) -> None:
    plain.reconcile()
    sha = plain.commit()
    plain.reconcile()
    before = plain.state().targets[STAGE]
    plain.edit("svc/saas.yml", "name: stage", "name: integration")
    report = plain.reconcile()
    assert kinds(report) == ["record_state"]
    assert len(plain.runs()) == 1
    after = plain.state().targets["svc/svc/integration"]
    assert (after.deployed_sha, after.run_number) == (before.deployed_sha, before.run_number)
    assert STAGE not in plain.state().targets
    promoted = plain.later(hours=25).reconcile()
    assert kinds(promoted) == ["open_merge_request"], "its publications moved along"
    assert sha[:7] in plain.the_merge_request().title


def test_a_removed_target_is_kept_for_thirty_days(plain: World) -> None:
    add_target(plain, "canary", "main")
    plain.reconcile()
    before = plain.state().targets["svc/svc/canary"]
    block = remove_target(plain, "canary")
    assert kinds(plain.reconcile()) == ["record_state"]
    assert plain.later(days=29).reconcile().plan.actions == ()
    back = plain.on_main("svc/saas.yml") + block
    plain.push({"svc/saas.yml": back})
    assert kinds(plain.reconcile()) == [], "it came back as it was"
    assert plain.state().targets["svc/svc/canary"] == before
    remove_target(plain, "canary")
    plain.reconcile()
    assert kinds(plain.later(days=31).reconcile()) == ["record_state"]
    assert "svc/svc/canary" not in plain.state().targets
    plain.push({"svc/saas.yml": back})
    assert [kind for kind, _ in reasons(plain.reconcile())["svc/svc/canary"]] == ["new_target"]


def test_a_run_of_a_removed_target_is_followed_to_its_end(plain: World) -> None:
    add_target(plain, "canary", "main", "    parameters: {SLOW: 1}\n")
    plain.push({"deploy.sh": plain.on_main("deploy.sh").replace("sleep 30", "sleep 0.5")})
    plain.reconcile()
    plain.commit()
    assert "svc/svc/canary" in reasons(plain.one_pass())
    remove_target(plain, "canary")
    plain.reconcile()
    run = plain.state().targets["svc/svc/canary"].run
    assert run is not None
    assert run.status == "succeeded"


CANARY = "svc/svc/canary"


def test_a_deleted_target_runs_once_with_the_delete_action(plain: World) -> None:
    add_target(plain, "canary", "main", "    promotion: {publish: [canary-ok]}\n")
    plain.reconcile()
    plain.edit("svc/saas.yml", "[canary-ok]}\n", "[canary-ok]}\n    delete: true\n")
    plain.reconcile()
    assert [(target, action) for target, _, action in plain.runs()] == [(CANARY, "delete")]
    plain.commit()
    assert CANARY not in reasons(plain.reconcile())
    assert "canary-ok" not in plain.state().channels, "a deletion publishes nothing"
    plain.edit("svc/saas.yml", "    delete: true\n", "")
    assert "new_target" in [kind for kind, _ in reasons(plain.reconcile())[CANARY]]


def test_a_deletion_that_failed_is_held_and_runs_again_on_command(plain: World) -> None:
    add_target(plain, "canary", "main", "    delete: true\n")
    plain.edit("svc/saas.yml", "    delete: true\n", "    delete: false\n")
    plain.reconcile()
    plain.fail(CANARY)
    plain.edit("svc/saas.yml", "    delete: false\n", "    delete: true\n")
    assert (CANARY, "failed") in held(plain.reconcile())
    plain.fail(CANARY, fails=False)
    plain.say("bob", f"retry {CANARY}")
    assert [action for target, _, action in plain.runs() if target == CANARY] == ["delete", "delete"]
    assert kinds(plain.reconcile()) == []


def test_a_disabled_target_never_runs(plain: World) -> None:
    add_target(plain, "canary", "main")
    plain.reconcile()
    plain.edit("svc/saas.yml", "canary\n", "canary\n    disable: true\n")
    plain.commit()
    assert reasons(plain.reconcile()).keys() == {STAGE}
    plain.edit("svc/saas.yml", "    disable: true\n", "")
    assert [kind for kind, _ in reasons(plain.reconcile())[CANARY]] == ["moving_commit"]


def test_a_disabled_publisher_makes_its_subscribers_invalid(plain: World) -> None:
    plain.reconcile()
    plain.edit("svc/saas.yml", "    ref: main\n", "    ref: main\n    disable: true\n")
    plain.commit()
    report = plain.reconcile()
    assert (PROD, "invalid") in held(report)
    assert plain.runs() == []


def slow(world: World, pipeline: str = "") -> None:
    """Let stage take half a minute, and production not."""
    world.edit("svc/saas.yml", "{LEVEL: info}", "{SLOW: 1}")
    if pipeline:
        world.edit("pipelines/deploy.yml", "with:", f"{pipeline}with:")


def test_a_newer_commit_waits_for_the_run_in_flight(plain: World) -> None:
    slow(plain)
    plain.push({"deploy.sh": plain.on_main("deploy.sh").replace("sleep 30", "sleep 1")})
    plain.reconcile()
    first = plain.commit()
    plain.one_pass()
    plain.commit()
    newest = plain.commit()
    report = plain.one_pass()
    assert "run_in_flight" in {gate for _, gate in held(report)}
    plain.reconcile()
    assert [sha for _, sha, _ in plain.runs()] == [first, newest], "the newest wins"


def test_on_newer_cancel_stops_the_older_run(plain: World) -> None:
    slow(plain, "onNewer: cancel\n")
    plain.reconcile()
    plain.commit()
    plain.one_pass()
    plain.push({"deploy.sh": plain.on_main("deploy.sh").replace("sleep 30", "sleep 0")})
    newest = plain.commit()
    assert "cancel_run" in kinds(plain.one_pass())
    plain.reconcile()
    record = plain.state().targets[STAGE]
    assert (record.deployed_sha, record.run_number) == (newest, 2)
    assert [each.sha for each in plain.state().channels["svc-ok"]] == [newest]


def test_cancel_by_command_stops_a_run_and_holds_its_content(plain: World) -> None:
    slow(plain)
    plain.reconcile()
    plain.commit()
    plain.one_pass()
    report, answer = plain.say("bob", f"cancel {STAGE}")
    assert (answer.ok, "cancel_run" in kinds(report)) == (True, True)
    assert (STAGE, "failed") in held(plain.later(days=1).reconcile())
    assert "svc-ok" not in plain.state().channels
    assert len(plain.runs()) <= 1


def test_a_run_over_its_time_out_is_stopped_and_has_failed(plain: World) -> None:
    slow(plain, "timeout: 1m\n")
    plain.reconcile()
    plain.commit()
    plain.one_pass()
    plain.now = datetime.now(UTC) + timedelta(hours=1)
    report = plain.reconcile()
    assert "cancel_run" in kinds(report)
    run = plain.state().targets[STAGE].run
    assert run is not None
    assert (run.status, run.text) == ("failed", "timed out")
    assert (STAGE, "failed") in held(plain.reconcile())


def test_going_back_to_an_earlier_commit_runs_again(plain: World) -> None:
    plain.reconcile()
    repo = plain.folders.service("svc")
    first = plain.commit()
    plain.reconcile()
    second = plain.commit()
    plain.reconcile()
    git(repo, "update-ref", "refs/heads/main", first)
    plain.reconcile()
    assert [sha for _, sha, _ in plain.runs()] == [first, second, first]
    assert plain.state().targets[STAGE].deployed_sha == first


def test_a_repository_that_answers_again_is_taken_up(new_world: NewWorld) -> None:
    world = new_world(services=("one", "two"))
    world.reconcile()
    sha = world.commit("one")
    repo = world.folders.service("one")
    away = repo.with_name("away.git")
    repo.rename(away)
    report = world.reconcile()
    assert {subject for subject, gate in held(report) if gate == "unreachable"} == {"one/one/stage"}
    away.rename(repo)
    world.reconcile()
    assert world.runs() == [("one/one/stage", sha, "deploy")]


def test_a_file_that_is_mended_is_taken_up(plain: World) -> None:
    plain.reconcile()
    sha = plain.commit()
    plain.edit("svc/saas.yml", "path: /template.yml", "path: /template.yml\n  colour: blue")
    report = plain.reconcile()
    assert held(report) == {(STAGE, "invalid"), (PROD, "invalid")}
    assert "colour" in next(iter(report.plan.held)).text
    assert all(record.removed_at is None for record in plain.state().targets.values())
    plain.edit("svc/saas.yml", "\n  colour: blue", "")
    plain.reconcile()
    assert plain.runs() == [(STAGE, sha, "deploy")]


def test_an_invalid_shared_file_holds_all_that_it_reaches(new_world: NewWorld) -> None:
    world = new_world(services=("one", "two"))
    world.reconcile()
    world.commit("one")
    sha = world.commit("two")
    world.edit("one/stage.yml", "cluster: stage\n", "")
    report = world.reconcile()
    assert ("one/one/stage", "invalid") in held(report)
    assert not any(subject.startswith("two/") and gate == "invalid" for subject, gate in held(report))
    assert world.runs() == [("two/two/stage", sha, "deploy")]
