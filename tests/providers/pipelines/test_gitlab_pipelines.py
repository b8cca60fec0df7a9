"""Pipelines of GitLab projects: started, found again by run key, followed, cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds import planted
from worlds.fake_gitlab import FakeGitLab
from worlds.fake_http import Answer, Fault
from worlds.git_world import Repository

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.downstream import CARRIED_OUT
from bot.providers.pipelines.gitlab import WORDS, GitLabPipelines, gitlab_pipelines

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOKEN = planted.token("bot")
TRIGGER = planted.token("trigger")
PROJECT = "acme/deploy"
SHA = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"
START = ("POST", r".*/pipeline")


class World:
    """A GitLab with a project of pipelines, a clock, and the provider of a bot that is a maintainer there."""

    def __init__(self, folder: Path, server: FakeGitLab) -> None:
        self.folder = folder
        self.server = server
        self.now = NOW
        self.environ = {"GITLAB_TOKEN": TOKEN, "TRIGGER_TOKEN": TRIGGER, "CI_JOB_TOKEN": TRIGGER}
        self.provider = self.new_provider()

    def instance(self, **more: Any) -> Instance:
        token = SecretRef(env="GITLAB_TOKEN")
        return Instance("gl", "gitlab", **{"url": self.server.url, "token": token, "rate_limit": "100/s", **more})

    def new_provider(self, **more: Any) -> GitLabPipelines:
        """Another process: nothing is remembered."""
        made = gitlab_pipelines(
            self.instance(**more), self.environ, self.folder, FolderCache(self.folder / "cache"), lambda: self.now
        )
        assert isinstance(made, GitLabPipelines), made
        return made

    def pipeline(self, **options: Any) -> Pipeline:
        return Pipeline("deploy", self.instance(), {"project": PROJECT, **options})

    def run(self, key: str = "a" * 32, **more: Any) -> Run:
        return Run(key, 1, SHA, "c", "deploy", **{"intent_at": self.now, "instance": self.instance(), **more})

    def told(self, run: Run) -> Mapping[str, str]:
        return {
            "SAASBOT_TARGET": "orders/web/stage",
            "SAASBOT_SHA": run.sha,
            "SAASBOT_REF": "main",
            "SAASBOT_RUN_KEY": run.key,
            "SAASBOT_ACTION": "deploy",
            "PATH": "/bin",
        }

    def start(self, run: Run, **options: Any) -> Run:
        """Start a run that is taken, and keep its handle as a pass would."""
        fact = self.provider.start(self.pipeline(**options), run, self.told(run))
        assert isinstance(fact, RunFact), fact
        return replace(run, handle=fact.handle, url=fact.url, status=fact.status)

    def variables(self, index: int = -1) -> dict[str, str]:
        """The variables of a pipeline at the server."""
        return {each["key"]: each["value"] for each in self.server.pipelines.all()[index].variables}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    config, deploy = Repository(tmp_path, "config"), Repository(tmp_path, "deploy")
    for repository in (config, deploy):
        repository.commit()
    holder: list[World] = []
    server = FakeGitLab(config.bare, now=lambda: holder[0].now if holder else NOW, members={"alice": 50})
    with server:
        server.add_project(PROJECT, deploy.bare)
        server.add_trigger(PROJECT, TRIGGER)
        holder.append(World(tmp_path, server))
        yield holder[0]


def test_a_pipeline_is_started_with_everything_a_run_is_told(world: World) -> None:
    run = world.run()
    started = world.start(
        run, variables={"VERSION": "{sha7}", "TWO": "{action} {target}"}, inputs={"n": 3, "at": "{ref}"}
    )
    (made,) = world.server.pipelines.all()
    assert (made.ref, made.source, made.inputs) == ("main", "api", {"n": 3, "at": "main"})
    own = {name: value for name, value in world.told(run).items() if name.startswith("SAASBOT_")}
    assert world.variables() == {"VERSION": "8f14e45", "TWO": "deploy orders/web/stage"} | own
    assert (started.handle, started.status) == (f"2/{made.id}", RunStatus.PENDING)
    assert started.url.endswith(f"/acme/deploy/-/pipelines/{made.id}")


def test_the_default_branch_is_asked_for_once(world: World) -> None:
    for key in ("a" * 32, "b" * 32):
        world.start(world.run(key))
    assert world.server.counts["GET", "/api/v4/projects/acme%2Fdeploy"] == 1
    assert [made.ref for made in world.server.pipelines.all()] == ["main", "main"]


def test_a_run_is_followed_to_its_end_without_its_definition(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = world.server.pipelines.all()[0]
    assert world.provider.status(None, run).status is RunStatus.PENDING
    world.server.pipelines.run(made.id)
    fact = world.provider.status(None, run)
    assert (fact.status, fact.started_at, fact.finished_at) == (RunStatus.RUNNING, made.started_at, None)
    world.now += timedelta(minutes=3)
    world.server.pipelines.finish(made.id)
    fact = world.provider.status(None, run)
    assert (fact.status, fact.text) == (RunStatus.SUCCEEDED, "")
    assert (fact.handle, fact.url) == (run.handle, run.url)
    assert fact.finished_at is not None
    assert fact.finished_at - NOW >= timedelta(minutes=3)


def test_a_failed_run_names_its_jobs_with_one_more_request(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = world.server.pipelines.all()[0]
    made.jobs[:] = [(number, f"job {number}") for number in range(7)]
    world.server.pipelines.finish(made.id, "failed")
    before = len(world.server.requests)
    fact = world.new_provider().status(None, run)
    assert (fact.status, fact.text) == (RunStatus.FAILED, "failed: job 0, job 1, job 2, job 3, job 4 and 2 more")
    assert len(world.server.requests) - before == 2


def test_a_lost_answer_is_found_again_and_not_started_twice(world: World) -> None:
    run = world.run()
    world.server.faults.append(Fault(START, "drop after"))
    with pytest.raises(ServerUnreachable):
        world.start(run, ref="main")
    for provider in (world.provider, world.new_provider()):
        found = provider.find(world.pipeline(), run)
        assert found is not None
        assert (found.status, found.handle) == (RunStatus.PENDING, f"2/{world.server.pipelines.all()[0].id}")
    assert len(world.server.pipelines.all()) == 1
    assert [each.status for each in world.server.requests if each.method == "POST"] == [0]


def test_a_start_that_would_have_to_wait_long_is_not_made(world: World) -> None:
    """By the end of that wait another pass may have started it."""
    world.server.faults.append(Fault(START, Answer(429, {"message": "slow down"}, {"Retry-After": "60"})))
    with pytest.raises(ServerUnreachable, match="too many requests"):
        world.start(world.run(), ref="main")
    assert [each.status for each in world.server.requests if each.method == "POST"] == [429]


def test_what_never_started_is_a_clear_no_only_after_a_request_could_be_at_work(world: World) -> None:
    """Others' pipelines, older ones and those of other runs do not hide that."""
    other = world.start(world.run("b" * 32), ref="main")
    run = world.run()
    world.server.faults.append(Fault(START, "drop before"))
    with pytest.raises(ServerUnreachable):
        world.start(run, ref="main")
    for provider in (world.provider, world.new_provider()):
        assert provider.find(world.pipeline(), run) == RunFact(RunStatus.PENDING, text="its pipeline is looked for")
    world.now += CARRIED_OUT
    assert world.provider.find(world.pipeline(), run) is None
    assert world.new_provider().find(world.pipeline(), run) is None
    started = world.start(run, ref="main")
    assert started.handle != other.handle


