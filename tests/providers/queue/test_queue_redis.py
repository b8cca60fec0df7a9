"""What only Redis brings: leases, poison, RQ's own tools, a server that is away, and addresses."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rq import Queue as RqQueue
from rq.cli import main as rq_tool
from rq.job_lifecycle import record_job_failure
from worlds import planted
from worlds.redis_server import RedisServer, redis_server

from bot.errors import ServerUnreachable, WrongUsage
from bot.model.work import Done, Due, Ending, QueueItem, Wait
from bot.ports import Until
from bot.providers.build import work_queue
from bot.providers.clock import SystemClock
from bot.providers.queue.memory import MemoryQueue
from bot.providers.queue.redis import RedisQueue
from bot.providers.queue.redis_records import job_id, subject_of
from bot.providers.queue.redis_worker import Processor, Taken, Ways, look
from bot.settings import ForgeSettings, QueueSettings, Settings, StateSettings

NOW = datetime.now(UTC).replace(microsecond=0)
PAST, LATER = NOW - timedelta(minutes=1), NOW + timedelta(hours=1)
A, B = "target:a/a/a", "target:b/b/b"
SECOND = timedelta(seconds=1)


def drained(queue: RedisQueue, ending: Ending | None = None) -> int:
    return queue.work(lambda _: ending or Done("done"), until=Until.DRAINED, stopped=lambda: False)


def member(queue: RedisQueue, subject: str = A) -> str:
    return job_id(queue.store.prefix, subject)


def lapse(queue: RedisQueue) -> None:
    """End all leases of a queue, as time does."""
    client = queue.store.server.client
    executions: Any = client.zrange(queue.store.taken, 0, -1)
    for execution in executions:
        client.zadd(queue.store.taken, {execution: 1}, xx=True)


def abandoned(queue: RedisQueue) -> Taken:
    """A subject whose processor has ended without a word."""
    ways = Ways(SystemClock(), lambda: False, queue.tell, queue.lease, queue.pause, None)
    with Processor(queue.store, ways) as processor:
        taken = processor.take()
    assert taken is not None
    lapse(queue)
    return taken


@pytest.fixture(scope="module")
def aged(redis: RedisServer) -> RedisServer:
    """The server, up for longer than the short leases here."""
    while int(redis.client.info("server")["uptime_in_seconds"]) < 1:
        time.sleep(0.05)
    return redis


@pytest.mark.parametrize("subject", ["target:a/b/c", "merge-request:feature/ü_x y", "trigger:_3A", "dashboard", ""])
def test_ids_and_subjects(subject: str) -> None:
    made = job_id("team-a", subject)
    assert made.replace("-", "").replace("_", "").isalnum()
    assert subject_of("team-a", made) == subject
    assert subject_of("team", made) == made


def test_a_lost_lease_drops_the_ending(aged: RedisServer) -> None:
    queue = aged.queue(lease=SECOND)
    queue.add(Due(A, PAST))

    def slow(_: QueueItem) -> Ending:
        while True:  # the lease is renewed behind our back
            lapse(queue)
            if drained(queue, Wait("the other one's")):
                return Done("too late")

    queue.work(slow, until=Until.ONE, stopped=lambda: False)
    (item,) = queue.items()
    assert (item.text, item.attempts) == ("the other one's", 0)
    assert f"{A}: the lease had run out, another processor looks at it; this ending is dropped" in aged.told


def test_what_a_dead_processor_had_counts_as_a_look_that_failed(aged: RedisServer) -> None:
    queue = aged.queue(lease=SECOND)
    queue.add(Due(A, PAST))
    for look_ in range(2):
        assert abandoned(queue).record.item.attempts == look_
    seen: list[QueueItem] = []

    def handle(item: QueueItem) -> Ending:
        seen.append(item)
        return Done("done")

    queue.work(handle, until=Until.ONE, stopped=lambda: False)
    assert [(item.attempts, item.text) for item in seen] == [(2, "its processor ended in the middle")]
    assert list(queue.items()) == []


def test_after_a_restart_of_the_server_the_living_have_a_lease_of_time(aged: RedisServer) -> None:
    queue = aged.queue()  # its lease is longer than the server is up
    queue.add(Due(A, PAST))
    abandoned(queue)
    assert drained(queue) == 0
    assert [item.taken for item in queue.items()] == [True]


def test_two_collectors_race(redis: RedisServer) -> None:
    name, added = redis.queue().store.prefix, []

    def collect() -> None:
        queue = redis.queue(name)
        added.append(sum(queue.add(Due(f"target:t/t/{number}", PAST)) for number in range(100)))

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == len(redis.queue(name).items()) == 100


def poisoned(redis: RedisServer, queue: RedisQueue) -> dict[str, str]:
    """Put poison into a queue; the subjects it is seen as, with the reasons."""
    client, prefix = redis.client, queue.store.prefix
    at = PAST.timestamp() - 60
    for subject in ("target:no/json", "target:no/number", "target:other/one", "target:no/hash", "target:no/job"):
        queue.add(Due(subject, PAST))
    client.hset(f"rq:job:{member(queue, 'target:no/json')}", "meta", b"\x80\x04 pickled")
    client.hset(f"rq:job:{member(queue, 'target:no/number')}", "meta", '{"subject": "target:no/number", "at": 1e300}')
    client.hset(f"rq:job:{member(queue, 'target:other/one')}", "meta", '{"subject": "target:else", "at": 1}')
    client.delete(f"rq:job:{member(queue, 'target:no/hash')}")
    client.set(f"rq:job:{member(queue, 'target:no/hash')}", "a text")
    client.delete(f"rq:job:{member(queue, 'target:no/job')}")
    client.zadd(queue.store.waiting, {b"a raw member": at, b"\xff\xfe": at})
    foreign = RqQueue(prefix, connection=client)
    foreign.enqueue("some.function", job_id=f"{prefix}-now")
    foreign.enqueue_at(PAST, "some.function", job_id=f"{prefix}-then")
    return {
        "target:no/json": "its record cannot be read",
        "target:no/number": "its record cannot be read",
        "target:other/one": "its record speaks of another subject",
        "target:no/hash": "its key is not a job's",
        "target:no/job": "there is no job behind it",
        "a raw member": "there is no job behind it",
        r"\xff\xfe": "there is no job behind it",
        f"{prefix}-now": "it was not put in by saasbot: its job has no record",
        f"{prefix}-then": "it was not put in by saasbot: its job has no record",
    }


def test_poison_is_seen_and_blocks_nobody(redis: RedisServer) -> None:
    queue = redis.queue()
    reasons = poisoned(redis, queue)
    queue.add(Due(A, PAST))
    for _ in range(2):  # before it is put aside, and after that
        assert {item.subject: item.dead for item in queue.items()} == {**reasons, A: ""}
        assert drained(queue) == 1
        queue.add(Due(A, PAST))
    assert queue.remove(r"\xff\xfe")
    assert queue.remove("target:no/json")
    assert not queue.remove("target:no/json")
    assert queue.add(Due("target:other/one", LATER))
    queue.ask(Due("target:no/number", LATER))
    assert queue.add(Due("target:no/hash", LATER))
    assert [item.dead for item in queue.items() if item.subject.startswith("target:no/")] == [
        "",
        "",
        reasons["target:no/job"],
    ]
    assert queue.clear() == 8
    assert list(queue.items()) == []
    assert not redis.client.keys(f"rq:job:{queue.store.prefix}*")


def test_a_job_that_stands_nowhere_is_put_in_again(redis: RedisServer) -> None:
    queue = redis.queue()
    queue.add(Due(A, PAST))
    redis.client.delete(queue.store.waiting)
    assert queue.add(Due(A, LATER))
    assert [item.at for item in queue.items()] == [LATER]


def test_due_times_that_are_set_by_hand_count(redis: RedisServer) -> None:
    queue = redis.queue()
    queue.add(Due(A, LATER))
    redis.client.zadd(queue.store.waiting, {member(queue): PAST.timestamp()})
    looks: list[str] = []

    def handle(item: QueueItem) -> Ending:
        looks.append(item.subject)
        if len(looks) == 1:
            redis.client.zadd(queue.store.waiting, {member(queue): PAST.timestamp()})
            assert drained(queue) == 0
        return Done("done")

    assert queue.work(handle, until=Until.DRAINED, stopped=lambda: False) == 2


def test_with_a_fixed_clock_dues_are_judged_by_it(redis: RedisServer) -> None:
    queue = redis.queue(clock=SystemClock(LATER))
    queue.add(Due(A, LATER))
    assert drained(queue, Wait("a minute", timedelta(minutes=1))) == 1
    assert [item.at for item in queue.items()] == [LATER + timedelta(minutes=1)]


def rq(redis: RedisServer, *arguments: str) -> str:
    """What RQ's own tool prints."""
    done = CliRunner().invoke(rq_tool, [*arguments, "--url", redis.url])
    assert done.exit_code == 0, done.output
    return done.output


