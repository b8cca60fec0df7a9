"""The six routes of the background jobs' service, at a real triple store (SYSTEMS B, BJ-10 and B-3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from worlds import triple_stores
from worlds.served import SETTINGS, TOKEN, Served, bearer, serving
from worlds.triple_stores import Store
from worlds.world import World

INSTANCE = "$schema: /instance-1.json\nname: store\nprovider: sparql\nurl: {url}\n"
DEFINITION = """\
$schema: /trigger-1.json
name: {name}
owners: [saasbot]
instance: {{$ref: /instances/store.yml}}
on: {{command: {command}}}
retry: {{attempts: 1}}
with: {{{reach}, operations: {{initial-sync: {initial-sync}, healing: {healing}, dump: {dump}}}}}
jobs:
- {{name: sync, once: true, with: {{kind: initial-sync}}}}
- {{name: mend, after: [sync], with: {{kind: healing}}}}
- {{name: dump-it, with: {{kind: dump}}}}
"""
LISTED = """\
$schema: /trigger-1.json
name: listed
owners: [saasbot]
instance: {{$ref: /instances/store.yml}}
on: {{command: true}}
with: {{{reach}}}
jobsFrom: {{folder: {{env: JOB_FOLDER}}, key: {{env: JOB_KEY}}, format: mu-background-jobs}}
"""
PATHS = {"initial-sync": "/initial-sync-jobs", "healing": "/healing-jobs", "dump": "/dump-publication-graph-jobs"}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with triple_stores.oxigraph() as found:
        yield found


class Producer:
    """A world whose definitions are for one store, served."""

    def __init__(self, world: World, served: Served, store: Store) -> None:
        """Keep them."""
        self.world, self.served, self.store = world, served, store

    def defines(self, name: str, *, command: bool = True) -> Store:
        """A definition with a graph and operations of its own; its store."""
        here = self.store.fresh()
        reach = ", ".join(f"{key}: {value}" for key, value in {"graph": here.graph, **here.reach}.items())
        words = {"name": name, "reach": reach, "command": str(command).lower(), **here.operations}
        self.world.push({f"triggers/{name}.yml": DEFINITION.format(**words)})
        self.world.one_pass()
        return here

    def start(self, kind: str, name: str = "", **headers: str) -> tuple[int, str]:
        """Ask for a job."""
        return self._asked("POST", kind, name, headers)

    def clean(self, kind: str, name: str = "", **headers: str) -> tuple[int, str]:
        """Ask for jobs to be removed."""
        return self._asked("DELETE", kind, name, headers)

    def _asked(self, method: str, kind: str, name: str, headers: dict[str, str]) -> tuple[int, str]:
        path = f"/{name}{PATHS[kind]}" if name else PATHS[kind]
        answer = self.served.ask(method, path, headers=headers or bearer())
        assert set(answer.json()) == {"msg"}
        return answer.status_code, answer.json()["msg"]

    def carries_out(self, here: Store, kind: str, word: str = "success") -> str:
        """The service carries the job of a kind out; its URI."""
        (job,) = (each for each in here.jobs(kind))
        here.set_status(job, word)
        self.world.one_pass()
        return job


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Iterator[Producer]:
    root = tmp_path_factory.mktemp("serve-jobs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(root / "cache"))
        world = World(root / "world", services=(), more=SETTINGS)
        world.push({"instances/store.yml": INSTANCE.format(url=store.url)})
        world.one_pass()
        with serving(world) as served:
            yield Producer(world, served, store)


def test_each_says_what_the_service_said_once_it_is_known(producer: Producer) -> None:
    here = producer.defines("all")
    said = producer.start("initial-sync", "all")
    (job,) = here.jobs("initial-sync")
    assert said == (200, f"Sync job started {job}")
    producer.carries_out(here, "initial-sync")
    for kind, words in (("dump", "Dump publication graph job {} triggered"), ("healing", "Healing job {} triggered")):
        said = producer.start(kind, "all")
        (job,) = here.jobs(kind)
        assert said == (200, words.format(job))
        producer.carries_out(here, kind)
    assert producer.clean("dump", "all") == (200, "Dump publication graph job cleaned")
    assert producer.clean("healing", "all") == (200, "Healing job cleaned")
    (job,) = here.jobs("initial-sync")
    other = here.put_job("initial-sync", "failed")
    code, text = producer.clean("initial-sync", "all")
    assert (code, set(text.removeprefix("Sync job cleaned ").split(", "))) == (200, {job, other} - {other})
    assert here.triples() == set()


def test_bj_3_healing_needs_a_sync_that_succeeded_and_nothing_is_written(producer: Producer) -> None:
    here = producer.defines("order")
    assert producer.start("healing", "order") == (409, "sync has not succeeded yet")
    assert here.triples() == set()
    producer.start("initial-sync", "order")
    producer.carries_out(here, "initial-sync", "failed")
    assert producer.start("healing", "order") == (409, "sync has not succeeded yet")
    assert here.jobs("healing") == []


def test_b_3_what_is_refused_says_so_and_why(producer: Producer) -> None:
    here = producer.defines("busy")
    producer.start("dump", "busy")
    (job,) = here.jobs("dump")
    for kind in ("dump", "initial-sync"):
        code, text = producer.start(kind, "busy")
        assert code == 409
        assert job in text
    code, text = producer.clean("dump", "busy")
    assert code == 409
    assert text.endswith(f"{job}; nothing was removed")
    assert here.jobs("dump") == [job]
    here.set_status(job, "success")
    assert producer.start("dump", "busy")[0] == 200, "that it has ended is looked for"


def test_a_job_of_somebody_else_is_in_the_way(producer: Producer) -> None:
    here = producer.defines("shared")
    other = here.put_job("healing", "busy")
    code, text = producer.start("dump", "shared")
    assert (code, here.jobs("dump")) == (409, [])
    assert other in text


def test_a_sync_that_was_there_before_is_not_called_started(producer: Producer) -> None:
    here = producer.defines("there")
    other = here.put_job("initial-sync", "success")
    code, text = producer.start("initial-sync", "there")
    assert (code, here.jobs("initial-sync")) == (409, [other])
    assert text == f"job {other}; it was there before, nothing was started"
    code, text = producer.start("initial-sync", "there")
    assert (code, text) == (409, "it has run already, and is to run once")
    assert producer.clean("initial-sync", "there")[0] == 200
    assert producer.start("initial-sync", "there")[0] == 200, "cleaning forgets that it ran"


def test_many_at_once_start_one(producer: Producer) -> None:
    here = producer.defines("race")
    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda _: producer.start("dump", "race"), range(6)))
    (job,) = here.jobs("dump")
    assert sorted(code for code, _ in said) == [200, *[409] * 5]
    assert all(job in text for _, text in said)


def test_two_servers_start_one(producer: Producer) -> None:
    here = producer.defines("servers")
    with serving(producer.world) as served, ThreadPoolExecutor(6) as pool:
        both = (producer, Producer(producer.world, served, producer.store))
        said = list(pool.map(lambda number: both[number % 2].start("dump", "servers"), range(6)))
    (job,) = here.jobs("dump")
    assert [text for code, text in said if code == 200] == [f"Dump publication graph job {job} triggered"]
    assert {code for code, _ in said} <= {200, 202, 409}
    producer.world.one_pass()
    assert here.jobs("dump") == [job]


def test_several_jobs_of_a_kind_are_started_by_their_names_only(producer: Producer) -> None:
    here = producer.defines("double")
    path = producer.world.config / "triggers" / "double.yml"
    text = path.read_text() + "- {name: dump-that, with: {kind: dump}}\n"
    producer.world.push({"triggers/double.yml": text})
    code, said = producer.start("dump", "double")
    assert (code, here.jobs("dump")) == (404, [])
    assert said.startswith("double has several jobs of kind dump (dump-it, dump-that): ")


def test_without_a_name_there_must_be_one_definition(producer: Producer) -> None:
    producer.defines("first")
    producer.defines("second")
    code, text = producer.start("dump")
    assert code == 404
    assert {"/first/dump-publication-graph-jobs", "/second/dump-publication-graph-jobs"} <= set(
        text.removeprefix("several definitions have such jobs: ").split(", ")
    )
    assert producer.clean("dump") == (404, text)
    assert producer.start("dump", "third") == (404, "third has no job of kind dump")


def test_a_definition_that_takes_no_commands_takes_none_here(producer: Producer) -> None:
    here = producer.defines("closed", command=False)
    code, text = producer.start("dump", "closed")
    assert (code, here.jobs("dump")) == (409, [])
    assert text.startswith("closed takes no commands")


@pytest.mark.parametrize("header", ["", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", "Bearer \xe9", TOKEN])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_without_the_token_nothing_is_told_or_done(producer: Producer, method: str, header: str) -> None:
    for path in ("/dump-publication-graph-jobs", "/nobody/healing-jobs"):
        headers = {"Authorization": header.encode("latin-1")} if header else {}
        answer = producer.served.ask(method, path, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"msg": "the token is missing or wrong"})
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_without_a_token_in_the_settings_they_are_closed(producer: Producer) -> None:
    with serving(producer.world, token=lambda: None) as served:
        answer = served.post("/healing-jobs", headers=bearer())
    assert (answer.status_code, answer.json()["msg"].split(":")[0]) == (503, "not configured")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_start_that_the_store_does_not_answer_is_no_success(producer: Producer) -> None:
    here = producer.defines("away")
    instance = producer.world.config / "instances" / "store.yml"
    there = instance.read_text()
    producer.world.push({"instances/store.yml": INSTANCE.format(url="http://127.0.0.1:9")})
    code, text = producer.start("dump", "away")
    assert code == 202
    assert text.startswith("it is not started yet: ")
    assert producer.start("dump", "away")[0] == 409, "it is tried again by itself, and not asked for twice"
    code, text = producer.clean("dump", "away")
    assert code == 409
    assert "127.0.0.1" in text
    producer.world.push({"instances/store.yml": there})
    assert here.jobs("dump") == []


def test_jobs_of_a_list_outside_of_the_config_are_found(producer: Producer, tmp_path: Path) -> None:
    here = producer.store.fresh()
    entry = {
        "name": "listed",
        "jobsGraph": here.graph,
        "initialPublicationGraphSyncJobOperation": here.operations["initial-sync"],
        "healingJobOperation": here.operations["healing"],
        "dumpFileCreationJobOperation": here.operations["dump"],
        "startInitialSync": False,
    }
    (tmp_path / "jobs.json").write_text(json.dumps([entry]))
    reach = ", ".join(f"{key}: {value}" for key, value in here.reach.items())
    definition = LISTED.format(reach=reach)
    producer.world.push({"triggers/listed.yml": definition})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOB_FOLDER", str(tmp_path))
        patch.setenv("JOB_KEY", "jobs.json")
        producer.world.one_pass()
        code, text = producer.start("dump", "listed")
        assert (code, text) == (200, f"Dump publication graph job {here.jobs('dump')[0]} triggered")
        (tmp_path / "jobs.json").write_text("[{}]")
        code, text = producer.start("healing", "listed")
        assert (code, text.partition(":")[0]) == (503, "the jobs of listed are not known")
    assert producer.start("dump", "listed")[0] == 503, "the list is not there any more"
