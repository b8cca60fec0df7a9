"""Stories that are told with a fault at every call: each reads the same in memory and at the local forge."""

from __future__ import annotations

from typing import Any

from worlds.memory_walk import Story

STAGE = "svc/svc/stage"
PROD = "svc/svc/prod"
GREEN = "promotions: {merge: when_pipeline_succeeds}\n"
BOARD = 'dashboard: {title: "Deployments"}\n'


def nothing(world: Any) -> None:
    """Nobody does anything."""
    del world


def commit(world: Any) -> None:
    """Somebody pushes a commit to the service."""
    world.commit()


def a_day_later(world: Any) -> None:
    """The soak is over."""
    world.later(hours=25)


# 1: what makes a target run.


def config_changes(world: Any) -> None:
    """A person changes a parameter of staging."""
    world.edit("svc/saas.yml", "LEVEL: info", "LEVEL: debug")


NEW_TARGET = """\
  - name: extra
    namespace: {$ref: /svc/stage.yml}
    ref: main
"""


def new_target(world: Any) -> None:
    """A person adds a target that follows `main`, and somebody commits at the same time."""
    text = world.on_main("svc/saas.yml")
    world.push({"svc/saas.yml": text.replace("  - name: prod\n", f"{NEW_TARGET}  - name: prod\n")})
    world.commit()


def triggered(world: Any) -> None:
    """Every change has run once, with the newest commit last."""
    first, second = world.shas
    extra = "svc/svc/extra"
    assert sorted(world.runs()) == sorted(
        [(STAGE, first, "deploy"), (STAGE, first, "deploy"), (STAGE, second, "deploy"), (extra, second, "deploy")]
    )
    assert [each.sha for each in world.state().channels["svc-ok"]] == [first, second]


SOURCES = {
    "instances/ci.yml": "$schema: /instance-1.json\nname: ci\nprovider: jenkins\nurl: https://ci.example.com\n",
    "instances/registry.yml": (
        "$schema: /instance-1.json\nname: registry\nprovider: registry\nurl: https://registry.example.com\n"
    ),
}
FROM_SOURCES = """\
  - name: built
    namespace: {$ref: /svc/stage.yml}
    ref: main
    upstream: {instance: {$ref: /instances/ci.yml}, name: svc-build}
  - name: imaged
    namespace: {$ref: /svc/stage.yml}
    ref: main
    images: [{instance: {$ref: /instances/registry.yml}, repository: my/svc, tag: "{sha7}"}]
"""


def has_sources(world: Any) -> None:
    """One target waits for builds, another one for images."""
    text = world.on_main("svc/saas.yml")
    world.push({**SOURCES, "svc/saas.yml": text.replace("  - name: prod\n", f"{FROM_SOURCES}  - name: prod\n")})


def built(world: Any) -> None:
    """The commit was built."""
    world.builds("svc-build")


def imaged(world: Any) -> None:
    """Its image is there."""
    world.pushes_image("my/svc", "sha256:1")


def imaged_again(world: Any) -> None:
    """The image was built anew, from the same commit."""
    world.pushes_image("my/svc", "sha256:2")
    world.builds("svc-build")


def from_sources(world: Any) -> None:
    """Each ran for each build or image that it waits for."""
    (sha,) = world.shas
    runs = [target for target, ran, _ in world.runs() if ran == sha]
    assert sorted(runs) == ["svc/svc/built", "svc/svc/built", "svc/svc/imaged", "svc/svc/imaged", STAGE]


SOURCED = Story("sources", (has_sources, commit, built, imaged, imaged_again), from_sources)
TRIGGER = Story("trigger", (nothing, commit, config_changes, new_target), triggered)


# 2: a promotion, from the publisher's success to the report on its run.


def held(world: Any) -> None:
    """Somebody has it held, and asks two questions."""
    world.comment("bob", "/saasbot hold not before lunch")
    world.comment("bob", "/saasbot explain")
    world.comment("bob", "/saasbot nonsense")


def let_go(world: Any) -> None:
    """It is let go."""
    world.comment("alice", "/saasbot unhold")


def ci_is_green(world: Any) -> None:
    """What is set to merge is merged."""
    world.says_ci("success")


def proposed(world: Any) -> None:
    """A person has a change of their own in mind, and gets a plan."""
    text = world.on_main("svc/saas.yml")
    world.proposes({"svc/saas.yml": text.replace("LEVEL: info", "LEVEL: debug")})


def a_person_merges(world: Any) -> None:
    """Somebody merges by hand; the other change is given up."""
    own, proposal = sorted(world.merge_requests(), key=lambda each: each.author != "saasbot")
    world.close(proposal.iid)
    world.merge(own.iid)


def the_last_is_merged(world: Any) -> None:
    """Somebody merges by hand."""
    world.merge()


def promoted(world: Any) -> None:
    """Production has run every version that was merged, and each merge request tells of its run."""
    shas = world.shas
    assert [sha for target, sha, _ in world.runs() if target == PROD] == shas
    assert world.ref() == shas[-1]
    merged = world.merge_requests(state="merged")
    assert len(merged) == len(shas)
    assert not world.merge_requests()
    assert all("succeeded" in next(n.body for n in each.notes if "saasbot:report" in n.body) for each in merged)
    assert dict(world.state().merge_requests) == {}


PROMOTION = Story(
    "promotion",
    (nothing, commit, a_day_later, held, proposed, a_person_merges),
    promoted,
    {"more": BOARD},
)
MERGE = Story(
    "merge",
    (nothing, commit, a_day_later, held, ci_is_green, let_go, commit, a_day_later, ci_is_green),
    promoted,
    {"more": GREEN, "first_ci": "running"},
)


