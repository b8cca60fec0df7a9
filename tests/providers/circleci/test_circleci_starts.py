"""Starts of CircleCI pipelines: what is sent, and what each answer means (RP-1, RP-4, RP-13, RP-14)."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from worlds.fake_circleci import TOKEN, FakeCircleCI
from worlds.fake_circleci_model import Script
from worlds.fake_circleci_world import AT, NOW, SLUG, World
from worlds.fake_http import Answer, Fault

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import RunStatus
from bot.model.servers import Instance, SecretRef
from bot.ports import Refused
from bot.providers import trace
from bot.providers.cache import FolderCache
from bot.providers.pipelines.circleci import circleci_pipelines

START = ("POST", r".*/pipeline")
WRONG = "not-the-right-one"


def started(world: World, **options: Any) -> RunFact | Refused:
    run = world.run()
    return world.pipelines().start(world.pipeline(**options), run, world.told(run))


def refused(world: World, **options: Any) -> Refused:
    fact = started(world, **options)
    assert isinstance(fact, Refused), fact
    return fact


def test_rp_1_a_pipeline_is_started_with_branch_and_parameters(world: World) -> None:
    run = world.start(
        world.run(),
        parameters={"gio_action": "release {reasons}", "dry_run": False, "count": 3},
        runKeyParameter="run_key",
    )
    (body,) = world.server.bodies
    assert body == {
        "branch": "1.2.x",
        "parameters": {"gio_action": "release command", "dry_run": False, "count": 3, "run_key": run.key},
    }
    assert (run.handle, run.status) == (world.made.id, RunStatus.PENDING)
    assert run.url == f"https://app.circleci.com/pipelines/{SLUG}/1"


def test_a_tag_a_page_of_its_own_and_no_parameters(world: World) -> None:
    run = world.start(world.run(), branch=None, tag="v1", page="https://ci.example.com/{slug}?n={number}&id={id}")
    assert world.server.bodies == [{"tag": "v1"}]
    assert run.url == f"https://ci.example.com/{SLUG}?n=1&id={run.handle}"
    assert world.status(run, page="https://ci.example.com/{number}").url == "https://ci.example.com/1"


def test_without_branch_and_tag_it_runs_on_the_default_branch(world: World) -> None:
    world.start(world.run(), branch=None)
    assert (world.server.bodies, world.made.branch) == ([{}], "main")


def test_the_project_may_hold_the_name_of_the_job(world: World) -> None:
    world.start(world.run(), project="gh/acme/{job}")
    assert world.posts() == [(f"{AT}/pipeline", 201)]


def test_rp_13_a_preview_says_what_would_be_sent_and_sends_nothing(world: World) -> None:
    run = world.run()
    provider = world.pipelines()
    options = {"parameters": {"dry_run": True}, "runKeyParameter": "run_key"}
    assert provider.preview(world.pipeline(**options), run, world.told(run)) == {
        "method": "POST",
        "url": f"{world.server.url}{AT}/pipeline",
        "body": {"branch": "1.2.x", "parameters": {"dry_run": True, "run_key": run.key}},
    }
    assert provider.preview(world.pipeline(tag="v1"), run, {}) == {
        "refused": "CircleCI takes a branch or a tag, not both"
    }
    assert world.server.requests == []


def test_the_slug_of_an_app_is_taken_as_it_is(world: World) -> None:
    slug = "circleci/5f3b0a3e-0d4c-4a68-9c3f-6a2f0c4b8d11/6f3b0a3e-0d4c-4a68-9c3f-6a2f0c4b8d12"
    app = world.server.add(slug)
    app.vcs = False
    run = world.start(world.run(), project=slug)
    assert world.posts() == [(f"/api/v2/project/{slug.replace('/', '%2F')}/pipeline", 201)]
    assert run.url == f"https://app.circleci.com/pipelines/{slug}/1"


def test_an_instance_may_be_named_by_the_address_of_its_api(world: World) -> None:
    assert world.pipelines(url=f"{world.server.url}/api/v2/").probe(world.pipeline()) is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"project": "acme/web"}, "`project` is the project's slug: three words with slashes between them"),
        ({"tag": "v1"}, "CircleCI takes a branch or a tag, not both"),
        ({"branch": "{ref}"}, "`with.branch` is empty for this run"),
        ({"parameters": {"gio_action": "{run_key}" * 20}}, "`with.parameters.gio_action` is too long for CircleCI"),
    ],
)
def test_what_circleci_would_not_take_is_not_sent(world: World, options: dict[str, Any], text: str) -> None:
    found = refused(world, **options)
    assert text in found.text
    assert (found.again, world.posts()) == (None, [])


def test_rp_4_a_no_of_circleci_is_final_and_in_its_words(world: World) -> None:
    found = refused(world, parameters={"unknown": 1, "count": 2})
    assert found.text == f"CircleCI would not start a pipeline of {SLUG}: 400 Unexpected argument(s): unknown"
    assert found.again is None
    assert refused(world, project="gh/acme/none").text.endswith("404 Project not found")


@pytest.mark.parametrize(
    ("status", "body"), [(400, {"message": ""}), (403, b"<title>403 Forbidden</title>"), (409, b"")]
)
def test_rp_4_any_no_below_500_is_final(world: World, status: int, body: Any) -> None:
    world.server.faults.append(Fault(START, Answer(status, body)))
    found = refused(world)
    assert (found.again, str(status) in found.text) == (None, True)
    assert world.web.pipelines == []


def test_a_rejected_token_says_where_it_is(world: World) -> None:
    world.environ["CIRCLECI_TOKEN"] = WRONG
    found = refused(world)
    assert (found.again, "not-the-right-one" in found.text) == (None, False)
    assert found.text.endswith(
        "token rejected (401 You must log in first.): check the environment variable CIRCLECI_TOKEN"
    )


@pytest.mark.parametrize(
    ("headers", "again", "words"),
    [
        ({"Retry-After": "7"}, timedelta(seconds=7), "429 Too many; it takes the next request in 7 s"),
        ({}, timedelta(0), "429 Too many"),
    ],
)
def test_rp_10_too_many_requests_may_be_made_again(
    world: World, headers: dict[str, str], again: timedelta, words: str
) -> None:
    world.server.faults.append(Fault(START, Answer(429, {"message": "Too many"}, headers)))
    found = refused(world)
    assert (found.again, found.text.endswith(words)) == (again, True)
    assert isinstance(started(world), RunFact)
    assert world.waits == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_rp_4_a_broken_server_may_have_started_it(world: World, status: int) -> None:
    world.server.faults.append(Fault(START, Answer(status, b"<title>upstream</title>")))
    with pytest.raises(ServerUnreachable, match=f"{status} upstream; whether it was carried out is looked up"):
        started(world)


@pytest.mark.parametrize(
    "fault",
    [
        "drop after",
        Answer(201, b"not json"),
        Answer(201, {"state": "created"}),
        Answer(201, ["x"]),
        Answer(408, {"message": "slow"}),
    ],
)
def test_rp_4_a_lost_or_broken_answer_is_looked_up(world: World, fault: Any) -> None:
    world.server.faults.append(Fault(START, fault))
    with pytest.raises(ServerUnreachable, match="looked up in the next pass"):
        started(world)


def test_a_redirect_is_not_followed_the_token_would_go_along(world: World) -> None:
    with FakeCircleCI(now=lambda: NOW) as other:
        away = Answer(307, None, {"Location": f"{other.url}/login?x=1"})
        world.server.faults.append(Fault(START, away))
        found = refused(world)
        assert found.text.endswith("307 it leads to 127.0.0.1/login: check the instance's url")
        assert other.requests == []


def test_a_server_that_is_not_there_was_sent_nothing(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        provider = world.pipelines(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
    run = world.run()
    found = provider.start(world.pipeline(), run, world.told(run))
    assert isinstance(found, Refused)
    assert (found.again, "Connection refused" in found.text) == (timedelta(0), True)


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    """A server whose certificate nobody has signed."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    argv = (*words, "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=127.0.0.1")
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # the client hangs up, and that is the point
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_untrusted_certificate_comes_before_the_request(world: World, untrusted: str) -> None:
    run = world.run()
    for more in ({}, {"ca": "missing.pem"}):
        found = world.pipelines(url=untrusted, **more).start(world.pipeline(), run, world.told(run))
        assert isinstance(found, Refused)
        assert (found.again, "the certificate is not trusted" in found.text) == (timedelta(0), True)