def test_a_second_request_counts_from_its_own_time(world: World) -> None:
    run = world.run()
    world.now += timedelta(hours=1)
    world.server.faults.append(Fault(START, "drop before"))
    with pytest.raises(ServerUnreachable):
        world.start(run, ref="main")
    found = world.provider.find(world.pipeline(), run)
    assert found is not None
    assert found.status is RunStatus.PENDING


def test_pipelines_of_long_ago_are_not_looked_at(world: World) -> None:
    world.start(world.run("b" * 32), ref="main")
    world.now += timedelta(hours=1)
    world.server.pipelines.finish(world.server.pipelines.all()[0].id)
    run = world.run()
    world.now += CARRIED_OUT
    assert world.provider.find(world.pipeline(), run) is None
    assert not any("variables" in each.path for each in world.server.requests)


def test_variables_that_cannot_be_read_leave_it_open(world: World) -> None:
    world.start(world.run("b" * 32), ref="main")
    world.server.faults.append(Fault(("GET", r".*/variables"), Answer(403, {"message": "403 Forbidden"})))
    world.now += CARRIED_OUT
    found = world.provider.find(world.pipeline(), world.run())
    assert found is not None
    assert found.status is RunStatus.UNKNOWN
    assert found.text == (
        "the variables of pipelines of acme/deploy cannot be read, so nobody can tell whether it started: 403 Forbidden"
    )