def test_rq_info_shows_the_queue_and_its_processors(redis: RedisServer) -> None:
    queue = redis.queue()
    queue.add(Due(A, PAST))
    queue.add(Due("nobody:knows", PAST - SECOND))
    told: list[str] = []

    def handle(_: QueueItem) -> Ending:
        told.append(rq(redis, "info", "--raw", queue.store.prefix))
        return Done("done")

    queue.work(handle, until=Until.DRAINED, stopped=lambda: False)
    first, second = told[0].splitlines()[:2]
    assert first == f"queue {queue.store.prefix} 0, 1 executing, 0 finished, 1 failed"
    assert second.startswith("worker ")
    assert f" busy {queue.store.prefix}. jobs: 0 finished" in second
    assert RqQueue(queue.store.prefix, connection=redis.client).scheduled_job_registry.count == 0


def test_rq_info_gives_back_what_a_dead_processor_had(redis: RedisServer) -> None:
    queue = redis.queue()
    queue.add(Due(A, PAST))
    abandoned(queue)
    rq(redis, "info", queue.store.prefix)  # its clean-up ends what has lapsed, whatever we think of it
    (item,) = queue.items()
    assert (item.taken, item.dead) == (False, "")
    redis.client.zadd(queue.store.waiting, {member(queue): PAST.timestamp()})
    assert drained(queue) == 1