def test_tls_that_breaks_off_may_have_come_after_the_request(world: World) -> None:
    run = world.run()
    provider = world.pipelines(url=world.server.url.replace("http:", "https:"))
    with pytest.raises(ServerUnreachable, match="looked up in the next pass"):
        provider.start(world.pipeline(), run, world.told(run))


def test_an_address_that_is_none_is_final(world: World) -> None:
    run = world.run()
    found = world.pipelines(url="http://").start(world.pipeline(), run, world.told(run))
    assert isinstance(found, Refused)
    assert found.again is None


def test_the_rate_limit_of_the_instance_is_kept(world: World) -> None:
    provider = world.pipelines(rate_limit="1/h")
    facts = [provider.start(world.pipeline(), run, world.told(run)) for run in (world.run(), world.run("b" * 32))]
    assert isinstance(facts[0], RunFact)
    assert isinstance(facts[1], Refused)
    assert facts[1].again is not None
    assert facts[1].again > timedelta(minutes=55)
    assert len(world.web.pipelines) == 1


def test_a_config_with_errors_fails_the_run_at_once(world: World) -> None:
    world.web.script = Script((), ((0, "errored"),), (("config", "no\nsuch job"), ("plan", "out of credits")))
    found = started(world)
    assert isinstance(found, RunFact)
    assert (found.status, found.text) == (RunStatus.FAILED, "config: no such job; plan: out of credits")