@pytest.mark.parametrize("status", [403, 404])
def test_pipelines_that_cannot_be_listed_leave_it_open(world: World, status: int) -> None:
    world.server.faults.append(Fault(("GET", r".*/pipelines"), Answer(status, {"message": "no"})))
    found = world.provider.find(world.pipeline(), world.run())
    assert found is not None
    assert found.status is RunStatus.UNKNOWN
    assert "cannot be listed" in found.text


def test_too_many_pipelines_leave_it_open(world: World) -> None:
    (project,) = (each for each in world.server.state.projects if each.path == PROJECT)
    for _ in range(201):
        world.server.pipelines.start(project, world.server.bot, ("main", project.heads["main"]), "push")
    found = world.provider.find(world.pipeline(), world.run())
    assert found is not None
    assert (found.status, found.text.endswith("more than 200 changed since")) == (RunStatus.UNKNOWN, True)
    assert not any("variables" in each.path for each in world.server.requests)


def test_a_start_nobody_can_look_for_is_unknown(world: World) -> None:
    found = world.provider.find(None, world.run())
    assert found is not None
    assert found.status is RunStatus.UNKNOWN


def test_a_trigger_token_starts_and_the_run_is_found_and_followed(world: World) -> None:
    run = world.start(world.run(), ref="main", trigger={"env": "TRIGGER_TOKEN"}, variables={"A": "b"})
    assert world.server.pipelines.all()[0].source == "trigger"
    assert world.variables()["A"] == "b"
    assert world.variables()["SAASBOT_RUN_KEY"] == run.key
    found = world.provider.find(world.pipeline(trigger={"env": "TRIGGER_TOKEN"}), run)
    assert found is not None
    assert found.handle == run.handle
    assert world.provider.status(None, run).status is RunStatus.PENDING


def test_a_job_token_starts_a_pipeline_too(world: World) -> None:
    provider = world.new_provider(token=SecretRef(env="CI_JOB_TOKEN"))
    run = world.run()
    fact = provider.start(world.pipeline(ref="main"), run, world.told(run))
    assert isinstance(fact, RunFact), fact
    assert world.server.counts["POST", "/api/v4/projects/acme%2Fdeploy/trigger/pipeline"] == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ref": "nowhere"}, "a pipeline of acme/deploy on nowhere: 400 Reference not found"),
        ({"project": "acme/gone", "ref": "main"}, "404 Project Not Found"),
        ({"project": "acme/gone"}, "the default branch of acme/gone cannot be read: 404 Project Not Found"),
        ({"project": ""}, "pipeline deploy: `project` is a name or a number"),
        ({"trigger": {"env": "NOT_SET"}}, "with.trigger: the environment variable NOT_SET holds no token"),
        ({"trigger": {"env": "GITLAB_TOKEN"}, "ref": "main"}, "404 Not Found; check the trigger token"),
    ],
)
def test_a_no_of_the_server_is_told_in_its_words(world: World, options: Mapping[str, Any], text: str) -> None:
    run = world.run()
    answer = world.provider.start(world.pipeline(**options), run, world.told(run))
    assert isinstance(answer, Refused)
    assert text in answer.text
    assert world.server.pipelines.all() == []


def test_variables_that_the_project_does_not_allow_are_a_no(world: World) -> None:
    words = {"message": {"base": ["Insufficient permissions to set pipeline variables"]}}
    world.server.faults.append(Fault(START, Answer(400, words)))
    run = world.run()
    answer = world.provider.start(world.pipeline(ref="main"), run, world.told(run))
    assert isinstance(answer, Refused)
    assert answer.text.endswith("400 Insufficient permissions to set pipeline variables")


def test_a_pipeline_is_cancelled_and_again_without_harm(world: World) -> None:
    run = world.start(world.run(), ref="main")
    for _ in range(2):
        fact = world.provider.cancel(world.pipeline(), run)
        assert (fact.status, fact.handle) == (RunStatus.CANCELED, run.handle)


def test_a_cancel_that_comes_too_late_tells_the_end(world: World) -> None:
    run = world.start(world.run(), ref="main")
    world.server.pipelines.finish(world.server.pipelines.all()[0].id)
    assert world.provider.cancel(world.pipeline(), run).status is RunStatus.SUCCEEDED


def test_a_run_without_a_handle_is_looked_for_before_it_is_cancelled(world: World) -> None:
    run = world.run()
    assert world.provider.cancel(world.pipeline(), run).status is RunStatus.PENDING
    world.start(run, ref="main")
    assert world.provider.cancel(world.pipeline(), run).status is RunStatus.CANCELED
    assert [made.status for made in world.server.pipelines.all()] == ["canceled"]
    never = world.run("b" * 32)
    world.now += CARRIED_OUT
    assert world.provider.cancel(world.pipeline(), never) == RunFact(RunStatus.CANCELED, text="it was never started")


