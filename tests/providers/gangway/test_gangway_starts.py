"""Starts through a real Envoy and a real nginx: what is taken, refused, limited, and what nobody can tell."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from worlds.gangway_front import SPEED, TOKEN, World
from worlds.gangway_runs import ENVIRONMENT, JOB, LONG, Clock, instance, intent, job, provider, told

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.pipelines.gangway import GangwayPipelines, gangway_pipelines

BEGAN = time.time()
SHA = "0123456789abcdef0123456789abcdef01234567"
REFS = {"org": "acme", "repo": "web", "base_ref": "main", "base_sha": SHA}
PULLS = [{"number": 7, "author": "alice", "sha": SHA}]


def started(fact: RunFact | Refused | None) -> RunFact:
    assert isinstance(fact, RunFact), fact
    return fact


def refused(answer: RunFact | Refused | None) -> Refused:
    assert isinstance(answer, Refused), answer
    return answer


def test_gw_6_one_request_starts_one_execution(gangway: World) -> None:
    fact = started(provider(gangway.url("body")).start(job(), intent(), ENVIRONMENT))
    (made,) = gangway.prow.of(JOB)
    assert (fact.handle, fact.status, fact.text) == (made.id, RunStatus.PENDING, "")
    assert (made.kind, made.spec) == ("PERIODIC", {"envs": {}, "labels": {}, "annotations": {}})
    assert gangway.prow.calls == ["create"]


def test_both_forms_of_the_address(gangway: World) -> None:
    name = "periodic-ci/with a slash"
    fact = started(provider(gangway.url("path")).start(job(name, urlStyle="path"), intent(), ENVIRONMENT))
    assert [each.id for each in gangway.prow.of(name)] == [fact.handle]


@pytest.mark.parametrize(("door", "style", "other"), [("path", "body", "path"), ("body", "path", "body")])
def test_the_wrong_form_says_which_to_try(gangway: World, door: str, style: str, other: str) -> None:
    made = provider(gangway.url(door))
    run = intent(mark=made.mark(job()))
    answer = refused(made.start(job(urlStyle=style), run, ENVIRONMENT))
    assert "remote reset" in answer.text
    assert f"try `with.urlStyle: {other}`" in answer.text
    assert (answer.again, gangway.prow.executions) == (timedelta(0), {})


def test_a_reset_start_without_a_mark_is_looked_up_later(gangway: World) -> None:
    with pytest.raises(ServerUnreachable, match="remote reset; it may have started"):
        provider(gangway.url("path")).start(job(), intent(), ENVIRONMENT)


def test_all_that_a_start_may_say(gangway: World) -> None:
    options: dict[str, Any] = {
        "job": "branch-ci",
        "type": "presubmit",
        "refs": {**REFS, "base_sha": "{sha}", "pulls": PULLS},
        "envs": {"WHY": "{reasons}", "PLAIN": "${HOME} {x"},
        "labels": {"run": "{run_key}"},
        "annotations": {"about": "a b/c"},
    }
    started(provider(gangway.url("body")).start(job(**options), intent(), told(SAASBOT_SHA=SHA)))
    (made,) = gangway.prow.of("branch-ci")
    assert made.kind == "PRESUBMIT"
    assert made.spec == {
        "envs": {"WHY": "schedule", "PLAIN": "${HOME} {x"},
        "labels": {"run": "k1"},
        "annotations": {"about": "a b/c"},
    }


def test_a_postsubmit_job(gangway: World) -> None:
    started(provider(gangway.url("body")).start(job(type="postsubmit", refs=REFS), intent(), ENVIRONMENT))
    assert [each.kind for each in gangway.prow.of(JOB)] == ["POSTSUBMIT"]


def test_gw_12_what_would_be_sent_is_told_and_not_sent(gangway: World) -> None:
    made = provider(gangway.url("body"))
    body = {"job_name": JOB, "job_execution_type": "1", "pod_spec_options": {"envs": {"WHY": "schedule"}}}
    told_of = made.preview(job(envs={"WHY": "{reasons}"}), intent(), ENVIRONMENT)
    assert told_of == {"method": "POST", "url": f"{gangway.url('body')}/v1/executions", "body": body}
    assert made.preview(job(urlStyle="path"), intent(), ENVIRONMENT) == {
        "method": "POST",
        "url": f"{gangway.url('body')}/v1/executions/{JOB}",
        "body": {"job_execution_type": "1"},
    }
    assert "is empty for this run" in made.preview(job(envs={"SHA": "{sha}"}), intent(), ENVIRONMENT)["refused"]
    assert "has no `nme`" in made.preview(job(nme="x"), intent(), ENVIRONMENT)["refused"]
    assert (gangway.prow.calls, TOKEN in str(told_of)) == ([], False)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("no-such", {}, '500 failed to find associated periodic job "no-such"'),
        ("others-job", {}, "403 client cannot start others-job: 100 % sûr"),
        (JOB, {"labels": {"a": "{sha7}{reasons}-"}}, "400 invalid label"),
        (JOB, {"type": "postsubmit", "refs": {**REFS, "pulls": [{"number": 1, "sha": "abc"}]}}, "400 gitRefs.pulls"),
    ],
)
def test_g_b4_what_gangway_refuses_is_final(gangway: World, name: str, options: dict[str, Any], words: str) -> None:
    """G-B4: the original asked again after 400, 401 and 403, each time a minute later."""
    answer = refused(provider(gangway.url("body")).start(job(name, **options), intent(), ENVIRONMENT))
    assert words in answer.text
    assert (answer.again, gangway.prow.calls, gangway.prow.executions) == (None, ["create"], {})


def test_g_b4_a_rejected_token_is_final_and_never_told(gangway: World) -> None:
    token = "sha256~a-token-that-was-taken-back"  # noqa: S105 - nobody's
    answer = refused(provider(gangway.url("body"), token=token).start(job(), intent(), ENVIRONMENT))
    assert "token rejected (403 Sign in): check the environment variable GANGWAY_TOKEN" in answer.text
    assert (answer.again, token in answer.text) == (None, False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"envs": {"SHA": "x{sha}"}, "annotations": {"at": "{sha}"}}, "`with.annotations.at` is empty for this run"),
        ({"refs": REFS}, "a periodic job takes no `refs`"),
    ],
)
def test_what_would_be_refused_is_not_sent(gangway: World, options: dict[str, Any], words: str) -> None:
    answer = refused(provider(gangway.url("body")).start(job(**options), intent(), ENVIRONMENT))
    assert words in answer.text
    assert (answer.again, gangway.prow.calls) == (None, [])


def test_gw_6_too_many_requests_are_told_at_once_with_the_time_to_wait(gangway: World) -> None:
    """OpenShift's own limit: 11 at once, then 429 with `Retry-After: 7`; nothing is slept here, nothing sent again.

    What comes after it is not sent at all, and is no try of its job.
    """
    clock = Clock()
    made = provider(gangway.url("limited"), clock=clock)
    began = time.monotonic()
    answers = [made.start(job(f"periodic-{number}"), intent(f"k{number}"), ENVIRONMENT) for number in range(13)]
    assert time.monotonic() - began < 3
    assert [type(each) for each in answers] == [RunFact] * 11 + [Refused] * 2
    first, other = map(refused, answers[-2:])
    assert (first.again, first.untried) == (timedelta(seconds=7), False)
    assert "429 Rate limit exceeded. Try again later.; it takes the next request in 7 s" in first.text
    assert other.untried
    assert other.text.endswith("takes no more starts just now; it takes the next one in 7 s")
    assert other.again is not None
    assert timedelta(seconds=4) < other.again <= timedelta(seconds=7)
    clock.shift = timedelta(seconds=8)
    assert not refused(made.start(job("periodic-13"), intent("k13"), ENVIRONMENT)).untried
    with pytest.raises(ServerUnreachable, match="429 Rate limit exceeded") as caught:
        made.status(job(), intent(handle=started(answers[0]).handle))
    assert "`rateLimit`" in caught.value.hint
    assert refused(made.probe(job())).again == timedelta(seconds=7)
    assert gangway.prow.calls == ["create"] * 11


class Fast(Clock):
    """A clock that goes `SPEED` times as fast."""

    def __call__(self) -> datetime:
        began = datetime.fromtimestamp(BEGAN, UTC)
        return began + (datetime.now(UTC) - began) * SPEED


def test_gw_6_sixteen_jobs_through_the_limit_are_accepted_once_each(gangway: World) -> None:
    """A minute takes two seconds here: limit, waits and clock are `SPEED` times as fast. Polls come first."""
    made = provider(gangway.url("quick"), clock=Fast())
    for _ in range(11):
        made.mark(job())
    names = [f"periodic-{number}" for number in range(16)]
    due = dict.fromkeys(names, 0.0)
    limited = 0
    while due:
        name = min(due, key=lambda each: due[each])
        time.sleep(max(0.0, due[name] - time.monotonic()))
        answer = made.start(job(name), intent(name), ENVIRONMENT)
        if isinstance(answer, Refused):
            limited += 1
            assert answer.again is not None
            due[name] = time.monotonic() + answer.again.total_seconds() / SPEED
        else:
            del due[name]
    assert limited > 0
    assert sorted(each.job for each in gangway.prow.executions.values()) == sorted(names)


def test_gw_11_one_bucket_for_starts_and_polls_never_meets_the_limit(gangway: World) -> None:
    made = provider(gangway.url("quick2"), "20/s")
    for number in range(8):
        mark = made.mark(job(f"periodic-{number}"))
        fact = started(made.start(job(f"periodic-{number}"), intent(f"k{number}", mark), ENVIRONMENT))
        made.status(job(), intent(handle=fact.handle))
    assert len(gangway.prow.executions) == 8


def test_g_b5_killed_after_receipt_there_is_exactly_one_execution(gangway: World) -> None:
    """G-B5: the original sent the request again after every 5xx; Envoy's 503 says nothing of what Gangway did."""
    gangway.revive()
    clock = Clock()
    made = provider(gangway.url("mortal"), clock=clock)
    pipeline = job("deadly-job")
    run = intent(mark=made.mark(pipeline))
    with pytest.raises(
        ServerUnreachable, match=r"503 .*connection termination; whether it was carried out is looked up"
    ):
        made.start(pipeline, run, ENVIRONMENT)
    with pytest.raises(ServerUnreachable, match="remote connection failure"):
        made.find(pipeline, run)
    gangway.revive()
    again = provider(gangway.url("mortal"), clock=clock)
    fact = started(again.find(pipeline, run))
    (execution,) = gangway.mortals()
    assert (fact.handle, fact.status) == (execution.id, RunStatus.PENDING)
    assert started(provider(gangway.url("mortal")).find(pipeline, run)).handle == execution.id
    gangway.bury()