@pytest.mark.parametrize("fault", [Answer(404, {"message": "Not found."}), "drop before"])
def test_a_start_counts_even_where_its_errors_cannot_be_read(world: World, fault: Any) -> None:
    world.web.script = Script((), ((0, "errored"),), (("config", "x"),))
    world.server.faults.append(Fault(("GET", r"/api/v2/pipeline/.*"), fault))
    found = started(world)
    assert isinstance(found, RunFact)
    assert (found.handle, found.status) == (world.made.id, RunStatus.FAILED)
    assert found.text == "CircleCI could not read its config"


def test_c_b4_one_failed_start_leaves_its_siblings_alone(world: World) -> None:
    world.server.add("gh/acme/api")
    provider = world.pipelines()
    facts = {}
    for number, name in enumerate(("api", "none", "web")):
        run = world.run(str(number) * 32)
        facts[name] = provider.start(world.pipeline(project=f"gh/acme/{name}"), run, world.told(run))
    assert [type(each) for each in facts.values()] == [RunFact, Refused, RunFact]
    world.later(seconds=70)
    for name in ("api", "web"):
        fact = facts[name]
        assert isinstance(fact, RunFact)
        assert provider.status(None, world.run(handle=fact.handle)).status is RunStatus.SUCCEEDED


def test_twenty_at_once_are_twenty_pipelines(world: World) -> None:
    provider = world.pipelines()

    def begin(number: int) -> str:
        run = world.run(f"{number:032}")
        fact = provider.start(world.pipeline(runKeyParameter="run_key"), run, world.told(run))
        assert isinstance(fact, RunFact)
        return fact.handle

    with ThreadPoolExecutor(20) as threads:
        handles = list(threads.map(begin, range(20)))
        world.later(seconds=70)
        facts = list(threads.map(lambda handle: provider.status(None, world.run(handle=handle)), handles))
    keys = {each.id: each.parameters["run_key"] for each in world.web.pipelines}
    assert [keys[handle] for handle in handles] == [f"{number:032}" for number in range(20)]
    assert {each.status for each in facts} == {RunStatus.SUCCEEDED}


def test_probe_tells_a_rejected_token_from_a_server_that_is_not_up(world: World) -> None:
    provider = world.pipelines()
    assert provider.probe(world.pipeline()) is None
    world.server.faults.append(Fault(("GET", r".*/me"), Answer(503, b"", {"Retry-After": "5"})))
    found = provider.probe(world.pipeline())
    assert found is not None
    assert (found.again, "is not up: 503" in found.text) == (timedelta(seconds=5), True)
    world.server.faults.append(Fault(("GET", r".*/me"), "drop before"))
    found = provider.probe(world.pipeline())
    assert found is not None
    assert (found.again, "cannot be reached" in found.text) == (timedelta(0), True)
    world.environ["CIRCLECI_TOKEN"] = WRONG
    found = world.pipelines().probe(world.pipeline())
    assert found is not None
    assert (found.again, "token rejected" in found.text) == (None, True)


def test_an_instance_without_its_token_is_unreachable(tmp_path: Path) -> None:
    def made(environ: dict[str, str], **more: Any) -> str:
        instance = Instance("ci", "circleci", "https://circleci.com", SecretRef(env="CIRCLECI_TOKEN"), **more)
        found = circleci_pipelines(instance, environ, tmp_path, FolderCache(tmp_path))
        assert isinstance(found, Unreachable)
        return found.text

    assert made({}) == "instance ci: the environment variable CIRCLECI_TOKEN holds no token"
    assert (
        made({"CIRCLECI_TOKEN": "a b"})
        == "instance ci: the environment variable CIRCLECI_TOKEN holds more than a token"
    )
    assert made({"CIRCLECI_TOKEN": "abc"}, rate_limit="much").startswith("instance ci: rateLimit:")


def test_c_b5_rp_14_the_token_is_in_no_error_trace_or_report(world: World) -> None:
    lines: list[str] = []

    def keep(message: str, /, **fields: object) -> None:
        lines.append(f"{message} {fields}")

    trace.begin(keep)
    texts: list[Any] = []
    try:
        run = world.start(world.run())
        world.later(seconds=70)
        texts += [world.status(run), world.pipelines().details(world.pipeline(), run)]
        for status in (400, 401, 500):
            world.server.faults.append(Fault(START, Answer(status, {"message": f"Circle-Token: {TOKEN} is not good"})))
            try:
                texts.append(started(world))
            except ServerUnreachable as error:
                texts += [error.message, error.hint]
        world.server.faults.append(Fault(("GET", r".*/workflow"), Answer(502, TOKEN.encode()), times=9))
        texts.append(world.pipelines().details(world.pipeline(), run))
    finally:
        trace.end()
    assert len(lines) > 8
    assert [each for each in (*lines, *map(str, texts)) if TOKEN in each] == []
