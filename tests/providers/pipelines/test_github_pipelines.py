"""Workflows of GitHub repositories: dispatched, found again by run key, followed, cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds import planted
from worlds.fake_github import FakeGitHub
from worlds.fake_http import Answer, Fault
from worlds.git_world import Repository

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.pipelines.github import CONCLUSIONS, SHOWN, STATES, GitHubPipelines, github_pipelines

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOKEN = planted.token("bot")
REPOSITORY = "acme/deploy"
SHA = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"
DISPATCH = ("POST", r".*/dispatches")
BAD_KEY = Answer(422, {"message": 'Invalid request.\n\n"return_run_details" is not a permitted key.'})

WORKFLOW = """\
name: deploy
run-name: Deploy ${{ inputs.version }} (${{ inputs.saasbot_run_key }})
on:
  workflow_dispatch:
    inputs:
      saasbot_run_key: {required: true}
      version: {default: none}
      force: {default: "false"}
      replicas: {default: "1"}
jobs:
  build: {name: build, runs-on: x, steps: []}
  deploy: {name: deploy, runs-on: x, steps: []}
"""
SILENT = WORKFLOW.replace("run-name: Deploy ${{ inputs.version }} (${{ inputs.saasbot_run_key }})\n", "")


class World:
    """A GitHub with a repository of workflows, a clock, and the provider of a bot that may write there."""

    def __init__(self, folder: Path, server: FakeGitHub) -> None:
        self.folder = folder
        self.server = server
        self.now = NOW
        self.environ = {"GITHUB_TOKEN": TOKEN}
        self.provider = self.new_provider()

    def instance(self, **more: Any) -> Instance:
        token = SecretRef(env="GITHUB_TOKEN")
        return Instance("gh", "github", **{"url": self.server.url, "token": token, "rate_limit": "100/s", **more})

    def new_provider(self) -> GitHubPipelines:
        """Another process: nothing is remembered."""
        cache = FolderCache(self.folder / "cache")
        made = github_pipelines(self.instance(), self.environ, self.folder, cache, lambda: self.now)
        assert isinstance(made, GitHubPipelines), made
        return made

    def pipeline(self, **options: Any) -> Pipeline:
        return Pipeline("deploy", self.instance(), {"repository": REPOSITORY, "workflow": "deploy.yml", **options})

    def run(self, key: str = "a" * 32, **more: Any) -> Run:
        return Run(key, 1, SHA, "c", "deploy", **{"intent_at": self.now, "instance": self.instance(), **more})

    def start(self, run: Run, **options: Any) -> Run:
        """Start a run that is taken, and keep what a pass would."""
        fact = self.provider.start(self.pipeline(**options), run, {"SAASBOT_SHA": run.sha, "SAASBOT_RUN_KEY": run.key})
        assert isinstance(fact, RunFact), fact
        return replace(run, handle=fact.handle, url=fact.url, status=fact.status, started_at=self.now)

    def lost(self, run: Run, how: Any = "drop after") -> None:
        """Start a run whose answer is lost."""
        self.server.faults.append(Fault(DISPATCH, how))
        with pytest.raises(ServerUnreachable):
            self.start(run)

    def found(self, run: Run, provider: GitHubPipelines | None = None) -> RunFact | None:
        return (provider or self.provider).find(self.pipeline(), run)

    def unknown(self, run: Run) -> str:
        """The text of an answer that leaves it open."""
        found = self.found(run)
        assert found is not None
        assert (found.status, found.handle) == (RunStatus.UNKNOWN, "")
        return found.text

    @property
    def dispatches(self) -> int:
        return sum(each.method == "POST" and each.path.endswith("/dispatches") for each in self.server.requests)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    config, deploy = Repository(tmp_path, "config"), Repository(tmp_path, "deploy")
    config.commit()
    files = {".github/workflows/deploy.yml": WORKFLOW, ".github/workflows/silent.yml": SILENT}
    deploy.commit(files=files)
    holder: list[World] = []
    server = FakeGitHub(
        config.bare, now=lambda: holder[0].now if holder else NOW, members={"alice": "admin"}, token=TOKEN
    )
    with server:
        server.add_project(REPOSITORY, deploy.bare)
        holder.append(World(tmp_path, server))
        yield holder[0]


def test_a_workflow_is_dispatched_with_the_run_key(world: World) -> None:
    inputs = {"version": "{sha7}", "force": True, "replicas": 3}
    started = world.start(world.run(), inputs=inputs)
    (made,) = world.server.runs.all.values()
    assert (made.branch, made.title) == ("main", f"Deploy 8f14e45 ({'a' * 32})")
    assert made.inputs == {"version": "8f14e45", "force": "true", "replicas": "3", "saasbot_run_key": "a" * 32}
    assert (started.handle, started.status) == (f"acme/deploy/{made.id}", RunStatus.PENDING)
    assert started.url.endswith(f"/acme/deploy/actions/runs/{made.id}")


def test_the_default_branch_is_asked_for_once(world: World) -> None:
    for key in ("a" * 32, "b" * 32):
        world.start(world.run(key))
    assert [each.path for each in world.server.requests if each.method == "GET"] == ["/api/v3/repos/acme/deploy"]
    world.server.requests.clear()
    world.start(world.run("c" * 32), ref="main")
    assert len(world.server.requests) == 1


def test_a_run_is_followed_to_its_end_without_its_definition(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = next(iter(world.server.runs.all.values()))
    assert world.provider.status(None, run).status is RunStatus.PENDING
    world.server.runs.begin(made.id)
    fact = world.provider.status(None, run)
    assert (fact.status, fact.started_at, fact.finished_at) == (RunStatus.RUNNING, made.started_at, None)
    world.now += timedelta(minutes=3)
    world.server.runs.finish(made.id)
    fact = world.provider.status(None, run)
    assert (fact.status, fact.text, fact.finished_at) == (RunStatus.SUCCEEDED, "", made.updated_at)
    assert (fact.handle, fact.url) == (run.handle, run.url)


def test_a_failed_run_names_its_jobs_with_one_more_request(world: World) -> None:
    run = world.start(world.run(), ref="main")
    world.server.runs.finish(next(iter(world.server.runs.all)), "failure")
    before = len(world.server.requests)
    fact = world.new_provider().status(None, run)
    assert (fact.status, fact.text) == (RunStatus.FAILED, "failed: deploy")
    assert len(world.server.requests) - before == 2


def test_a_lost_answer_is_found_again_and_not_started_twice(world: World) -> None:
    run = world.run()
    world.lost(run)
    (made,) = world.server.runs.all.values()
    for provider in (world.provider, world.new_provider()):
        found = world.found(run, provider)
        assert found is not None
        assert (found.status, found.handle) == (RunStatus.PENDING, f"acme/deploy/{made.id}")
    assert world.dispatches == 1


def test_a_start_that_would_have_to_wait_long_is_not_made(world: World) -> None:
    """By the end of that wait another pass may have started it."""
    limited = Answer(403, {"message": "You have exceeded a secondary rate limit"}, {"Retry-After": "60"})
    world.server.faults.append(Fault(("POST", r".*/dispatches"), limited))
    with pytest.raises(ServerUnreachable, match="rate limit"):
        world.start(world.run(), ref="main")
    assert [each.status for each in world.server.requests if each.method == "POST"] == [403]


def test_what_is_not_shown_yet_is_pending_until_it_is(world: World) -> None:
    """A server that does not tell the run's number shows it a while later; nobody says no before that."""
    world.server.faults.append(Fault(lambda request: b"return_run_details" in request.body, BAD_KEY))
    run = world.start(world.run())
    assert (run.handle, world.dispatches) == ("", 2)
    waiting = RunFact(RunStatus.PENDING, text="its run is looked for")
    assert [world.found(run), world.found(run)] == [waiting, waiting]
    found = world.found(run)
    assert found is not None
    assert (found.status, found.handle) == (RunStatus.PENDING, f"acme/deploy/{next(iter(world.server.runs.all))}")
    world.start(world.run("b" * 32))
    assert world.dispatches == 3  # it is not asked again for what it does not know