def test_gw_6_a_server_that_is_down_is_asked_again(gangway: World) -> None:
    answer = refused(provider(gangway.url("dead")).start(job(), intent(), ENVIRONMENT))
    assert "503 upstream connect error" in answer.text
    assert answer.again == timedelta(0)


def test_gw_7_a_gateway_that_lost_its_upstream_may_have_passed_the_start_on(gangway: World) -> None:
    with pytest.raises(ServerUnreachable, match=r"502 Bad Gateway; whether it was carried out"):
        provider(gangway.url("gone")).start(job(), intent(), ENVIRONMENT)


def test_gw_7_out_of_time_behind_envoy(gangway: World) -> None:
    gangway.prow.slow[JOB] = 0.6
    made = provider(gangway.url("hasty"))
    run = intent(mark=made.mark(job()))
    with pytest.raises(ServerUnreachable, match="504 upstream request timeout; whether"):
        made.start(job(), run, ENVIRONMENT)
    assert [each.id for each in gangway.prow.of(JOB)] == [started(made.find(job(), run)).handle]


def test_gw_7_out_of_time_here(gangway: World) -> None:
    gangway.prow.slow[LONG] = 0.6
    made = provider(gangway.url("body"), answer=0.2)
    run = intent(mark=made.mark(job(LONG)))
    with pytest.raises(ServerUnreachable, match=r"no answer within 0\.2 s; whether"):
        made.start(job(LONG), run, ENVIRONMENT)
    assert [each.id for each in gangway.prow.of(LONG)] == [started(made.find(job(LONG), run)).handle]


