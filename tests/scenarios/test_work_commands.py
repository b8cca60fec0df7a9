"""`saasbot collect`, `process` and `queue`: what they print, how they end, and what a dry run cannot do."""

from __future__ import annotations

import io
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from worlds.redis_server import RedisServer, redis_server
from worlds.world import BRANCH, PROD, STAGE, NewWorld, World

from bot.cli.session import Session
from bot.core.statefile import encode, next_serial
from bot.errors import WriteFailed
from bot.looks import considered
from bot.model.plan import StartJob, StartRun
from bot.model.servers import Instance
from bot.model.state import Flag
from bot.ports import Ports
from bot.providers.git import git
from bot.providers.read_only import FORGE, PIPELINES, read_only

DEAD = 'queue: {url: "redis://127.0.0.1:1/0"}\n'
MERGE_REQUEST = f"merge-request:{BRANCH}"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of this module."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def shared(redis: RedisServer, new_world: NewWorld, tmp_path: Path) -> World:
    """A world whose queue is in Redis, under a name of its own."""
    return new_world(more=f'queue: {{url: "{redis.url}", prefix: "t-{tmp_path.name[-40:].replace("_", "-")}"}}\n')


def flag(world: World, subject: str) -> None:
    """Somebody has been asked about a subject."""
    path = world.root / "state.json"
    state = replace(world.state(), attention={subject: Flag("somebody must look", world.now, why="")})
    path.write_bytes(encode(next_serial(state)))


# The queue in the process


@pytest.mark.parametrize(
    "command", [("collect",), ("queue", "list"), ("queue", "add", "dashboard"), ("queue", "clear")]
)
def test_a_queue_of_one_process_is_nothing_to_look_at_from_another(plain: World, command: tuple[str, ...]) -> None:
    ended = plain.saasbot(*command)
    assert (ended.code, ended.out) == (2, "")
    assert "lives and ends with the process" in ended.err
    assert "saasbot process --drain" in ended.err


def test_one_process_collects_and_works_all_that_is_due(plain: World) -> None:
    ended = plain.saasbot("process", "--drain")
    assert (ended.code, ended.out) == (0, "2026-03-02T10:00:00Z collect: wait 20m: 0 subjects were added\n")
    plain.commit()
    ended = plain.saasbot("process", "--drain")
    assert [line.split(" ")[1] for line in ended.out.splitlines()] == ["collect:", f"target:{STAGE}:"]
    assert ended.out.splitlines()[1].endswith("wait 10s: a run was started")
    assert "start_run" in ended.err


def test_once_is_one_subject_after_the_collection(plain: World) -> None:
    plain.saasbot("process", "--once")
    plain.commit()
    found = [json.loads(line) for line in plain.saasbot("process", "--once", "--format", "json").out.splitlines()]
    assert [(each["subject"], each["ending"], each["delay"]) for each in found] == [
        ("collect", "wait", 1200.0),
        (f"target:{STAGE}", "wait", 10.0),
    ]


def test_options_that_do_not_go_together(plain: World) -> None:
    assert plain.saasbot("process", "--once", "--drain").code == 2
    assert plain.saasbot("process", "--drain", "item", "dashboard").code == 2


def test_sigterm_ends_a_processor_with_0(plain: World) -> None:
    plain.reconcile()
    process = plain.process("--log-format", "json", "process")
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert (line["subject"], line["ending"]) == ("collect", "wait")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, ""), err


def test_a_queue_in_which_nothing_can_be_looked_at_ends_as_a_pass_would(plain: World) -> None:
    plain.reconcile()
    sound = (plain.root / "state.json").read_bytes()
    (plain.root / "state.json").write_text("{")
    passed, ended = plain.saasbot("reconcile"), plain.saasbot("process", "--drain")
    assert (ended.code, ended.err) == (2, passed.err)
    assert "collect: wait 1m: the statefile" in ended.out
    (plain.root / "state.json").write_bytes(sound)
    git(plain.config, "remote", "set-url", "origin", str(plain.root / "gone"))
    passed, ended = plain.saasbot("reconcile"), plain.saasbot("process", "--drain")
    assert (ended.code, ended.err) == (4, passed.err)


# One subject beside the queue