def test_what_never_started_is_a_clear_no_only_when_it_would_be_shown(world: World) -> None:
    other = world.start(world.run("b" * 32), ref="main")
    run = world.run()
    world.lost(run, "drop before")
    for provider in (world.provider, world.new_provider()):
        assert world.found(run, provider) == RunFact(RunStatus.PENDING, text="its run is looked for")
    world.now += SHOWN
    assert world.found(run) is None
    assert world.found(run, world.new_provider()) is None
    assert world.start(run).handle not in {"", other.handle}


def test_titles_without_any_run_key_leave_it_open(world: World) -> None:
    world.start(world.run("b" * 32), workflow="silent.yml", ref="main")
    run = world.run()
    world.now += SHOWN
    found = world.provider.find(world.pipeline(workflow="silent.yml"), run)
    assert found is not None
    assert found.status is RunStatus.UNKNOWN
    assert found.text == (
        "runs of silent.yml of acme/deploy say no run key in their title: let its `run-name` contain the input"
    )


def test_an_order_that_was_taken_and_never_shown_is_unknown(world: World) -> None:
    run = replace(world.run(), started_at=world.now)
    world.now += SHOWN
    assert world.unknown(run) == "GitHub took the order for deploy.yml of acme/deploy and shows no run of it"


def test_too_many_runs_leave_it_open(world: World) -> None:
    world.start(world.run("b" * 32), ref="main")
    (made,) = world.server.runs.all.values()
    for number in range(1000, 1100):
        world.server.runs.all[number] = replace(made, id=number, title=f"Deploy ({number:032x})")
    run = world.run()
    world.now += SHOWN
    assert "100 runs or more" in world.unknown(run)
    world.now += timedelta(hours=1)
    later = world.run()
    world.now += SHOWN
    assert world.found(later) is None


