"""The whole line with runs at a Jenkins: from the queue to the publication, over lost answers and time-outs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from worlds.fake_http import Fault
from worlds.fake_jenkins import API_TOKEN, USER, FakeJenkins
from worlds.fake_jenkins_model import Job
from worlds.line_world import LineWorld

from bot.model.plan import CancelRun, Outcome, StartRun
from bot.model.runs import Run, RunStatus

STAGE = "svc/svc/stage"
INSTANCE = "$schema: /instance-1.json\nname: ci\nprovider: jenkins\nurl: {url}\ntoken: {{env: CI_TOKEN}}\n"
PIPELINE = """\
$schema: /pipeline-1.json
name: deploy
instance: {$ref: /instances/shell.yml}
with: {job: team/deploy, parameters: {VERSION: "{sha7}"}}
timeout: 30m
"""
START = ("POST", r".*/buildWithParameters")


class Place:
    """An adopted world whose targets are deployed by the job `team/deploy`."""

    def __init__(self, folder: Path) -> None:
        self.world = LineWorld(folder)
        self.server = FakeJenkins(now=lambda: self.world.now)
        self.job: Job = self.server.add("team/deploy", parameters={"SAASBOT_RUN_KEY": "String", "VERSION": "String"})

    @property
    def run(self) -> Run:
        found = self.world.state().targets[STAGE].run
        assert found is not None
        return found

    def one_pass(self) -> list[Outcome]:
        """One pass, and what came of its starts and cancellations."""
        report = self.world.one_pass()
        pairs = zip(report.plan.actions, report.outcomes, strict=True)
        return [outcome for action, outcome in pairs if isinstance(action, StartRun | CancelRun)]

    def later(self, **time: float) -> None:
        self.world.later(**time)
        with self.server.lock:
            self.server.advance()

    def end(self, result: str, number: int = 1) -> None:
        with self.server.lock:
            self.job.builds[number].end(self.world.now, result)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CI_TOKEN", f"{USER}:{API_TOKEN}")
    made = Place(tmp_path / "world")
    with made.server:
        made.world.push({"instances/shell.yml": INSTANCE.format(url=made.server.url), "pipelines/deploy.yml": PIPELINE})
        assert made.one_pass() == []
        yield made


def test_a_run_goes_through_the_queue_to_its_publication(place: Place) -> None:
    sha = place.world.commit()
    (outcome,) = place.one_pass()
    assert (outcome.status, place.run.status) == ("done", RunStatus.PENDING)
    place.later(seconds=30)
    assert place.one_pass() == []
    assert (place.run.status, place.run.handle) == (RunStatus.RUNNING, "job/team/job/deploy/1")
    assert place.job.builds[1].parameters == {"SAASBOT_RUN_KEY": place.run.key, "VERSION": sha[:7]}
    place.later(minutes=5)
    place.end("SUCCESS")
    assert place.one_pass() == []
    assert place.run.status is RunStatus.SUCCEEDED
    assert [each.sha for each in place.world.state().channels["svc-ok"]] == [sha]


@pytest.mark.parametrize("minutes", [1, 20])
def test_a_start_whose_answer_was_lost_is_found_by_its_key(place: Place, minutes: int) -> None:
    place.world.commit()
    place.server.faults.append(Fault(START, "drop after"))
    (outcome,) = place.one_pass()
    assert (outcome.status, place.run.handle) == ("skipped", "")
    place.later(minutes=minutes)
    assert place.one_pass() == []
    assert place.run.handle == "job/team/job/deploy/1"
    place.end("UNSTABLE")
    assert place.one_pass() == []
    assert (place.run.status, place.run.text) == (
        RunStatus.FAILED,
        "Jenkins calls it unstable: a test or a check failed",
    )
    assert len(place.server.queue) == 1


def test_a_start_that_never_came_about_is_made_up_for_once(place: Place) -> None:
    place.world.commit()
    place.server.faults.append(Fault(START, "drop before"))
    (outcome,) = place.one_pass()
    assert (outcome.status, place.server.queue) == ("skipped", {})
    place.later(minutes=10)
    (outcome,) = place.one_pass()
    assert outcome.status == "done"
    assert place.one_pass() == []
    assert len(place.server.queue) == 1


def test_a_run_over_its_time_is_stopped_and_counts_as_failed(place: Place) -> None:
    place.world.commit()
    place.one_pass()
    place.later(seconds=30)
    place.one_pass()
    place.world.now += timedelta(minutes=31)
    place.server.stubborn = True
    (outcome,) = place.one_pass()
    assert (outcome.status, place.run.status) == ("done", RunStatus.RUNNING)
    place.end("ABORTED")
    assert place.one_pass() == []
    assert (place.run.status, place.run.text) == (RunStatus.FAILED, "timed out")


def test_a_job_that_would_lose_the_run_key_is_refused(place: Place) -> None:
    place.job.parameters = {"VERSION": "String"}
    place.world.commit()
    (outcome,) = place.one_pass()
    assert outcome.status == "refused"
    assert outcome.text.startswith("the job team/deploy does not define SAASBOT_RUN_KEY")