def test_wq_8_one_subject_is_looked_at_without_the_queue(new_world: NewWorld) -> None:
    """There is nobody at the queue's address."""
    world = new_world(more=DEAD)
    world.reconcile()
    sha = world.commit()
    tried = world.saasbot("process", "item", f"target:{STAGE}", "--dry-run")
    assert (tried.code, tried.err) == (0, "")
    assert "main moved" in tried.out
    assert world.runs() == []
    ended = world.saasbot("process", "item", f"target:{STAGE}")
    assert ended.code == 0, ended.err
    assert ended.out.endswith(f"target:{STAGE}: wait 10s: a run was started\n")
    world.reconcile()
    assert world.runs() == [(STAGE, sha, "deploy")]


def test_a_subject_may_be_named_in_many_ways(plain: World) -> None:
    plain.promoted()
    url = plain.show().url
    for name in (MERGE_REQUEST, "!1", "merge-request:!1", url):
        found = plain.saasbot("process", "item", name, "--dry-run", "--format", "json")
        assert found.code == 0, found.err
        assert found.document["schema"] == "saasbot.look/1"
        assert found.document["plan"]["schema"] == "saasbot.plan/1"


@pytest.mark.parametrize("name", ["target:no/such/one", "trigger:none", "!7", "nonsense", "collect"])
def test_what_is_no_subject_is_refused(plain: World, name: str) -> None:
    plain.reconcile()
    ended = plain.saasbot("process", "item", name)
    assert (ended.code, ended.out) == (2, "")


def test_a_look_before_the_first_collection_says_so(plain: World) -> None:
    ended = plain.saasbot("process", "item", "dashboard")
    assert ended.code == 3
    assert "no statefile yet" in ended.err


JOBS = """\
$schema: /trigger-1.json
name: nightly
owners: [alice]
instance: {$ref: /instances/shell.yml}
with: {command: ["true"]}
on: {schedule: {cron: "0 * * * *"}, command: true}
jobs: [{name: only}]
"""


class Fails:
    """A port on which every write fails the test; what is read is the port's own."""

    def __init__(self, port: Any, writes: frozenset[str], met: list[str]) -> None:
        self._port, self._writes, self._met = port, writes, met

    def __getattr__(self, name: str) -> Any:
        """The port's own."""
        if name in self._writes:
            self._met.append(name)
        return getattr(self._port, name)


def watched(ports: Ports, met: list[str]) -> Ports:
    """The same ports, with every write that is asked for noted."""

    def pipelines(instance: Instance) -> Any:
        return Fails(ports.pipelines(instance), PIPELINES, met)

    forge: Any = Fails(ports.forge, FORGE, met)
    state: Any = Fails(ports.state, frozenset({"write"}), met)
    return replace(ports, forge=forge, pipelines=pipelines, state=state)


def busy(new_world: NewWorld) -> World:
    """A world in which there is something to do about every kind of subject."""
    world = new_world(services=("svc", "other"), more='dashboard: {title: "Deployments"}\n')
    world.push({"triggers/nightly.yml": JOBS})
    world.promoted()
    world.edit("svc/saas.yml", f"ref: {world.ref()}", f"ref: {world.ref()}  # a note")
    world.commit("other")
    world.people.comment_as("alice", 1, f"/saasbot retry {STAGE}")
    world.people.comment_dashboard_as("alice", "/saasbot help")
    world.later(hours=1)
    return world


def test_wq_9_a_dry_run_writes_nothing_whatever_the_subject(new_world: NewWorld) -> None:
    world = busy(new_world)
    before, shown, met = (world.root / "state.json").read_bytes(), world.show(), list[str]()
    job = world.job()
    dry = replace(job, ports=read_only(watched(job.ports, met)))
    kinds: set[type] = set()
    for subject in ("target:other/other/stage", f"target:{PROD}", MERGE_REQUEST, "trigger:nightly", "dashboard"):
        seen = considered(dry, subject)
        assert seen.report is not None, seen.ending
        assert seen.report.plan.actions or subject == f"target:{PROD}"
        kinds |= {type(action) for action in seen.report.plan.actions}
    assert {StartRun, StartJob} < kinds
    assert met == []
    out = world.saasbot("process", "--dry-run").out
    for subject in ("target:other/other/stage", MERGE_REQUEST, "trigger:nightly", "dashboard"):
        assert f"\n{subject}: " in out
    assert (world.root / "state.json").read_bytes() == before
    assert world.show() == shown