def test_a_workflow_that_is_gone_and_a_lost_definition_leave_it_open(world: World) -> None:
    found = world.provider.find(world.pipeline(workflow="gone.yml"), world.run())
    assert found is not None
    assert found.status is RunStatus.UNKNOWN
    assert "cannot be listed" in found.text
    found = world.provider.find(None, world.run())
    assert found is not None
    assert found.status is RunStatus.UNKNOWN


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ref": "nowhere"}, "GitHub would not start deploy.yml of acme/deploy on nowhere: No ref found"),
        ({"workflow": "gone.yml", "ref": "main"}, "Not Found"),
        ({"repository": "acme/gone"}, "the default branch of acme/gone cannot be read: Not Found"),
        ({"repository": "gone"}, "pipeline deploy: `repository` is an owner and a name"),
        ({"runKeyInput": "key", "ref": "main"}, 'Unexpected inputs provided: ["key"]'),
        ({"inputs": {"colour": "red"}, "ref": "main"}, 'Unexpected inputs provided: ["colour"]'),
    ],
)
def test_a_no_of_the_server_is_told_in_its_words(world: World, options: Mapping[str, Any], text: str) -> None:
    answer = world.provider.start(world.pipeline(**options), world.run(), {})
    assert isinstance(answer, Refused)
    assert text in answer.text
    assert world.server.runs.all == {}


def test_a_run_is_cancelled_and_again_without_harm(world: World) -> None:
    run = world.start(world.run(), ref="main")
    for _ in range(2):
        fact = world.provider.cancel(world.pipeline(), run)
        assert (fact.status, fact.handle) == (RunStatus.CANCELED, run.handle)


def test_a_cancel_that_comes_too_late_tells_the_end(world: World) -> None:
    run = world.start(world.run(), ref="main")
    world.server.runs.finish(next(iter(world.server.runs.all)))
    assert world.provider.cancel(world.pipeline(), run).status is RunStatus.SUCCEEDED


def test_a_run_without_a_handle_is_looked_for_before_it_is_cancelled(world: World) -> None:
    run = world.run()
    assert world.provider.cancel(world.pipeline(), run).status is RunStatus.PENDING
    world.start(run)
    assert world.provider.cancel(world.pipeline(), run).status is RunStatus.CANCELED
    never = world.run("b" * 32)
    world.now += SHOWN
    assert world.provider.cancel(world.pipeline(), never) == RunFact(RunStatus.CANCELED, text="it was never started")


