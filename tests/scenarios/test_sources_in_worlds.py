"""A service that Jenkins builds, a registry keeps and Jenkins deploys: the whole line against servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from worlds.fake_http import Answer, Fault
from worlds.fake_jenkins import API_TOKEN, USER, FakeJenkins
from worlds.fake_jenkins_model import Job, git
from worlds.fake_registry import PLAIN, FakeRegistry, fake_digest
from worlds.line_world import held, kinds
from worlds.world import STAGE, NewWorld, World

from bot.model.plan import StartRun

INSTANCES = """\
$schema: /instance-1.json
name: {name}
provider: {provider}
url: {url}
token: {{env: {token}}}
"""
AT_JENKINS = """\
$schema: /pipeline-1.json
name: at-jenkins
instance: {$ref: /instances/ci.yml}
with: {job: deploy, parameters: {VERSION: "{sha7}"}}
"""
ANSWERED = {200, 304}
SOURCES = """\
    ref: main
    pipeline: {$ref: /pipelines/at-jenkins.yml}
    upstream: {instance: {$ref: /instances/ci.yml}, name: team/build}
    images: [{instance: {$ref: /instances/registry.yml}, repository: team/svc, tag: "{sha7}"}]
"""


@dataclass
class Line:
    """The world with its servers."""

    world: World
    jenkins: FakeJenkins
    registry: FakeRegistry
    build: Job
    deploy: Job

    def built(self, sha: str, result: str = "SUCCESS") -> None:
        """A build of the service ends."""
        now = datetime.now(UTC)
        url = str(self.world.folders.service("svc"))
        self.build.build(now, scm=[git(sha, url)]).end(now, result)

    def pushed(self, sha: str, content: str = "") -> None:
        """The image of a commit is there, or there is another one under its tag."""
        self.registry.images["team/svc", sha[:7]] = fake_digest(content or sha)

    def ended(self, result: str = "SUCCESS") -> None:
        """Every deployment at Jenkins ends."""
        self.jenkins.advance()
        for run in self.deploy.builds.values():
            if run.result is None:
                run.end(datetime.now(UTC), result)


@pytest.fixture
def line(new_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A service whose stage waits for a build and an image."""
    world = new_world()
    with FakeJenkins(now=lambda: datetime.now(UTC)) as jenkins, FakeRegistry(PLAIN) as registry:
        registry.accounts["robot"] = API_TOKEN
        monkeypatch.setenv("JENKINS_TOKEN", f"{USER}:{API_TOKEN}")
        monkeypatch.setenv("REGISTRY_TOKEN", f"robot:{API_TOKEN}")
        build = jenkins.add("team/build")
        parameters = {"SAASBOT_RUN_KEY": "String", "SAASBOT_SHA": "String", "VERSION": "String"}
        deploy = jenkins.add("deploy", parameters=parameters, quiet=timedelta())
        registry_file = INSTANCES.format(name="registry", provider="registry", url=registry.url, token="REGISTRY_TOKEN")  # noqa: S106 - a variable's name
        ci_file = INSTANCES.format(name="ci", provider="jenkins", url=jenkins.url, token="JENKINS_TOKEN")  # noqa: S106
        world.push(
            {
                "instances/ci.yml": ci_file,
                "instances/registry.yml": registry_file,
                "pipelines/at-jenkins.yml": AT_JENKINS,
                "svc/saas.yml": world.on_main("svc/saas.yml").replace("    ref: main\n", SOURCES, 1),
            }
        )
        yield Line(world, jenkins, registry, build, deploy)


def test_a_commit_goes_out_when_it_is_built_and_its_image_is_there(line: Line) -> None:
    world = line.world
    line.built(world.commit())
    world.one_pass()

    new = world.later(hours=1).commit()
    assert kinds(world.one_pass()) == []

    line.built(new)
    line.built("f" * 40, "FAILURE")
    waits = world.later(minutes=1).one_pass()
    assert (kinds(waits), held(waits)) == ([], {(STAGE, "unreachable")})
    (entry,) = waits.plan.held
    assert entry.text == f"waits for the image of {new[:7]}: team/svc:{new[:7]} in registry"

    line.pushed(new)
    started = world.later(minutes=1).one_pass()
    (start,) = [action for action in started.plan.actions if isinstance(action, StartRun)]
    assert [reason.kind for reason in start.reasons] == ["upstream_build"]
    line.ended()
    world.one_pass()
    (run,) = line.deploy.builds.values()
    assert (run.parameters["SAASBOT_SHA"], run.parameters["VERSION"]) == (new, new[:7])
    record = world.state().targets[STAGE]
    assert (record.deployed_sha, record.run.status if record.run else "") == (new, "succeeded")
    assert [each.sha for each in world.state().channels["svc-ok"]][-1] == new

    assert kinds(world.later(minutes=5).one_pass()) == []
    line.pushed(new, "rebuilt with a newer base image")
    moved = world.later(minutes=5).one_pass()
    assert [[r.kind for r in a.reasons] for a in moved.plan.actions if isinstance(a, StartRun)] == [["image"]]


def test_one_pass_asks_each_image_and_each_job_once(line: Line) -> None:
    new = line.world.commit()
    line.built(new)
    line.pushed(new)
    line.world.one_pass()
    line.registry.requests.clear()
    line.jenkins.requests.clear()
    line.world.later(minutes=1).one_pass()
    assert [each.method for each in line.registry.requests if each.status in ANSWERED] == ["HEAD"]
    assert [each.method for each in line.jenkins.requests] == ["GET"]


def test_a_build_server_that_is_down_holds_what_waits_for_it(line: Line) -> None:
    line.built(line.world.commit())
    line.pushed(line.world.commit())
    line.world.one_pass()
    line.jenkins.faults.append(Fault(("*", ".*"), Answer(403, {}), times=99))
    report = line.world.later(minutes=1).one_pass()
    assert (kinds(report), held(report)) == ([], {(STAGE, "unreachable")})
