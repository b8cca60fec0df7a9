"""The whole line with runs at a server: a lost answer starts nothing twice, and an end at the server is an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from worlds import planted
from worlds.fake_github import FakeGitHub
from worlds.fake_gitlab import FakeGitLab
from worlds.fake_http import Fault
from worlds.git_world import Repository
from worlds.line_world import LineWorld

from bot.model.plan import Outcome, StartRun
from bot.model.runs import Run, RunStatus

TOKEN = planted.token("bot")
STAGE = "svc/svc/stage"
INSTANCE = "$schema: /instance-1.json\nname: ci\nprovider: {kind}\nurl: {url}\ntoken: {{env: CI_TOKEN}}\n"
PIPELINE = "$schema: /pipeline-1.json\nname: deploy\ninstance: {{$ref: /instances/shell.yml}}\nwith: {block}\n"
WORKFLOW = """\
name: deploy
run-name: "${{ inputs.saasbot_run_key }}"
on: {workflow_dispatch: {inputs: {saasbot_run_key: {required: true}}}}
jobs: {deploy: {name: deploy, runs-on: x, steps: []}}
"""


class Server:
    """Either fake, as far as this story needs it."""

    def __init__(self, kind: str, folder: Path, world: LineWorld) -> None:
        self.kind = kind
        config, deploy = Repository(folder, "config"), Repository(folder, "deploy")
        config.commit()
        deploy.commit(files={".github/workflows/deploy.yml": WORKFLOW})
        self.gitlab = FakeGitLab(config.bare, now=lambda: world.now, members={}, token=TOKEN)
        self.github = FakeGitHub(config.bare, now=lambda: world.now, members={}, token=TOKEN)
        self.gitlab.add_project("acme/deploy", deploy.bare)
        self.github.add_project("acme/deploy", deploy.bare)
        self.fake: FakeGitLab | FakeGitHub = self.gitlab if kind == "gitlab" else self.github
        block = "{project: acme/deploy}" if kind == "gitlab" else "{repository: acme/deploy, workflow: deploy.yml}"
        self.files = {
            "instances/shell.yml": INSTANCE.format(kind=kind, url=self.fake.url),
            "pipelines/deploy.yml": PIPELINE.format(block=block),
        }

    @contextmanager
    def serving(self) -> Iterator[Server]:
        with self.gitlab, self.github:
            yield self

    def loses(self, how: Literal["drop before", "drop after"]) -> None:
        """The next start's answer is lost."""
        self.fake.faults.append(Fault(("POST", r".*/(pipeline|dispatches)"), how))

    def begun(self) -> list[int]:
        """The runs that there are, by number."""
        if self.kind == "gitlab":
            return [made.id for made in self.gitlab.pipelines.all()]
        return sorted(self.github.runs.all)

    def finish(self, number: int, *, ok: bool = True) -> None:
        """A run ends."""
        if self.kind == "gitlab":
            self.gitlab.pipelines.finish(number, "success" if ok else "failed")
        else:
            self.github.runs.finish(number, "success" if ok else "failure")


@pytest.fixture(params=["gitlab", "github"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[LineWorld, Server]]:
    """An adopted world whose targets are deployed at a server."""
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CI_TOKEN", TOKEN)
    world = LineWorld(tmp_path / "world")
    with Server(request.param, tmp_path / "servers", world).serving() as server:
        world.push(server.files)
        world.one_pass()
        assert server.begun() == []
        yield world, server


def stage(world: LineWorld) -> Run:
    run = world.state().targets[STAGE].run
    assert run is not None
    return run


def starts(world: LineWorld) -> list[Outcome]:
    """One pass, and what came of its starts."""
    report = world.one_pass()
    pairs = zip(report.plan.actions, report.outcomes, strict=True)
    return [outcome for action, outcome in pairs if isinstance(action, StartRun)]


def test_a_run_goes_through_to_its_publication(place: tuple[LineWorld, Server]) -> None:
    world, server = place
    sha = world.commit()
    (outcome,) = starts(world)
    assert (outcome.status, outcome.url) == ("done", stage(world).url)
    (number,) = server.begun()
    server.finish(number)
    world.later(minutes=5)
    assert starts(world) == []
    assert stage(world).status is RunStatus.SUCCEEDED
    assert [each.sha for each in world.state().channels["svc-ok"]] == [sha]


def test_a_start_whose_answer_was_lost_is_found_by_its_key(place: tuple[LineWorld, Server]) -> None:
    world, server = place
    world.commit()
    server.loses("drop after")
    (outcome,) = starts(world)
    assert (outcome.status, stage(world).handle) == ("skipped", "")
    world.later(minutes=1)
    assert starts(world) == []
    (number,) = server.begun()
    assert stage(world).handle.endswith(f"/{number}")
    server.finish(number, ok=False)
    assert starts(world) == []
    assert (stage(world).status, stage(world).text) == (RunStatus.FAILED, "failed: deploy")


def test_a_start_that_never_came_about_is_made_up_for_once(place: tuple[LineWorld, Server]) -> None:
    world, server = place
    world.commit()
    server.loses("drop before")
    (outcome,) = starts(world)
    assert (outcome.status, server.begun()) == ("skipped", [])
    world.later(minutes=10)
    (outcome,) = starts(world)
    assert outcome.status == "done"
    assert starts(world) == []
    assert len(server.begun()) == 1