def test_a_token_that_may_not_cancel_leaves_the_run_as_it_is(world: World) -> None:
    run = world.start(world.run(), ref="main")
    world.server.faults.append(Fault(("POST", r".*/cancel"), Answer(403, {"message": "403 Forbidden"})))
    with pytest.raises(ServerUnreachable, match="cancel: 403 Forbidden"):
        world.provider.cancel(world.pipeline(), run)


def test_a_pipeline_that_is_gone_is_unknown(world: World) -> None:
    run = replace(world.run(), handle="2/999", url="https://gitlab.example.com/x")
    fact = world.provider.status(None, run)
    assert fact == RunFact(RunStatus.UNKNOWN, "2/999", run.url, "GitLab has no pipeline 999 any more")
    assert world.provider.cancel(world.pipeline(), run) == fact


def test_a_project_that_is_hidden_now_does_not_look_like_a_lost_run(world: World) -> None:
    run = replace(world.run(), handle="77/999")
    with pytest.raises(ServerUnreachable, match="404 Project Not Found"):
        world.provider.status(None, run)


def test_a_retry_is_a_run_of_its_own(world: World) -> None:
    first = world.start(world.run(), ref="main")
    world.server.pipelines.finish(world.server.pipelines.all()[0].id, "failed")
    second = world.start(world.run("b" * 32), ref="main")
    assert first.handle != second.handle
    found = world.provider.find(world.pipeline(), first)
    assert found is not None
    assert (found.status, found.handle) == (RunStatus.FAILED, first.handle)


def test_a_wrong_token_holds_and_says_where_it_comes_from(world: World) -> None:
    world.environ["GITLAB_TOKEN"] = planted.token("wrong")
    provider = world.new_provider()
    run = world.run()
    for ask in (
        lambda: provider.start(world.pipeline(ref="main"), run, world.told(run)),
        lambda: provider.status(None, replace(run, handle="2/1")),
        lambda: provider.find(world.pipeline(), run),
    ):
        with pytest.raises(ServerUnreachable) as error:
            ask()
        assert "401" in error.value.message
        assert "GITLAB_TOKEN" in error.value.hint
        assert planted.token("wrong") not in error.value.message + error.value.hint


def test_an_instance_without_its_token_or_with_a_bad_limit_is_unreachable(world: World) -> None:
    del world.environ["GITLAB_TOKEN"]
    cache = FolderCache(world.folder / "cache")
    for instance, text in (
        (world.instance(), "instance gl: the environment variable GITLAB_TOKEN holds no token"),
        (world.instance(rate_limit="many"), "instance gl: rateLimit: 'many' is not a number of requests"),
    ):
        made = gitlab_pipelines(instance, world.environ, world.folder, cache)
        assert isinstance(made, Unreachable)
        assert text in made.text


def test_a_server_in_trouble_holds(world: World) -> None:
    run = world.start(world.run(), ref="main")
    world.server.faults.append(Fault(START, Answer(502, b"<html>bad gateway</html>")))
    with pytest.raises(ServerUnreachable):
        world.start(world.run("b" * 32), ref="main")
    assert len(world.server.pipelines.all()) == 1
    assert world.provider.status(None, run).status is RunStatus.PENDING


EXPECTED = {
    RunStatus.PENDING: {"created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending"},
    RunStatus.RUNNING: {"running", "scheduled", "manual", "canceling", "a word of tomorrow"},
    RunStatus.SUCCEEDED: {"success"},
    RunStatus.FAILED: {"failed"},
    RunStatus.CANCELED: {"canceled", "skipped"},
}


def test_every_word_of_the_server_has_one_of_ours(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = world.server.pipelines.all()[0]
    seen: dict[RunStatus, set[str]] = {}
    for word in (*WORDS, "a word of tomorrow"):
        made.status, made.finished_at = word, None
        seen.setdefault(world.provider.status(None, run).status, set()).add(word)
    assert seen == EXPECTED


def test_an_end_in_a_word_of_tomorrow_is_unknown(world: World) -> None:
    run = world.start(world.run(), ref="main")
    made = world.server.pipelines.all()[0]
    made.status, made.finished_at = "evaporated", NOW
    fact = world.provider.status(None, run)
    assert (fact.status, fact.text) == (RunStatus.UNKNOWN, "GitLab calls it evaporated")


def test_a_wait_for_somebody_is_said(world: World) -> None:
    run = world.start(world.run(), ref="main")
    world.server.pipelines.all()[0].status = "manual"
    assert world.provider.status(None, run).text == "it waits for somebody to start a manual job"