def test_rq_requeue_brings_a_dead_one_back(redis: RedisServer) -> None:
    queue = redis.queue()
    queue.add(Due(A, PAST))
    queue.add(Due("nobody:knows", PAST))
    good = redis.client.hget(f"rq:job:{member(queue)}", "meta")
    redis.client.hset(f"rq:job:{member(queue)}", "meta", "{")
    assert drained(queue) == 0
    assert good is not None
    redis.client.hset(f"rq:job:{member(queue)}", "meta", good)
    rq(redis, "requeue", "--all", "--queue", queue.store.prefix, "--serializer", "json")
    assert not queue.add(Due(A, PAST))
    assert drained(queue) == 1
    assert [item.subject for item in queue.items()] == ["nobody:knows"]


def test_what_rq_has_put_aside_is_seen(redis: RedisServer) -> None:
    queue = redis.queue()
    queue.add(Due(A, PAST))
    job = queue.store.queue.fetch_job(member(queue))
    assert job is not None
    redis.client.zrem(queue.store.waiting, job.id)
    with redis.client.pipeline() as pipe:
        record_job_failure(job, "Traceback\nRuntimeError: not here", pipe)
        pipe.execute()
    redis.client.zadd(queue.store.failed, {"without-a-job": -1, "no id of RQ's": -1})
    assert {item.subject: item.dead for item in queue.items()} == {
        A: "RuntimeError: not here",
        "without-a-job": "it failed outside of saasbot",
        "no id of RQ's": "it failed outside of saasbot",
    }
    assert queue.add(Due(A, LATER))


def test_rq_suspend_stops_all_processors(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        queue = server.queue()
        queue.add(Due(A, PAST))
        rq(server, "suspend")
        assert drained(queue) == 0
        rq(server, "resume")
        assert drained(queue) == 1


def test_an_rq_worker_does_not_look(redis: RedisServer) -> None:
    queue = redis.queue()
    queue.add(Due(A, PAST))
    job = queue.store.queue.fetch_job(member(queue))
    assert job is not None
    with pytest.raises(RuntimeError, match=f"{A} is looked at by `saasbot process`, not by an RQ worker"):
        job.perform()
    with pytest.raises(RuntimeError):
        look(A)


def test_a_server_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    with redis_server(tmp_path, kept=True) as server:
        queue = server.queue()
        queue.add(Due(A, PAST - SECOND))
        queue.add(Due(B, PAST))

        def handle(item: QueueItem) -> Ending:
            if item.subject == A:
                server.stop()
                threading.Timer(0.4, server.start).start()
            return Done("done")

        assert queue.work(handle, until=Until.DRAINED, stopped=lambda: False) == 2
        assert list(queue.items()) == []
        assert f"cannot settle {A}: " in server.told[0]
        assert server.told[0].endswith("; it is tried again in 0.25 s")


def test_to_stop_while_the_server_is_away(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        queue = server.queue()
        told: list[str] = []

        def stopped() -> bool:
            told.append("asked")
            if len(told) == 2:
                server.stop()
            return len(told) > 10

        assert queue.work(lambda _: Done("done"), until=Until.STOPPED, stopped=stopped) == 0
        server.start()
        queue.add(Due(A, PAST))

        def handle(_: QueueItem) -> Ending:
            server.stop()
            return Done("done")

        with pytest.raises(ServerUnreachable, match=f"cannot settle {A}"):
            queue.work(handle, until=Until.STOPPED, stopped=lambda: server.process is None)


@pytest.fixture
def away() -> RedisServer:
    """A server that is not there."""
    return RedisServer(Path(), port=1)


def test_a_server_that_is_not_there(away: RedisServer) -> None:
    queue = away.queue()
    for request, ask in {
        "list the subjects": queue.items,
        f"add {A}": lambda: queue.add(Due(A, NOW)),
        f"ask for {A}": lambda: queue.ask(Due(A, NOW)),
        f"remove {A}": lambda: queue.remove(A),
        "work the queue": lambda: drained(queue),
    }.items():
        with pytest.raises(ServerUnreachable) as caught:
            ask()
        assert caught.value.message.startswith(f"redis://127.0.0.1:1/0: cannot {request}: ")
        assert caught.value.hint.startswith("check queue.url, and whether the server runs")
        assert "\n" not in caught.value.message


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, str]]:
    """A server with a password, reached at a socket too."""
    folder = tmp_path_factory.mktemp("guarded")
    password = planted.token("redis")
    with redis_server(folder, more=("--unixsocket", str(folder / "redis.sock"))) as server:
        server.client.config_set("requirepass", password)
        yield server, password