# 3: what becomes of an open merge request.


def a_conflict(world: Any) -> None:
    """A person changes the very line that the merge request changes."""
    old = world.ref()
    world.edit("svc/saas.yml", f"ref: {old}", f"ref: {old}  # a note")


def turned_down(world: Any) -> None:
    """A person closes it."""
    world.close()


def ignored(world: Any) -> None:
    """An owner has the bot close it."""
    world.comment("alice", "/saasbot ignore")


def only_the_last(world: Any) -> None:
    """The first was updated, rebuilt and turned down, the next one ignored; what came after them went out."""
    (merged,) = world.merge_requests(state="merged")
    _, second, third, last = world.shas
    closed = [each.title.rpartition(" ")[2] for each in world.merge_requests(state="closed")]
    assert closed == [second[:7], third[:7]]
    assert last[:7] in merged.title
    assert [sha for target, sha, _ in world.runs() if target == PROD] == [last]
    assert world.ref() == last
    assert "# a note" in world.on_main("svc/saas.yml")
    vetoes = [(each.target, each.sha, each.by) for each in world.state().vetoes]
    assert vetoes == [(PROD, second, "bob"), (PROD, third, "alice")]


NEWER = Story(
    "newer",
    (
        nothing, commit, a_day_later, commit, a_day_later, a_conflict, turned_down,
        nothing, commit, a_day_later, ignored, commit, a_day_later, the_last_is_merged,
    ),
    only_the_last,
)  # fmt: skip


def commit_everywhere(world: Any) -> None:
    """Somebody pushes a commit to each service."""
    for name in world.services:
        world.commit(name)


def of(world: Any, name: str) -> int:
    """The number of the only open merge request that moves production of a service."""
    (found,) = (each for each in world.merge_requests() if f"`{name}/{name}/prod`" in each.description)
    iid: int = found.iid
    return iid


def all_fail(world: Any) -> None:
    """The CI of the whole batch fails."""
    assert len({of(world, name) for name in world.services}) == 1
    world.says_ci("failed", of(world, "a"))


def the_rest_fails(world: Any) -> None:
    """One half is green and merged, the other one fails again."""
    assert of(world, "b") == of(world, "c")
    world.says_ci("failed", of(world, "b"))
    world.says_ci("success", of(world, "a"))
    world.merge(of(world, "a"))


def one_is_bad(world: Any) -> None:
    """The bad one is found; the good one is merged."""
    bad, good = of(world, "b"), of(world, "c")
    world.says_ci("failed", bad)
    world.says_ci("success", good)
    world.merge(good)


def forgiven(world: Any) -> None:
    """A person says that it was no fault of its own."""
    iid = of(world, "b")
    world.comment("bob", "/saasbot retry\n/saasbot whatever\n/saasbot nonsense", iid)


def green_after_all(world: Any) -> None:
    """It is green the next time, and merged."""
    iid = of(world, "b")
    world.says_ci("success", iid)
    world.merge(iid)


def all_went_out(world: Any) -> None:
    """Each version went out once, in a merge request without the bad one."""
    ran = {target: sha for target, sha, _ in world.runs() if target.endswith("/prod")}
    assert ran == {f"{name}/{name}/prod": sha for name, sha in zip(world.services, world.shas, strict=True)}
    assert len([target for target, _, _ in world.runs() if target.endswith("/prod")]) == len(ran)
    assert not world.merge_requests()
    assert dict(world.state().merge_requests) == {}
    assert world.state().failed_contents == ()


BATCH = Story(
    "batch",
    (
        nothing, commit_everywhere, a_day_later, all_fail, the_rest_fails, one_is_bad, forgiven, green_after_all,
    ),
    all_went_out,
    {"services": ("a", "b", "c"), "more": "promotions: {batchBy: all}\n"},
)  # fmt: skip


# 4: runs that do not go well.


def fails(world: Any) -> None:
    """The commit is a bad one."""
    world.fail(STAGE)
    world.commit()


def an_hour_later(world: Any) -> None:
    """The pause before the next attempt is over."""
    world.later(hours=1)


def asked_again(world: Any) -> None:
    """It works again, and somebody asks for another run."""
    world.fail(STAGE, fails=False)
    world.people.comment_dashboard_as("bob", f"/saasbot retry {STAGE}")


def hangs(world: Any) -> None:
    """The next one never ends."""
    world.hang(STAGE)
    world.commit()


def newer_while_it_hangs(world: Any) -> None:
    """A newer commit takes its place, and hangs as well."""
    world.commit()


def stopped(world: Any) -> None:
    """Somebody has it stopped."""
    world.people.comment_dashboard_as("bob", f"/saasbot cancel {STAGE}")


def works_again(world: Any) -> None:
    """The next commit is a good one."""
    world.hang(STAGE, hangs=False)
    world.commit()


def followed(world: Any) -> None:
    """The first was tried three times, those that hung ran once or twice, the last one is there."""
    bad, hung, newer, last = world.shas
    assert [sha for target, sha, _ in world.runs() if target == STAGE] == [bad, bad, bad, hung, newer, newer, last]
    assert world.state().targets[STAGE].deployed_sha == last
    assert [each.sha for each in world.state().channels["svc-ok"]] == [bad, last]


FOLLOW = Story(
    "follow",
    (
        nothing, fails, an_hour_later, asked_again, hangs, newer_while_it_hangs, a_day_later, an_hour_later,
        stopped, works_again,
    ),
    followed,
    {"more": BOARD, "pipeline": "retries: 1\nonNewer: cancel\ntimeout: 20h\n"},
)  # fmt: skip

STORIES = (TRIGGER, SOURCED, PROMOTION, MERGE, NEWER, BATCH, FOLLOW)