def test_gw_6_what_was_never_sent_may_be_sent_again(gangway: World) -> None:
    closed = gangway.ports["envoy-gone"]
    for url, words in {
        f"http://127.0.0.1:{closed}": "Connection refused",
        "http://gangway.invalid": "the server's name is not known",
        gangway.url("body").replace("http:", "https:"): "the certificate is not trusted",
    }.items():
        answer = refused(provider(url).start(job(), intent(), ENVIRONMENT))
        assert words in answer.text
        assert answer.again == timedelta(0)


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


def test_gw_6_an_untrusted_certificate_comes_before_the_request(untrusted: str) -> None:
    answer = refused(provider(untrusted).start(job(), intent(), ENVIRONMENT))
    assert "the certificate is not trusted: self-signed certificate" in answer.text
    assert answer.again == timedelta(0)


def test_an_address_that_is_none_is_final() -> None:
    answer = refused(provider("gangway.example.com").start(job(), intent(), ENVIRONMENT))
    assert answer.again is None
    assert "Invalid URL" in answer.text or "scheme" in answer.text


def test_gw_6_without_its_own_certificates_or_its_proxy_nothing_is_sent(
    gangway: World, untrusted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ, cache = {"GANGWAY_TOKEN": TOKEN}, FolderCache(tmp_path)
    made = gangway_pipelines(replace(instance(untrusted), ca="missing.pem"), environ, tmp_path, cache)
    assert isinstance(made, GangwayPipelines)
    assert refused(made.start(job(), intent(), ENVIRONMENT)).again == timedelta(0)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{gangway.ports['envoy-gone']}")
    answer = refused(provider("http://gangway.example.com").start(job(), intent(), ENVIRONMENT))
    assert "the proxy did not let it through" in answer.text
    assert answer.again == timedelta(0)


def test_gw_7_a_connection_that_ends_within_tls_may_have_carried_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(ServerUnreachable, match="whether it was carried out"):
            provider(f"https://127.0.0.1:{listening.getsockname()[1]}").start(job(), intent(), ENVIRONMENT)
        thread.join()