def test_a_token_that_may_not_cancel_leaves_the_run_as_it_is(world: World) -> None:
    run = world.start(world.run(), ref="main")
    no = Answer(403, {"message": "Resource not accessible by integration"})
    world.server.faults.append(Fault(("POST", r".*/cancel"), no))
    with pytest.raises(ServerUnreachable, match="cancel: 403 Resource not accessible"):
        world.provider.cancel(world.pipeline(), run)


def test_a_run_that_is_gone_is_unknown_and_a_hidden_repository_is_not(world: World) -> None:
    run = replace(world.run(), handle="acme/deploy/999", url="https://github.example.com/x")
    fact = world.provider.status(None, run)
    assert fact == RunFact(RunStatus.UNKNOWN, run.handle, run.url, "GitHub has no run 999 any more")
    with pytest.raises(ServerUnreachable, match="404 Not Found"):
        world.provider.status(None, replace(run, handle="acme/hidden/999"))


def test_a_retry_is_a_run_of_its_own(world: World) -> None:
    first = world.start(world.run(), ref="main")
    world.server.runs.finish(next(iter(world.server.runs.all)), "failure")
    second = world.start(world.run("b" * 32), ref="main")
    assert first.handle != second.handle
    found = world.found(first)
    assert found is not None
    assert (found.status, found.handle) == (RunStatus.FAILED, first.handle)


def test_a_wrong_token_holds(world: World) -> None:
    world.environ["GITHUB_TOKEN"] = planted.token("wrong")
    provider = world.new_provider()
    for ask in (
        lambda: provider.start(world.pipeline(ref="main"), world.run(), {}),
        lambda: provider.status(None, replace(world.run(), handle="acme/deploy/1")),
        lambda: provider.find(world.pipeline(), world.run()),
    ):
        with pytest.raises(ServerUnreachable) as error:
            ask()
        assert "401" in error.value.message
        assert planted.token("wrong") not in error.value.message + error.value.hint


def test_an_instance_without_a_token_or_with_a_bad_limit_is_unreachable(world: World) -> None:
    cache = FolderCache(world.folder / "cache")
    for instance, text in (
        (world.instance(token=SecretRef(file="none")), "instance gh: the file none holds no token"),
        (world.instance(token=None), "instance gh: its definition holds no token"),
        (world.instance(rate_limit="many"), "instance gh: rateLimit: 'many' is not a number of requests"),
    ):
        made = github_pipelines(instance, world.environ, world.folder, cache)
        assert isinstance(made, Unreachable)
        assert text in made.text


EXPECTED = {
    RunStatus.PENDING: {"requested", "queued", "pending", "waiting"},
    RunStatus.RUNNING: {"in_progress"},
    RunStatus.SUCCEEDED: {"success", "neutral"},
    RunStatus.FAILED: {"failure", "timed_out", "startup_failure"},
    RunStatus.CANCELED: {"cancelled", "skipped"},
    RunStatus.UNKNOWN: {"action_required", "stale"},
}


def test_every_word_of_the_server_has_one_of_ours(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = next(iter(world.server.runs.all.values()))
    made.jobs = ()
    seen: dict[RunStatus, set[str]] = {}
    for word in STATES:
        made.status = word
        seen.setdefault(world.provider.status(None, run).status, set()).add(word)
    made.status = "completed"
    for word in CONCLUSIONS:
        made.conclusion = word
        seen.setdefault(world.provider.status(None, run).status, set()).add(word)
    assert seen == EXPECTED


def test_words_of_tomorrow_are_in_flight_until_the_end(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = next(iter(world.server.runs.all.values()))
    made.status = "meditating"
    fact = world.provider.status(None, run)
    assert (fact.status, fact.text) == (RunStatus.RUNNING, "GitHub calls it meditating")
    made.status, made.conclusion = "completed", "evaporated"
    fact = world.provider.status(None, run)
    assert (fact.status, fact.text) == (RunStatus.UNKNOWN, "GitHub calls it evaporated")


def test_why_it_ended_is_said_where_no_job_says_it(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = next(iter(world.server.runs.all.values()))
    made.jobs = ()
    world.server.runs.finish(made.id, "startup_failure")
    assert world.provider.status(None, run).text == "the workflow could not be started"