@pytest.mark.parametrize(
    "write",
    [
        lambda ports: ports.state.write(b"", ""),
        lambda ports: ports.forge.comment(None, 1, "hello"),
        lambda ports: ports.forge.label(1, "x", on=True),
        lambda ports: ports.forge.put_dashboard(0, "t", "b"),
        lambda ports: ports.pipelines(Instance("shell", "command")).start(None, None, {}),
        lambda ports: ports.pipelines(Instance("shell", "command")).clean(None, force=True),
    ],
)
def test_wq_9_it_is_the_ports_that_refuse(plain: World, write: Callable[[Any], Any]) -> None:
    met: list[str] = []
    session = Session(plain.config, plain.now)
    ports = session.ports(session.settings())
    with pytest.raises(WriteFailed, match="only reads"):
        write(ports)
    with pytest.raises(WriteFailed, match="only reads"):
        write(read_only(watched(plain.job().ports, met)))
    assert met == []
    assert ports.forge.me() == "saasbot"


# The queue that processes share


def test_what_is_due_goes_through_the_shared_queue(shared: World) -> None:
    world = shared
    assert world.saasbot("collect").out == "0 added, 0 removed\n"
    sha = world.commit()
    ended = world.saasbot("collect")
    assert ended.code == 0, ended.err
    assert ended.out.startswith(f"added target:{STAGE} at 2026-03-02T10:00:00Z: main moved")
    assert ended.out.endswith("\n1 added, 0 removed\n")
    assert world.saasbot("collect", "--format", "json").document["added"] == []
    (row,) = world.saasbot("queue", "list", "--format", "json").document["items"]
    assert (row["subject"], row["taken"], row["attempts"]) == (f"target:{STAGE}", False, 0)
    assert f"target:{STAGE}  main moved" in world.saasbot("queue", "list").out
    done = world.saasbot("process", "--drain").out
    assert f"target:{STAGE}: wait 10s: a run was started" in done
    for _ in range(100):
        world.later(seconds=11).saasbot("process", "--drain")
        if world.state().targets[STAGE].deployed_sha == sha:
            break
        time.sleep(0.02)
    assert world.runs() == [(STAGE, sha, "deploy")]


def test_a_collector_that_watches_ends_with_0_when_it_is_told_to(shared: World) -> None:
    process = shared.process("collect", "--watch")
    assert process.stdout is not None
    assert process.stdout.readline() == "0 added, 0 removed\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, ""), err


def test_a_person_may_mend_the_queue(shared: World) -> None:
    world = shared
    world.reconcile()
    flag(world, f"target:{STAGE}")
    added = world.saasbot("queue", "add", f"target:{STAGE}")
    assert added.out == f"target:{STAGE} is due now; it waited for a person\n", added.err
    assert not world.state().attention
    assert world.saasbot("queue", "add", "dashboard").out == "dashboard is due now\n"
    assert world.saasbot("queue", "add", "!1").code == 2
    assert world.saasbot("queue", "add", "nonsense").code == 2
    assert world.saasbot("queue", "remove", "dashboard").out == "removed dashboard\n"
    assert world.saasbot("queue", "remove", "dashboard").code == 1
    assert world.saasbot("queue", "clear", "--yes").out == "removed 1 subjects\n"
    assert world.saasbot("queue", "list").out == "the queue is empty\n"


def test_clear_asks(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = shared
    world.reconcile()
    world.saasbot("queue", "add", "dashboard")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ended = world.saasbot("queue", "clear")
    assert ended.code == 130
    assert "Take 1 subject" in ended.err
    assert "dashboard" in world.saasbot("queue", "list").out
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert world.saasbot("queue", "clear").out == "removed 1 subjects\n"


def test_what_waits_for_a_person_is_told_by_the_collector(shared: World) -> None:
    world = shared
    world.reconcile()
    world.commit()
    flag(world, f"target:{STAGE}")
    assert (
        world.saasbot("collect").out == f"waits for a person: target:{STAGE}\n0 added, 0 removed, 1 wait for a person\n"
    )
    assert world.saasbot("collect", "--ignore-attention").out.endswith("1 added, 0 removed\n")
    assert "main moved" in world.saasbot("queue", "list").out


@pytest.mark.parametrize(
    "command", [("collect",), ("process", "--drain"), ("queue", "list"), ("queue", "clear", "--yes")]
)
def test_a_queue_that_cannot_be_reached_is_told_in_one_line(new_world: NewWorld, command: tuple[str, ...]) -> None:
    world = new_world(more=DEAD)
    world.reconcile()
    ended = world.saasbot(*command)
    assert ended.code == 4
    assert "127.0.0.1:1" in ended.err
    assert len(ended.err.splitlines()) <= 2