def test_passwords(guarded: tuple[RedisServer, str]) -> None:
    server, password = guarded
    queue = server.queue(password=password)
    assert queue.add(Due(A, PAST))
    assert drained(queue) == 1
    for url in (server.url, f"redis://:{password}x@127.0.0.1:{server.port}/0", f"{server.url}?password={password}x"):
        with pytest.raises(ServerUnreachable) as caught:
            server.queue(url=url).items()
        assert caught.value.message.startswith(f"redis://127.0.0.1:{server.port}/0: cannot list the subjects: ")
        assert caught.value.hint.startswith("check queue.password")
        assert password not in f"{caught.value.message} {caught.value.hint}"


def test_a_socket(guarded: tuple[RedisServer, str]) -> None:
    server, password = guarded
    path = server.folder / "redis.sock"
    queue = server.queue(url=f"unix://{path}", password=password)
    assert queue.add(Due(A, PAST))
    assert queue.store.server.url == f"unix://{path}"


def test_tls(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subprocess.run((*command, "-keyout", key, "-out", cert, *subject), check=True, capture_output=True)
    socket = tmp_path / "redis.sock"
    more = ("--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-auth-clients", "no")
    with redis_server(tmp_path, more=("--unixsocket", str(socket), *more)) as server:
        port = server.port + 1 if server.port < 65_000 else server.port - 1
        server.client.config_set("tls-port", port)
        url = f"rediss://127.0.0.1:{port}/0"
        assert server.queue(url=url, ca="cert.pem").add(Due(A, PAST))
        with pytest.raises(ServerUnreachable, match="certificate verify failed"):
            server.queue(url=url).items()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("amqp://queue", "saasbot.yml: queue.url: amqp: is not known to this release"),
        ("queue", "saasbot.yml: queue.url: nothing: is not known to this release"),
        ("redis://queue:port/0", "saasbot.yml: queue.url 'redis://queue:port/0' is no address of a Redis server"),
    ],
)
def test_addresses_without_sense(away: RedisServer, url: str, message: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        away.queue(url=url)
    assert caught.value.message == message


def test_keys_of_somebody_else(redis: RedisServer) -> None:
    queue = redis.queue()
    redis.client.set(queue.store.waiting, "a text")
    with pytest.raises(ServerUnreachable) as caught:
        drained(queue)
    assert "WRONGTYPE" in caught.value.message
    assert "queue.prefix" in caught.value.hint


def settings(queue: QueueSettings) -> Settings:
    return Settings("main", ForgeSettings("local"), StateSettings("file:state.json"), queue=queue)


def test_what_is_built(redis: RedisServer) -> None:
    clock = SystemClock()
    assert isinstance(work_queue(settings(QueueSettings()), {}, clock), MemoryQueue)
    queue = work_queue(settings(QueueSettings(redis.url, "built")), {}, clock)
    assert queue.add(Due(A, PAST))
    assert queue.work(lambda _: Done("done"), until=Until.ONE, stopped=lambda: False) == 1


def test_redis_is_loaded_for_its_own_users_only() -> None:
    program = """
import sys
from bot.providers.build import work_queue
from bot.providers.clock import SystemClock
from bot.settings import ForgeSettings, QueueSettings, Settings, StateSettings
settings = lambda url: Settings("main", ForgeSettings("local"), StateSettings("file:x"), queue=QueueSettings(url))
work_queue(settings(""), {}, SystemClock())
assert not {"redis", "rq"} & sys.modules.keys()
sys.modules["redis"] = None
try:
    work_queue(settings("redis://localhost"), {}, SystemClock())
except Exception as error:
    print(f"{error.message}; {error.hint}")
"""
    done = subprocess.run((sys.executable, "-c", program), check=True, capture_output=True, text=True)
    assert done.stdout == "saasbot.yml: queue.url: redis is not installed; run: pip install 'saasbot[queue]'\n"
