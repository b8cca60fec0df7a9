"""Builds and images as sources of change: what a target runs, what it waits for, and what starts nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_values import (
    CI,
    HOUR,
    NOW,
    REGISTRY,
    STAGE,
    World,
    a_run,
    context,
    decided,
    desired,
    held_gates,
    known_history,
    merge_request,
    observed,
    prod,
    published,
    record,
    sha,
    stage,
    state,
    target,
)
from hypothesis import given as drawn
from hypothesis import strategies as st

from bot.core.explain import explain
from bot.core.sources import job_of
from bot.model.desired import Image, Target, Upstream
from bot.model.observed import BranchDiff, Change, Unreachable
from bot.model.plan import CommentAction, Plan, RecordState, StartRun
from bot.model.runs import RunStatus
from bot.model.servers import Pipeline
from bot.model.state import Build, Sources, State, TargetState
from bot.render.tags import image_tag, tag_fault

A, B, C = sha("a"), sha("b"), sha("c")
JOB = "folder/build"
OLD = Build(7, A, NOW - HOUR, "https://ci.example.com/7")
NEW = Build(9, B, NOW - HOUR / 2)
BY_BUILD = Upstream(CI, JOB)
WEB = Image(REGISTRY, "my/web", "{sha7}")
API = Image(REGISTRY, "my/api", "{ref}")
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def web(at: str) -> str:
    return f"my/web:{at[:7]}"


def name(image: str) -> str:
    return f"registry/{image}"


def built(newest: Build | Unreachable | None, **images: Any) -> World:
    return World(builds={JOB: newest}, **images)


def at(commit: str) -> Any:
    return observed(refs={stage().url: {"main": commit}})


def kinds(plan: Plan) -> dict[str, list[str]]:
    """The kinds of reasons of each run that is started."""
    starts = [action for action in plan.actions if isinstance(action, StartRun)]
    return {action.target: [reason.kind for reason in action.reasons] for action in starts}


def texts(plan: Plan) -> list[str]:
    return [reason.text for action in plan.actions for reason in action.reasons]


def kept(plan: Plan, known: State | None = None) -> TargetState:
    """The record of the stage target after this plan."""
    found = plan.record or known
    assert found is not None
    return found.targets[STAGE]


def follower(**fields: Any) -> Target:
    return stage(upstream=BY_BUILD, **fields)


def recorded(given: Target, build: Build | None = OLD, **fields: Any) -> State:
    return state(record(given, A, sources=of(given, build), **fields))


def of(given: Target, build: Build | None, digests: dict[str, str] | None = None) -> Sources:
    """What is recorded of a target that follows builds."""
    return Sources(build, digests or {}, job_of(given))


# Builds


def test_a_newer_success_starts_its_commit_and_not_the_branch() -> None:
    plan = decided(context(follower(), recorded=recorded(follower()), seen=at(C)), built(NEW))
    assert kinds(plan) == {STAGE: ["upstream_build"]}
    assert texts(plan) == [f"build 9 of {JOB} succeeded at {B[:7]}"]
    assert (kept(plan).sha, kept(plan).sources) == (B, of(follower(), NEW))


def test_the_same_build_starts_nothing_and_writes_nothing() -> None:
    given = recorded(follower())
    plan = decided(context(follower(), recorded=replace(given, time=NOW)), built(OLD))
    assert (plan.actions, plan.held, plan.record) == ((), (), None)


def test_a_build_of_the_same_commit_runs_it_again() -> None:
    again = replace(NEW, sha=A)
    assert kinds(decided(context(follower(), recorded=recorded(follower())), built(again))) == {
        STAGE: ["upstream_build"]
    }


@pytest.mark.parametrize(
    "uncovered", [None, replace(OLD, number=3, sha=C, at=NOW - 5 * HOUR), replace(OLD, number=6, sha=C)]
)
def test_builds_that_were_deleted_take_nothing_back(uncovered: Build | None) -> None:
    plan = decided(context(follower(), recorded=recorded(follower())), built(uncovered))
    assert (plan.actions, plan.held) == ((), ())


def test_a_job_that_was_made_anew_counts_by_time() -> None:
    plan = decided(context(follower(), recorded=recorded(follower())), built(Build(1, B, NOW)))
    assert kinds(plan) == {STAGE: ["upstream_build"]}


def test_without_a_success_a_new_target_waits_and_says_for_what() -> None:
    plan = decided(context(follower(), recorded=state()), built(None))
    assert plan.actions == ()
    assert held_gates(plan, f"target:{STAGE}") == {"unreachable"}
    assert plan.held[0].text == f"waits for a build: {JOB} on ci has not succeeded yet for main"


def test_a_server_that_cannot_be_asked_holds_its_target_only() -> None:
    broken = stage("svc/web/other", ref="main", environment="o")
    given = state(record(follower(), A, sources=of(follower(), OLD)), record(broken, A))
    changed = replace(follower(), parameters={"X": "1"})
    plan = decided(context(changed, broken, recorded=given, seen=at(B)), built(Unreachable("ci: GET job: no answer")))
    assert kinds(plan) == {"svc/web/other": ["moving_commit"]}
    assert [held.text for held in plan.held] == ["ci: GET job: no answer"]


def test_a_change_of_the_configuration_goes_out_at_the_commit_that_was_built() -> None:
    changed = replace(follower(), parameters={"X": "1"})
    plan = decided(context(changed, recorded=recorded(follower()), seen=at(C)), built(OLD))
    assert kinds(plan) == {STAGE: ["config_change"]}
    assert kept(plan).sha == A


def test_a_pin_says_itself_what_runs() -> None:
    pinned = target(STAGE, B, upstream=BY_BUILD)
    plan = decided(context(pinned, recorded=state(record(target(STAGE, A, upstream=BY_BUILD)))), built(NEW))
    assert kinds(plan) == {STAGE: ["config_change"]}
    assert kept(plan).sources is None


def test_a_branch_that_is_built_from_now_on_starts_only_what_is_not_there() -> None:
    """A target that gets an upstream, or was recorded by a release that read none."""
    plain = state(record(stage(), A))
    silent = decided(context(follower(), recorded=plain), built(OLD))
    assert kinds(silent) == {}
    assert kept(silent).sources == of(follower(), OLD)
    assert kinds(decided(context(follower(), recorded=plain), built(NEW))) == {STAGE: ["upstream_build"]}
    ahead = state(record(stage(), C))
    taken = decided(context(follower(), recorded=ahead), built(OLD))
    assert (kinds(taken), kept(taken).sha) == ({}, C)
    assert kept(taken).sources == of(follower(), OLD)
    changed = follower(parameters={"X": "1"})
    for known in (taken.record, ahead):
        later = decided(context(changed, recorded=known), built(OLD))
        assert (kinds(later), kept(later).sha) == ({STAGE: ["config_change"]}, C)
    newer = decided(context(follower(), recorded=taken.record), built(replace(NEW, sha=sha("d"))))
    assert (kinds(newer), kept(newer).sha) == ({STAGE: ["upstream_build"]}, sha("d"))
    rewritten = decided(context(follower(), recorded=state(record(stage(), sha("gone")))), built(OLD))
    assert kinds(rewritten) == {STAGE: ["upstream_build"]}
    back = decided(context(stage(), recorded=recorded(follower())))
    assert (kinds(back), kept(back).sources) == ({}, None)


def test_a_first_build_waits_for_the_history_that_says_whether_it_is_newer() -> None:
    plain = state(record(stage(), A))
    seen = observed(lineages={stage().url: Unreachable("git is down")})
    plan = decided(context(follower(), recorded=plain, seen=seen), built(NEW))
    assert (kinds(plan), [held.text for held in plan.held]) == ({}, ["git is down"])
    assert kept(plan, plain).sources is None


@pytest.mark.parametrize("change", [{"ref": "release"}, {"url": "https://git.example.com/my/other"}])
def test_a_build_of_another_branch_or_repository_says_nothing_of_this_one(change: dict[str, Any]) -> None:
    given = state(record(follower(), B, sources=of(follower(), NEW)))
    other = follower(**change)
    older = Build(3, C, NOW - 5 * HOUR)
    plan = decided(context(other, recorded=given), built(older))
    assert (kinds(plan)[STAGE][0], kept(plan).sha) == ("config_change", C)
    waits = decided(context(other, recorded=given), built(None))
    assert (kinds(waits), held_gates(waits, f"target:{STAGE}")) == ({}, {"unreachable"})


# Adoption


def test_adoption_records_the_build_that_is_there() -> None:
    plan = decided(context(follower()), built(NEW))
    assert [type(action) for action in plan.actions] == [RecordState]
    assert (kept(plan).sha, kept(plan).sources) == (B, of(follower(), NEW))
    assert decided(context(follower(), recorded=plan.record), built(NEW)).actions == ()


def test_the_first_success_after_adoption_starts() -> None:
    adopted = decided(context(follower()), built(None))
    assert texts(adopted) == [f"nothing was started: it waits for a build: {JOB} on ci has not succeeded yet for main"]
    assert kinds(decided(context(follower(), recorded=adopted.record), built(NEW))) == {STAGE: ["upstream_build"]}


def test_what_could_not_be_read_at_adoption_is_recorded_later_and_starts_nothing() -> None:
    adopted = decided(context(follower()), built(Unreachable("ci is down")))
    later = decided(context(follower(), recorded=adopted.record), built(NEW))
    assert (kinds(later), kept(later).sha) == ({}, B)
    assert decided(context(follower(), recorded=later.record), built(NEW)).actions == ()


def test_an_image_that_was_missing_at_adoption_starts_when_it_is_there() -> None:
    given = stage(images=(WEB,))
    adopted = decided(context(given), World())
    assert kept(adopted).sources == Sources()
    plan = decided(context(given, recorded=adopted.record), World(images={web(A): ONE}))
    assert (kinds(plan), texts(plan)) == ({STAGE: ["image"]}, [f"{name(web(A))} exists now"])


@pytest.mark.parametrize(
    ("down", "missing", "there"),
    [
        (built(Unreachable("ci is down"), images={web(B): ONE}), built(None), built(NEW, images={web(B): ONE})),
        (built(NEW, images={web(B): Unreachable("no")}), built(NEW), built(NEW, images={web(B): ONE})),
    ],
)
def test_what_was_out_of_reach_at_adoption_and_is_missing_then_starts_when_it_is_there(
    down: World, missing: World, there: World
) -> None:
    given = follower(images=(WEB,))
    adopted = decided(context(given), down)
    waits = decided(context(given, recorded=adopted.record), missing)
    assert (kinds(waits), held_gates(waits, f"target:{STAGE}")) == ({}, {"unreachable"})
    plan = decided(context(given, recorded=waits.record), there)
    assert (list(kinds(plan)), kept(plan).sha) == ([STAGE], B)


def test_a_disabled_target_asks_nobody() -> None:
    off = stage(upstream=BY_BUILD, images=(WEB,), disable=True)
    assert decided(context(off, recorded=recorded(off)), World()).held == ()


# Images


def with_images(**fields: Any) -> Target:
    return stage(images=(WEB, API), **fields)


IMAGED = Sources(digests={name(web(A)): ONE, name("my/api:main"): ONE})
THERE = {web(A): ONE, "my/api:main": ONE}


def known_images(given: Target, **fields: Any) -> State:
    return state(record(given, A, sources=IMAGED, **fields))


def test_a_commit_runs_when_all_its_images_exist() -> None:
    given = with_images()
    waits = decided(context(given, recorded=known_images(given), seen=at(B)), World(images=THERE))
    assert kinds(waits) == {}
    assert held_gates(waits, f"target:{STAGE}") == {"unreachable"}
    assert waits.held[0].text == f"waits for the image of {B[:7]}: {web(B)} in registry"
    there = World(images={**THERE, web(B): TWO})
    plan = decided(context(given, recorded=known_images(given), seen=at(B)), there)
    assert kinds(plan) == {STAGE: ["image"]}
    assert texts(plan) == [f"main is at {B[:7]} now and its images exist"]
    sources = kept(plan).sources
    assert sources is not None
    assert sources.digests == {name(web(B)): TWO, name("my/api:main"): ONE}


def test_every_missing_image_is_named() -> None:
    given = with_images()
    plan = decided(context(given, recorded=state()), World())
    assert plan.held[0].text == f"waits for the images of {A[:7]}: {web(A)} in registry, my/api:main in registry"


def test_a_digest_that_moved_starts_the_same_commit_once() -> None:
    given = with_images()
    moved = World(images={**THERE, "my/api:main": TWO})
    plan = decided(context(given, recorded=known_images(given)), moved)
    assert (kinds(plan), kept(plan).sha) == ({STAGE: ["image"]}, A)
    assert texts(plan) == ["registry/my/api:main moved 111111111111 -> 222222222222"]
    run = kept(plan).run
    assert run is not None
    done = replace(kept(plan), run=replace(run, status=RunStatus.SUCCEEDED, finished_at=NOW))
    after = decided(context(given, recorded=state(done)), moved)
    assert after.actions == ()


def test_a_sentence_names_a_few_of_many_images() -> None:
    many = tuple(Image(REGISTRY, f"my/{n}", "main") for n in range(5))
    given = stage(images=many)
    before = Sources(digests={name(f"my/{n}:main"): ONE for n in range(5)})
    world = World(images={f"my/{n}:main": TWO for n in range(5)})
    (text,) = texts(decided(context(given, recorded=state(record(given, A, sources=before))), world))
    assert text.count("moved") == 3
    assert text.endswith("; and 2 more")


def test_a_configuration_that_changes_while_the_next_commit_waits_goes_out_at_the_present_one() -> None:
    given = with_images()
    changed = replace(given, parameters={"X": "1"})
    plan = decided(context(changed, recorded=known_images(given), seen=at(B)), World(images=THERE))
    assert (kinds(plan), kept(plan).sha) == ({STAGE: ["config_change"]}, A)
    gone = decided(context(changed, recorded=known_images(given), seen=at(B)), World())
    assert kinds(gone) == {}


@pytest.mark.parametrize("other", [{"ref": "develop"}, {"ref": B}])
def test_another_ref_waits_for_its_images_and_does_not_run_the_old_commit(other: dict[str, Any]) -> None:
    given = with_images()
    seen = observed(refs={given.url: {"main": A, "develop": B}})
    plan = decided(context(replace(given, **other), recorded=known_images(given), seen=seen), World(images=THERE))
    assert kinds(plan) == {}
    assert held_gates(plan, f"target:{STAGE}") == {"unreachable"}


def test_other_images_are_a_change_of_the_configuration() -> None:
    given, changed = with_images(), stage(images=(WEB,))
    plan = decided(context(changed, recorded=known_images(given)), World(images=THERE))
    assert kinds(plan) == {STAGE: ["config_change"]}
    more = decided(context(given, recorded=state(record(changed, A, sources=Sources()))), World(images=THERE))
    assert kinds(more) == {STAGE: ["config_change"]}


def test_a_registry_that_cannot_be_asked_holds() -> None:
    given = with_images()
    plan = decided(context(given, recorded=known_images(given)), World(images={web(A): Unreachable("no answer")}))
    assert [(held.gate, held.text) for held in plan.held] == [("unreachable", "no answer")]


def test_a_build_and_images_are_both_waited_for() -> None:
    given = stage(upstream=BY_BUILD, images=(WEB,))
    known = state(record(given, A, sources=of(given, OLD, {name(web(A)): ONE})))
    waits = decided(context(given, recorded=known), built(NEW, images={web(A): ONE}))
    assert kinds(waits) == {}
    plan = decided(context(given, recorded=known), built(NEW, images={web(A): ONE, web(B): TWO}))
    assert kinds(plan) == {STAGE: ["upstream_build"]}
    assert kept(plan).sources == of(given, NEW, {name(web(B)): TWO})


def test_a_failed_run_is_tried_with_a_moved_image_at_once_and_not_without() -> None:
    given = with_images(pipeline=replace(stage().pipeline, retries=1))
    known = known_images(given, run=a_run(given, A, RunStatus.FAILED, attempt=2))
    assert held_gates(decided(context(given, recorded=known), World(images=THERE)), f"target:{STAGE}") == {"failed"}
    plan = decided(context(given, recorded=known), World(images={**THERE, web(A): TWO}))
    assert kinds(plan) == {STAGE: ["image"]}
    run = kept(plan).run
    assert run is not None
    assert run.attempt == 1


def test_what_is_deleted_waits_for_nothing() -> None:
    given = with_images(upstream=BY_BUILD)
    plan = decided(context(replace(given, delete=True), recorded=known_images(given)), World())
    assert kinds(plan) == {STAGE: ["config_change"]}


def test_a_promotion_waits_for_the_images_of_its_commit() -> None:
    given = replace(prod(ref=B), images=(WEB,))
    before = replace(prod(ref=A), images=(WEB,))
    known = state(
        record(before, sources=Sources(digests={name(web(A)): ONE})), record(stage()), ok=(published(STAGE, B),)
    )
    seen = observed(**known_history(A, B))
    waits = decided(context(given, stage(), recorded=known, seen=seen), World(images={web(A): ONE}))
    assert kinds(waits) == {}
    plan = decided(context(given, stage(), recorded=known, seen=seen), World(images={web(A): ONE, web(B): ONE}))
    assert kinds(plan) == {given.id: ["promotion"]}


# What people are told


def test_explain_says_what_a_target_waits_for() -> None:
    given = with_images()
    seen = observed(
        refs={given.url: {"main": A}}, images={("registry", "my/web", A[:7]): "", ("registry", "my/api", "main"): ONE}
    )
    found = explain(context(given, recorded=known_images(given), seen=seen), STAGE)
    assert found.problem == f"waits for the image of {A[:7]}: {web(A)} in registry"


@pytest.mark.parametrize("images", [{}, THERE, {web(A): Unreachable("no answer")}])
def test_the_plan_of_a_persons_merge_request_knows_builds_and_images(images: dict[str, Any]) -> None:
    given = with_images()
    changed = replace(given, parameters={"X": "1"})
    seen = replace(at(A), merge_requests={4: merge_request("topic", 4, author="bob")})
    change = BranchDiff(sha("base"), (Change(given.file, b"", b"x"),))
    world = World(images=images, proposals={4: desired(changed)}, diffs={4: change})
    plan = decided(context(given, recorded=known_images(given), seen=seen), world)
    (report,) = [action for action in plan.actions if isinstance(action, CommentAction)]
    assert f"`{STAGE}`" in report.body
    assert "parameters" in report.body


# Tags


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("{sha7}", A[:7]),
        ("{sha}", A),
        ("v-{sha12}", f"v-{A[:12]}"),
        ("{ref}", "feature-x"),
        ("{ref}-{sha1}", f"feature-x-{A[0]}"),
        ("latest", "latest"),
    ],
)
def test_tags_are_filled(template: str, tag: str) -> None:
    assert tag_fault(template) == ""
    assert {image_tag(template, A, f"{kind}feature/x") for kind in ("", "refs/heads/", "refs/tags/")} == {tag}


@pytest.mark.parametrize(
    "template", ["{sha0}", "{sha41}", "{sha99}", "{branch}", "a b", "", ".x", "x" * 129, "{sha", "a/b"]
)
def test_tags_that_no_image_can_have(template: str) -> None:
    assert tag_fault(template)


@drawn(st.text(max_size=20))
def test_a_ref_gives_a_tag_without_forbidden_characters(ref: str) -> None:
    assert not set(image_tag("{ref}", A, ref)) - set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    )


def test_the_pause_between_retries_counts_where_nothing_moved() -> None:
    given = with_images(pipeline=Pipeline("deploy", stage().pipeline.instance, retries=2))
    failed = a_run(given, A, RunStatus.FAILED, finished_at=NOW - timedelta(seconds=1))
    plan = decided(context(given, recorded=known_images(given, run=failed)), World(images=THERE))
    assert held_gates(plan, f"target:{STAGE}") == {"failed"}
