"""Stories of trigger definitions that are told with a fault at every call; their jobs are named after their stages."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from worlds.memory_walk import Story

SERVER = "$schema: /instance-1.json\nname: jobs\nprovider: {kind}\nurl: https://jobs.example.com\n{more}"
NAMED = "token: {env: JOBS_TOKEN}\n"
BUILDS = "https://builds.example.com/latest"
NIGHTLY = f"""\
$schema: /trigger-1.json
name: nightly
owners: [alice]
instance: {{$ref: /instances/jobs.yml}}
on: {{command: true, schedule: {{cron: "0 12 * * *"}}}}
conditions: [{{newBuild: {{url: "{BUILDS}", field: name}}}}]
healthCheck: {{attempts: 10, interval: 60s}}
retry: {{attempts: 6, interval: 60s}}
batch: {{size: 2, pause: 2m}}
timeout: 3h
stages:
- name: build
  jobs: [{{name: 1-a}}, {{name: 1-b}}, {{name: 1-c}}]
- name: check
  jobs: [{{name: 2-b, after: [2-a]}}, {{name: 2-a}}]
"""


def noon(world: Any) -> None:
    """The next slot."""
    day = world.now.replace(hour=12, minute=0, second=0, microsecond=0)
    world.at(day if world.now < day else day + timedelta(days=1))


def defined(world: Any) -> None:
    """A person adds the definition."""
    world.push(
        {
            "instances/jobs.yml": SERVER.format(kind="gangway", more=NAMED),
            "triggers/nightly.yml": NIGHTLY,
        }
    )


def all_is_well(world: Any) -> None:
    """There is a build; everything runs."""
    noon(world)
    world.builds_anew(BUILDS, "4.1")


def a_bad_build(world: Any) -> None:
    """A build of which a part does not work; the server is down for some minutes, and has no room after that."""
    noon(world)
    world.builds_anew(BUILDS, "4.2")
    world.fail("job:nightly/1-b")
    world.jobs.down_until = world.now + timedelta(minutes=3)
    world.jobs.busy_until = world.now + timedelta(minutes=6)


def by_hand(world: Any) -> None:
    """It works again, and an owner starts what is left; somebody else may not."""
    world.fail("job:nightly/1-b", fails=False)
    text = world.on_main("svc/saas.yml")
    world.proposes({"svc/saas.yml": text.replace("LEVEL: info", "LEVEL: debug")})
    world.comment("bob", "/saasbot trigger nightly 2-b")
    world.comment("alice", "/saasbot trigger nightly 1-b 2-a 2-b")


def removed(world: Any) -> None:
    """The proposal is closed, and the definition leaves the config."""
    world.close()
    world.edit("triggers/nightly.yml", 'schedule: {cron: "0 12 * * *"}', 'schedule: {cron: "0 6 * * 1"}')


def executed(world: Any) -> None:
    """Each job ran once for each slot that was for it, and those of the bad build that were left by hand."""
    good = ["1-a", "1-b", "1-c", "2-a", "2-b"]
    ran = [each.target.removeprefix("job:nightly/") for each in world.jobs.executions]
    assert sorted(ran) == sorted([*good, "1-a", "1-b", "1-c", "1-b", "2-a", "2-b"]), ran
    record = world.state().triggers["nightly"]
    assert (record.rounds, dict(record.builds)) == (4, {BUILDS: "4.2"})


STEPS = (defined, all_is_well, noon, a_bad_build, by_hand, removed)
ASKED = Story("rounds", STEPS, executed)
MARKED = Story("marked", STEPS, executed, {"kind": "marked"})
UNLISTED = Story("unlisted", STEPS, executed, {"kind": "unlisted"}, sure=False)


# Rounds that are cut short.

IMPATIENT = (
    NIGHTLY.replace("timeout: 3h", "timeout: 2h\nfailFast: true\ncancelOnError: true")
    .replace("batch: {size: 2, pause: 2m}", "batch: {size: 2, wait: finished}")
    .replace(f'conditions: [{{newBuild: {{url: "{BUILDS}", field: name}}}}]\n', "")
)


def impatient(world: Any) -> None:
    """A person adds a definition that waits for nobody."""
    world.push({"instances/jobs.yml": SERVER.format(kind="gangway", more=NAMED), "triggers/nightly.yml": IMPATIENT})


def never_ends(world: Any) -> None:
    """A job hangs; the round stops it in the end."""
    noon(world)
    world.hang("job:nightly/1-a")


def fails_early(world: Any) -> None:
    """A job fails in the end while another one hangs, which is stopped."""
    noon(world)
    world.jobs.takes["job:nightly/1-b"] = timedelta(minutes=20)
    world.fail("job:nightly/1-b")


def works_again(world: Any) -> None:
    """Everything is well at last, and one job is no longer asked for."""
    noon(world)
    world.hang("job:nightly/1-a", hangs=False)
    world.fail("job:nightly/1-b", fails=False)
    world.jobs.takes.clear()
    world.edit("triggers/nightly.yml", ", {name: 1-c}", "")


def renamed(world: Any) -> None:
    """The definition gets another name, and another time."""
    text = world.on_main("triggers/nightly.yml")
    world.push({"triggers/nightly.yml": text.replace("name: nightly", "name: weekly").replace("12 * * *", "6 * * 1")})
    noon(world)


def cut_short(world: Any) -> None:
    """What hung was stopped, and nothing was started behind it."""
    ran = [(each.target.removeprefix("job:nightly/"), str(each.status)) for each in world.jobs.executions]
    first = [("1-a", "canceled"), ("1-b", "succeeded"), ("1-a", "canceled"), ("1-b", "failed")]
    assert ran == [*first, *((name, "succeeded") for name in ("1-a", "1-b", "2-a", "2-b"))], ran
    (record,) = world.state().triggers.values()
    assert (record.name, record.rounds) == ("weekly", 3)


CUT = Story("cut-short", (impatient, never_ends, fails_early, works_again, renamed), cut_short)


# A release: a manifest says what is to be built, and a merge request what was.

RELEASE = """\
$schema: /trigger-1.json
name: release
owners: [alice]
instance: {$ref: /instances/jobs.yml}
on: {command: true, schedule: {cron: "0 12 * * *"}}
retry: {attempts: 6, interval: 60s}
timeout: 3h
with: {project: "gh/acme/{job}"}
jobsFrom: {file: release.json, format: gravitee-release}
"""
PORTAL = "job:release/2-portal"


def manifest(**versions: str) -> str:
    """The manifest with components of these versions; an empty one is inherited."""
    components = [
        {"name": "1-common", "version": ""},
        {"name": "2-gateway", "version": "1.20.3-SNAPSHOT"},
        {"name": "2-portal", "version": ""},
        {"name": "3-ui", "version": "1.1.7"},
    ]
    rows = [["1-common"], ["2-gateway", "2-portal"], ["3-ui"]]
    document = {"name": "apim", "version": "1.2.0-SNAPSHOT", "components": components, "buildDependencies": rows}
    return json.dumps({**document, **versions}, indent=2) + "\n"


WRITTEN = """\
{
  "name": "apim",
  "version": "1.2.0",
  "components": [
    {
      "name": "1-common",
      "version": "",
      "since": "1.2.0"
    },
    {
      "name": "2-gateway",
      "version": "1.20.3",
      "since": "1.2.0"
    },
    {
      "name": "2-portal",
      "version": "",
      "since": "1.2.0"
    },
    {
      "name": "3-ui",
      "version": "1.1.7"
    }
  ],
  "buildDependencies": [
    [
      "1-common"
    ],
    [
      "2-gateway",
      "2-portal"
    ],
    [
      "3-ui"
    ]
  ]
}
"""


def planned(world: Any) -> None:
    """A person adds the manifest and its definition."""
    world.push(
        {
            "instances/jobs.yml": SERVER.format(kind="circleci", more=NAMED),
            "triggers/release.yml": RELEASE,
            "release.json": manifest(),
        }
    )


def portal_fails(world: Any) -> None:
    """The release begins, and one component cannot be built."""
    noon(world)
    world.fail(PORTAL)


def the_rest(world: Any) -> None:
    """It can be built now, and an owner says so on the merge request that has the rest."""
    world.fail(PORTAL, fails=False)
    world.comment("alice", "/saasbot trigger release")


def merged(world: Any) -> None:
    """A person merges it."""
    world.merge()


def written(world: Any) -> None:
    """Each component was built once, and the manifest says so."""
    good = [each.target for each in world.jobs.executions if each.status == "succeeded"]
    assert good == ["job:release/1-common", "job:release/2-gateway", PORTAL], good
    assert world.on_main("release.json") == WRITTEN
    assert not world.merge_requests()
    assert dict(world.state().merge_requests) == {}
    assert dict(world.state().triggers["release"].released) == {}


def at_once(world: Any) -> None:
    """There is one merge request, of all that was built."""
    written(world)
    assert len(world.people.list_all()) == 1


def after_a_no(world: Any) -> None:
    """There are two merge requests: the one that was turned down, and that of everything."""
    written(world)
    assert [str(each.state) for each in world.people.list_all()] == ["closed", "merged"]


def turned_down(world: Any) -> None:
    """A person closes it."""
    world.close()


def all_of_it(world: Any) -> None:
    """The next slot, at which everything can be built."""
    noon(world)
    world.fail(PORTAL, fails=False)


def portal_hangs(world: Any) -> None:
    """The release begins, and one component does not come to an end."""
    noon(world)
    world.hang(PORTAL)


def more_to_do(world: Any) -> None:
    """A person has more released meanwhile; the round is over its time."""
    world.edit("release.json", '"1.1.7"', '"1.1.7-SNAPSHOT"')
    world.later(hours=4)


def goes_on(world: Any) -> None:
    """An owner has the release go on, while that one still runs."""
    world.comment("alice", "/saasbot trigger release")


def comes_to_an_end(world: Any) -> None:
    """It is built after all."""
    world.comes_to_an_end(PORTAL)


def late(world: Any) -> None:
    """Each component was built once, whatever the time; the manifest says so."""
    good = [each.target.removeprefix("job:release/") for each in world.jobs.executions]
    assert good == ["1-common", "2-gateway", "2-portal", "3-ui"], good
    text = WRITTEN.replace('"version": "1.1.7"', '"version": "1.1.7",\n      "since": "1.2.0"')
    assert world.on_main("release.json") == text
    assert [str(each.state) for each in world.people.list_all()] == ["merged"]
    assert dict(world.state().triggers["release"].released) == {}


LATE = Story(
    "late", (planned, portal_hangs, more_to_do, goes_on, comes_to_an_end, merged, noon), late, {"kind": "marked"}
)
RELEASED = Story("release", (planned, portal_fails, the_rest, merged, noon), at_once, {"kind": "marked"})
PIECEMEAL = Story(
    "no-release", (planned, portal_fails, turned_down, all_of_it, merged, noon), after_a_no, {"kind": "marked"}
)

JOB_STORIES = (ASKED, MARKED, UNLISTED, CUT, RELEASED, PIECEMEAL, LATE)
