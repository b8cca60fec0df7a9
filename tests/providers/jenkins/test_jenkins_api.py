"""How the bot signs in at a Jenkins, and what it says when that fails."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds import planted
from worlds.fake_http import Answer, Fault
from worlds.fake_jenkins import API_TOKEN, PASSWORD, USER
from worlds.fake_jenkins_world import DEPLOY, PATH, World, serving

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.servers import SecretRef
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.pipelines.jenkins import jenkins_pipelines
from bot.providers.secrets import redact
from bot.providers.sources.jenkins_builds import jenkins_builds

URL = "https://git.example.com/acme/orders"
CRUMB = ("GET", "/jenkins/crumbIssuer/api/json")
BEARER = planted.token("bearer")
START = f"{PATH}/buildWithParameters"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving(tmp_path) as made:
        yield made


def test_an_api_token_needs_no_crumb(world: World) -> None:
    world.start(world.run())
    assert world.server.counts[CRUMB] == 0
    assert world.posts() == [(START, 201)]


def test_a_password_gets_a_crumb_once_and_again_when_its_session_ended(world: World) -> None:
    world.environ["JENKINS_TOKEN"] = f"{USER}:{PASSWORD}"
    provider = world.pipelines()
    for key in "abc":
        if key == "c":
            world.server.forget_sessions()
        run = world.run(key * 32)
        assert isinstance(provider.start(world.pipeline(), run, world.told(run)), RunFact)
    assert [status for _, status in world.posts()] == [403, 201, 201, 403, 201]
    assert world.server.counts[CRUMB] == 2
    assert len(world.server.queue) == 3


def test_a_bearer_token_signs_in_too(world: World) -> None:
    world.environ["JENKINS_TOKEN"] = world.server.bearer = BEARER
    world.start(world.run())
    assert world.server.counts[CRUMB] == 1


def test_a_server_without_crumbs_is_not_asked_again_and_again(world: World) -> None:
    """A 403 for another reason is an answer, although Jenkins' pages all mention crumbs."""
    world.server.permissions.remove("Job/Build")
    run = world.run()
    assert isinstance(world.pipelines().start(world.pipeline(), run, world.told(run)), Refused)
    assert world.server.counts[CRUMB] == 0
    world.server.faults.append(Fault(("POST", ".*"), Answer(403, b"No valid crumb was included in the request")))
    world.server.crumbs = False
    answer = world.pipelines().start(world.pipeline(), run, world.told(run))
    assert answer == Refused(f"Jenkins would not build {DEPLOY}: No valid crumb was included in the request")


def test_a_wrong_token_says_where_it_comes_from_and_not_what_it_is(world: World) -> None:
    world.environ["JENKINS_TOKEN"] = f"{USER}:{planted.token('wrong')}"
    with pytest.raises(ServerUnreachable) as told:
        world.builds().newest(DEPLOY, "main", URL)
    assert told.value.message.endswith("401 Invalid password/token for user")
    assert told.value.hint.startswith("check the environment variable JENKINS_TOKEN: it holds `user:apitoken`")
    assert planted.token("wrong") not in repr(told.value)


def test_nobody_may_see_nothing(world: World) -> None:
    with pytest.raises(ServerUnreachable, match="403 anonymous lacks the permission Hudson/Read"):
        world.builds(token=None).newest(DEPLOY, "main", URL)


def test_a_token_that_is_not_there_is_said_at_once(world: World) -> None:
    instance = world.instance(token=SecretRef(env="NOT_SET"))
    given = (instance, world.environ, world.folder, FolderCache(world.folder))
    expected = Unreachable("instance ci: the environment variable NOT_SET holds no token")
    assert jenkins_pipelines(*given) == jenkins_builds(*given) == expected
    wrong = (world.instance(rate_limit="often"), *given[1:])
    assert isinstance(jenkins_pipelines(*wrong), Unreachable)


def test_each_form_of_the_secret_is_taken_out_of_texts(world: World) -> None:
    world.builds()
    basic = base64.b64encode(f"{USER}:{API_TOKEN}".encode()).decode()
    for secret in (f"{USER}:{API_TOKEN}", API_TOKEN, basic):
        assert redact(f"x {secret} y") == "x [secret] y"


@pytest.mark.parametrize(
    "location",
    ["/jenkins/login?from=%2Fjob", "https://sso.example.com/authorize?x", "{url}/job/team/job/deploy%20prod/{action}"],
)
def test_a_redirect_is_never_followed_with_the_token(world: World, location: str) -> None:
    where = location.format(url="https://ci.example.com/jenkins", action="buildWithParameters")
    answer = Answer(302, headers={"Location": where})
    world.server.faults.append(Fault(("POST", ".*"), answer))
    with pytest.raises(ServerUnreachable, match="302 it leads to") as told:
        world.start(world.run())
    assert "correct the instance's url" in told.value.hint
    world.server.faults.append(Fault(("GET", ".*"), answer))
    with pytest.raises(ServerUnreachable, match="302 it leads to"):
        world.builds().newest(DEPLOY, "main", URL)
    assert world.server.queue == {}


def test_a_page_instead_of_an_answer_is_said(world: World) -> None:
    world.server.faults.append(Fault(("GET", ".*"), Answer(200, b"<html>Please sign in</html>")))
    with pytest.raises(ServerUnreachable, match="the answer is a page for people"):
        world.builds().newest(DEPLOY, "main", URL)


def test_a_server_that_starts_is_asked_later(world: World) -> None:
    page = b"<html><head><title>Starting Jenkins</title></head></html>"
    world.server.faults.append(Fault(("POST", ".*"), Answer(503, page)))
    with pytest.raises(ServerUnreachable, match="503 Starting Jenkins"):
        world.start(world.run())


def test_a_server_that_is_not_there_is_said_in_one_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.server.faults.append(Fault(("POST", ".*"), "drop before"))
    with pytest.raises(ServerUnreachable) as told:
        world.start(world.run())
    assert "\n" not in told.value.message
    assert told.value.message.startswith(f"{world.server.url}: POST /job/team/job/deploy%20prod/buildWithParameters: ")
    assert API_TOKEN not in caplog.text


def test_a_budget_that_is_used_up_holds(world: World) -> None:
    provider = world.builds(rate_limit="1/h")
    world.deploy.build(world.now).end(world.now, "FAILURE")
    assert provider.newest(DEPLOY, "main", URL) is None
    with pytest.raises(ServerUnreachable, match="too many requests") as told:
        provider.newest(DEPLOY, "main", URL)
    assert told.value.hint == "ask less often, or raise its limit"
