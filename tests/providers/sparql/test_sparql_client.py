"""The client: every way to send an update, logins, what stores answer when they do not want, and bad days."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from worlds.fake_http import Answer, Fault, Request
from worlds.object_stores import Between
from worlds.triple_stores import READER, WRITER, Store, a_run

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.runs import RunStatus
from bot.model.servers import Instance, Pipeline, SecretRef
from bot.ports import Refused
from bot.providers.cache import FolderCache
from bot.providers.pipelines.sparql import SparqlPipelines, sparql_pipelines
from bot.providers.sparql_api import Place

POST = ("POST", r".*")
UPDATE = ("POST", r"/update")
QUERY = ("POST", r"/query")


@pytest.fixture
def proxy(oxigraph: Store) -> Iterator[Between]:
    """A proxy before Oxigraph."""
    with Between(oxigraph.url) as between:
        yield between


@pytest.fixture
def here(oxigraph: Store) -> Store:
    return oxigraph.fresh()


def dump(store: Store) -> Pipeline:
    return store.job(kind="dump")


def through(store: Store, proxy: Between, token: str = "") -> SparqlPipelines:
    return store.pipelines(url=proxy.url, token=token)


def start(store: Store, pipelines: SparqlPipelines, key: str = "") -> RunFact | Refused:
    return pipelines.start(dump(store), a_run(key), {})


def seen(proxy: Between) -> tuple[list[Request], Callable[[Request], Request]]:
    """The requests that will have come by, and what has to edit them for that."""
    found: list[Request] = []

    def note(request: Request) -> Request:
        found.append(request)
        return request

    proxy.edit = note
    return found, note


@pytest.mark.parametrize("form", ["query", "update", "body"])
def test_bj_11_virtuoso_takes_updates_in_every_form(virtuoso: Store, form: str) -> None:
    store = virtuoso.fresh()
    answer = store.pipelines().start(store.job(kind="dump", update=form), a_run(), {})
    assert isinstance(answer, RunFact)
    assert len(store.triples()) == 15
    assert isinstance(store.pipelines().cancel(dump(store), a_run(handle=answer.handle)), RunFact)


@pytest.mark.parametrize("form", ["update", "body"])
def test_bj_11_oxigraph_takes_updates_in_two_forms(here: Store, form: str) -> None:
    assert isinstance(here.pipelines().start(here.job(kind="dump", update=form), a_run(), {}), RunFact)
    assert len(here.triples()) == 15


def test_bj_11_oxigraph_refuses_updates_sent_as_queries(here: Store) -> None:
    answer = here.pipelines().start(here.job(kind="dump", update="query"), a_run(), {})
    assert answer == Refused(f"{here.url}/update: 400 The URL query parameter update must be set")


def test_bj_11_what_is_sent(here: Store, proxy: Between) -> None:
    requests, _ = seen(proxy)
    start(here, through(here, proxy))
    assert [(each.method, each.path) for each in requests] == [("POST", "/update"), ("POST", "/query")]
    for each in requests:
        assert each.headers["mu-auth-sudo"] == "true"
        assert each.headers["accept"] == "application/sparql-results+json"
        ((name, (text,)),) = parse_qs(each.body.decode()).items()
        assert name == each.path.removeprefix("/")
        assert "PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>" in text


@pytest.mark.parametrize("form", ["query", "update", "body"])
def test_bj_11_digest_login_at_virtuoso(virtuoso: Store, form: str) -> None:
    store = virtuoso.fresh()
    pipelines = store.pipelines(url=f"{store.url}-auth", token=WRITER)
    job = store.job(kind="dump", update=form)
    assert pipelines.probe(job) is None
    fact = pipelines.start(job, a_run(), {})
    assert isinstance(fact, RunFact)
    assert pipelines.status(None, a_run(handle=fact.handle)).status is RunStatus.RUNNING


def test_bj_11_the_paths_of_the_block_are_on_the_instances_server(virtuoso: Store) -> None:
    store = virtuoso.fresh()
    job = store.job(kind="dump", endpoint="/sparql-auth", auth="digest")
    fact = store.pipelines(url=store.url.removesuffix("/sparql"), token=WRITER).start(job, a_run(), {})
    assert isinstance(fact, RunFact)


@pytest.mark.parametrize(
    ("token", "source"), [("robot:of-nobody", "the environment variable STORE"), ("", "its definition")]
)
def test_bj_11_a_rejected_login(virtuoso: Store, token: str, source: str) -> None:
    store = virtuoso.fresh()
    at, words = f"{store.url}-auth", f"token rejected (401 Unauthorized): check {source}"
    pipelines = store.pipelines(url=at, token=token)
    assert pipelines.start(dump(store), a_run(), {}) == Refused(f"{at}: {words}")
    assert pipelines.probe(dump(store)) == Refused(f"{at} is not up: {words}")
    with pytest.raises(ServerUnreachable) as error:
        pipelines.find(dump(store), a_run())
    assert (error.value.message, error.value.hint) == (f"{at}: 401 Unauthorized", f"check {source}")


def test_bj_11_a_login_that_may_not_write_is_told_in_virtuosos_first_line(virtuoso: Store) -> None:
    store = virtuoso.fresh()
    answer = store.pipelines(url=f"{store.url}-auth", token=READER).start(dump(store), a_run(), {})
    assert isinstance(answer, Refused)
    assert answer.again is None
    assert "500 Virtuoso 42000 Error SR186:SECURITY: No permission to execute" in answer.text
    assert "\n" not in answer.text


def test_bj_11_a_syntax_error_is_told_in_the_first_line(store: Store) -> None:
    api, place = store.pipelines()._api, Place(*map(str, store.reach.values()))
    refused = api.update(place, "INSERT ME")
    assert isinstance(refused, Refused)
    first = {"virtuoso": "400 Virtuoso 37000 Error SP030: SPARQL compiler, line 8", "oxigraph": "400 error at 8:"}
    assert first[store.name] in refused.text
    with pytest.raises(ServerUnreachable, match=first[store.name]):
        api.select(place, "SELECT ME")


def test_bj_11_basic_login(here: Store, proxy: Between) -> None:
    requests, _ = seen(proxy)
    pipelines = through(here, proxy, token=WRITER)
    fact = pipelines.start(here.job(kind="dump", auth="basic"), a_run(), {})
    assert isinstance(fact, RunFact)
    assert "auth=basic" in fact.handle
    assert all(each.headers["authorization"].startswith("Basic ") for each in requests)
    del requests[:]
    pipelines.status(None, a_run(handle=fact.handle))
    assert requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("again", [True, False])
def test_a_lost_answer_is_looked_up_and_never_sent_twice(here: Store, proxy: Between, *, again: bool) -> None:
    """Whether the store had carried it out or not: afterwards there is one job."""
    pipelines, run = through(here, proxy), a_run()
    proxy.faults.append(Fault(UPDATE, "drop after" if again else "drop before"))
    with pytest.raises(ServerUnreachable, match="what came of it is looked up in the next pass"):
        pipelines.start(dump(here), run, {})
    assert proxy.asked == ["POST lost"]
    found = pipelines.find(dump(here), run)
    assert (found is not None) == again
    fact = found or pipelines.start(dump(here), run, {})
    assert isinstance(fact, RunFact)
    assert len(here.jobs("dump")) == 1
    assert len(here.triples()) == 15


def test_an_answer_lost_while_the_job_is_looked_for(here: Store, proxy: Between) -> None:
    pipelines, run = through(here, proxy), a_run()
    proxy.faults.append(Fault(QUERY, "drop after", times=2))
    with pytest.raises(ServerUnreachable, match=r"/query: Remote end closed connection without response$"):
        pipelines.start(dump(here), run, {})
    assert proxy.asked == ["POST 204", "POST lost", "POST lost"]
    fact = pipelines.find(dump(here), run)
    assert fact is not None
    assert fact.status is RunStatus.RUNNING


@pytest.mark.parametrize("fault", ["drop before", "drop after", Answer(502, b"bad gateway"), Answer(503, b"starting")])
def test_a_query_is_asked_once_more(here: Store, proxy: Between, fault: Answer) -> None:
    proxy.faults.append(Fault(QUERY, fault))
    assert through(here, proxy).find(dump(here), a_run()) is None
    assert len(proxy.asked) == 2


def test_a_refusal_that_could_not_be_kept(here: Store, proxy: Between) -> None:
    """The start is asked for again in the next pass, and refused and kept then; nothing is half-written."""
    here.put_job("dump", "busy")
    before, pipelines, run = here.triples(), through(here, proxy), a_run()
    updates: list[Request] = []

    def second(request: Request) -> bool:
        updates.append(request) if request.path == "/update" else None
        return len(updates) == 2

    proxy.faults.append(Fault(second, Answer(400, b"not now")))
    with pytest.raises(ServerUnreachable, match=r"the refusal could not be kept in the store: .* 400 not now"):
        pipelines.start(dump(here), run, {})
    assert here.triples() == before
    assert pipelines.find(dump(here), run) is None
    assert isinstance(pipelines.start(dump(here), run, {}), Refused)
    assert len(here.triples()) == len(before) + 7


def test_bj_7_a_job_that_cannot_be_given_up(here: Store, proxy: Between) -> None:
    there = here.put_job("dump", "busy")
    proxy.faults.append(Fault(lambda request: b"JobStatus%2Ffailed" in request.body, Answer(400, b"not yours")))
    answer = through(here, proxy).start(here.job(kind="dump", timeoutMinutes=60), a_run(), {})
    assert answer == Refused(f"{proxy.url}/update: 400 not yours")
    assert here.jobs("dump") == [there]


def test_what_stood_in_the_way_is_over(here: Store, proxy: Between) -> None:
    blocker = here.put_job("dump", "busy")

    def end(request: Request) -> Request:
        if request.path == "/query":
            here.set_status(blocker, "success")
        return request

    proxy.edit = end
    answer = start(here, through(here, proxy))
    assert answer == Refused(f"{here.operations['dump']}: what was in its way is over by now", timedelta(0))
    assert not [s for s, _, _ in here.triples() if "/error/" in s]
    assert isinstance(start(here, through(here, proxy)), RunFact)


def test_a_store_that_lets_two_in_is_told_of(here: Store, proxy: Between) -> None:
    """Stores that answer updates side by side let both through; the guard cannot help that, the text says it."""
    others: list[str] = []

    def another(request: Request) -> Request:
        if request.path == "/query" and not others:
            others.append(here.put_job("dump", "busy"))
        return request

    proxy.edit = another
    fact = start(here, through(here, proxy))
    assert isinstance(fact, RunFact)
    assert fact.text.endswith(f"also active, for the store does not keep updates apart: {others[0]}")


FORBIDDEN = Answer(403, b"<html><title>Forbidden</title></html>")
MOVED = Answer(301, b"", {"Location": "https://db.example.com/sparql?x=1"})
DEADLOCK = b"Virtuoso 40001 Error SR172: Transaction deadlocked"
NO_RIGHT = b"Virtuoso 42000 Error SR186: No permission"


@pytest.mark.parametrize(
    ("answer", "words", "again"),
    [
        (Answer(400, b"what?\nmore"), "400 what?", None),
        (Answer(404, b""), "404 Not Found", None),
        (FORBIDDEN, "token rejected (403 Forbidden): check its definition", None),
        (MOVED, "301 it leads to db.example.com/sparql: check the instance's url and its token", None),
        (Answer(429, b"slowly", {"Retry-After": "7"}), "429 slowly", timedelta(seconds=7)),
        (Answer(429, b"slowly", {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}), "429 slowly", timedelta(days=1)),
        (Answer(429, b"slowly"), "429 slowly", timedelta(0)),
        (Answer(500, DEADLOCK + b"\n\nSPARQL query:"), f"500 {DEADLOCK.decode()}", timedelta(0)),
        (Answer(500, NO_RIGHT), f"500 {NO_RIGHT.decode()}", None),
    ],
)
def test_updates_that_were_surely_not_carried_out(
    here: Store, proxy: Between, answer: Answer, words: str, again: timedelta | None
) -> None:
    proxy.faults.append(Fault(UPDATE, answer))
    assert start(here, through(here, proxy)) == Refused(f"{proxy.url}/update: {words}", again)
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"Virtuoso S1T00 Error SR171: Transaction timed out"),
        Answer(500, b"<html><head><title>500 Oh no</title></head></html>"),
        Answer(502, b""),
        Answer(503, b"starting"),
        Answer(504, b""),
        Answer(408, b""),
    ],
)
def test_updates_of_which_nobody_can_tell(here: Store, proxy: Between, answer: Answer) -> None:
    proxy.faults.append(Fault(UPDATE, answer))
    with pytest.raises(ServerUnreachable, match=rf"/update: {answer.status}.*what came of it is looked up"):
        start(here, through(here, proxy))
    assert len(proxy.asked) == 1


JUNK = [
    b"<html>please log in</html>",
    b"[]",
    b"{}",
    b'{"results": 5}',
    b'{"results": {"bindings": [{"a": 1}]}}',
    b'{"results": {"bindings": [{"a": {"type": "triple", "value": {}}}]}}',
    b'{"results": {"bindings": [5]}}',
    b"[" * 100_000,
    b"\xff\xfe",
    gzip.compress(b"{}"),
]


@pytest.mark.parametrize("body", JUNK, ids=range(len(JUNK)))
def test_answers_that_are_no_results(here: Store, proxy: Between, body: bytes) -> None:
    proxy.faults += [Fault(QUERY, Answer(200, body)), Fault(QUERY, Answer(200, body))]
    with pytest.raises(ServerUnreachable, match=r"the answer is no result of a query: 200$"):
        through(here, proxy).find(dump(here), a_run())
    assert isinstance(through(here, proxy).probe(dump(here)), Refused)


@pytest.mark.parametrize("yes", [True, False])
def test_bj_11_both_ways_to_answer_yes_and_no(here: Store, proxy: Between, *, yes: bool) -> None:
    older = {"__ASK_RETVAL": {"type": "typed-literal", "value": str(int(yes))}}
    for document in ({"boolean": yes}, {"results": {"bindings": [older]}}):
        proxy.faults.append(Fault(QUERY, Answer(200, json.dumps(document).encode())))
        assert through(here, proxy).probe(dump(here)) is None


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Answer(503, b"starting", {"Retry-After": "30"}), timedelta(seconds=30)),
        (Answer(500, b""), timedelta(0)),
        (Answer(404, b""), timedelta(0)),
        (Answer(302, b"", {"Location": "/login"}), timedelta(0)),
        (Answer(401, b""), None),
        (Answer(403, b""), None),
    ],
)
def test_a_probe_says_whether_asking_again_is_of_use(
    here: Store, proxy: Between, answer: Answer, again: timedelta | None
) -> None:
    proxy.faults.append(Fault(POST, answer))
    found = through(here, proxy).probe(dump(here))
    assert isinstance(found, Refused)
    assert found.again == again


def test_a_rate_limit_that_is_used_up_is_a_pause_and_no_request(here: Store, proxy: Between) -> None:
    pipelines = here.pipelines(url=proxy.url, rate_limit="1/h")
    assert pipelines.find(dump(here), a_run()) is None
    answer = start(here, pipelines)
    assert isinstance(answer, Refused)
    assert answer.again is not None
    assert timedelta(minutes=50) < answer.again <= timedelta(hours=1, seconds=2)
    with pytest.raises(ServerUnreachable, match="too many requests"):
        pipelines.find(dump(here), a_run())
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("token", "rate", "words"),
    [
        ("NONE", "", "the environment variable NONE holds no token"),
        ("STORE", "", "the environment variable STORE does not hold `user:password`"),
        ("", "often", "rateLimit: 'often' is not a number of requests and a unit, such as 10/s"),
    ],
)
def test_an_instance_that_cannot_be_used(tmp_path: Path, token: str, rate: str, words: str) -> None:
    instance = Instance("db", "sparql", "http://db", SecretRef(env=token) if token else None, rate)
    environ = {"STORE": WRITER.partition(":")[2]}
    found = sparql_pipelines(instance, environ, tmp_path, FolderCache(tmp_path))
    assert found == Unreachable(f"instance db: {words}")


def test_cleaning_that_is_refused_by_the_store(here: Store, proxy: Between) -> None:
    there = here.put_job("dump", "failed")
    proxy.faults.append(Fault(UPDATE, Answer(400, b"read only")))
    answer = through(here, proxy).clean(dump(here), force=False)
    assert answer == Refused(f"{proxy.url}/update: 400 read only")
    assert here.jobs("dump") == [there]


def test_a_job_that_becomes_active_while_it_is_cleaned_stays(here: Store, proxy: Between) -> None:
    there = here.put_job("dump", "failed")

    def revive(request: Request) -> Request:
        if request.path == "/update":
            here.set_status(there, "busy")
        return request

    proxy.edit = revive
    answer = through(here, proxy).clean(dump(here), force=False)
    assert answer == Refused(f"1 of 1 jobs are still there, for one of them became active meanwhile: {there}")
    assert len(here.triples()) == 5
