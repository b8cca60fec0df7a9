"""Runs as local programs: each key starts once, and whoever is killed, there is an answer."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact
from bot.model.runs import Run, RunStatus
from bot.model.servers import Instance, Pipeline
from bot.ports import Pipelines, Refused
from bot.providers.git import GitError
from bot.providers.pipelines.command import SUPERVISOR, CommandPipelines
from bot.providers.pipelines.run_folder import exclusive, holder, last_line, one_line

TARGET = "svc/svc/stage"
STARTER = """
import os, sys
from pathlib import Path
from bot.model.servers import Instance, Pipeline
from bot.model.runs import Run
from bot.providers.pipelines.command import CommandPipelines
forge, export, key, script = sys.argv[1:]
pipeline = Pipeline("deploy", Instance("shell", "command"), {"command": ["/bin/sh", "-c", script]})
provider = CommandPipelines(Path(forge) / "runs", lambda _: Path(export), os.environ)
fact = provider.start(pipeline, Run(key, 1, "a" * 40, "h", "deploy"), {"SAASBOT_RUN_KEY": key})
print(fact.status, flush=True)
os.kill(os.getpid(), 9)
"""


@dataclass
class World:
    """A forge folder, an export of the config repository, and the provider under test."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    grace: float = 0.2
    keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "forge").mkdir()
        (self.folder / "export").mkdir()
        self.pipelines = self.another()

    @property
    def port(self) -> Pipelines:
        """The provider as the rest of the program knows it."""
        return self.pipelines

    def another(self) -> CommandPipelines:
        """The same provider as another process would have it."""
        return CommandPipelines(self.runs, lambda _: self.folder / "export", self.environ, grace=self.grace)

    @property
    def runs(self) -> Path:
        return self.folder / "forge" / "runs"

    def start(self, *command: str, key: str = "k1", **environment: str) -> RunFact:
        self.keys.append(key)
        fact = self.pipelines.start(
            pipeline(*command), run(key), {"SAASBOT_TARGET": TARGET, "SAASBOT_RUN_KEY": key, **environment}
        )
        assert isinstance(fact, RunFact)
        return fact

    def shell(self, script: str, key: str = "k1", **environment: str) -> RunFact:
        return self.start("/bin/sh", "-c", script, key=key, **environment)

    def find(self, key: str = "k1") -> RunFact | None:
        return self.another().find(None, run(key))

    def ended(self, key: str = "k1") -> RunFact:
        return self.wait(key, lambda fact: fact is not None and not fact.status.in_flight)

    def running(self, key: str = "k1") -> RunFact:
        return self.wait(key, lambda fact: fact is not None and fact.status is RunStatus.RUNNING)

    def wait(self, key: str, until: Callable[[RunFact | None], bool]) -> RunFact:
        fact = self.wait_any(key, until)
        assert fact is not None
        return fact

    def wait_any(self, key: str, until: Callable[[RunFact | None], bool]) -> RunFact | None:
        deadline = time.monotonic() + 10
        while not until(fact := self.find(key)):
            assert time.monotonic() < deadline, fact
            time.sleep(0.005)
        return fact

    def over(self, key: str = "k1") -> RunFact:
        """The end, once the supervisor itself is gone as well."""
        fact = self.ended(key)
        while True:
            with exclusive(self.runs / key) as lock:
                if lock is not None:
                    return fact

    def kill_supervisor(self, key: str = "k1") -> None:
        self.running(key)
        os.kill(holder(self.runs / key), signal.SIGKILL)


def pipeline(*command: str) -> Pipeline:
    return Pipeline("deploy", Instance("shell", "command"), {"command": list(command)})


def run(key: str = "k1") -> Run:
    return Run(key, 1, "a" * 40, "hash", "deploy", config_sha="c" * 40)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world whose runs are stopped at the end."""
    world = World(tmp_path)
    yield world
    for key in set(world.keys):
        if (world.runs / key / "started").exists():
            world.pipelines.cancel(None, run(key))
    for name in tmp_path.glob("**/program.pid"):
        try:
            os.kill(int(name.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            name.unlink()


def test_a_program_runs_in_the_export_with_its_environment_and_output(world: World) -> None:
    program = world.folder / "export" / "deploy.sh"
    program.write_text("#!/bin/sh\npwd\nenv\necho to the other stream >&2\n")
    program.chmod(0o755)
    began = world.start("./deploy.sh", SAASBOT_SHA="a" * 40)
    assert world.port.status(pipeline("./deploy.sh"), run()).status.in_flight
    assert (began.status, began.handle) == (RunStatus.PENDING, "k1")
    ended = world.ended()
    assert (ended.status, ended.text) == (RunStatus.SUCCEEDED, "")
    output = (world.runs / "k1" / "output.log").read_text()
    assert ended.url == (world.runs / "k1" / "output.log").as_uri()
    assert str(world.folder / "export") in output
    assert f"SAASBOT_SHA={'a' * 40}" in output
    assert "to the other stream" in output
    assert ended.started_at is not None
    assert ended.finished_at is not None
    now = datetime.now(UTC)
    assert now - timedelta(seconds=10) < ended.started_at <= ended.finished_at <= now


def test_the_program_gets_no_tokens_and_nothing_of_git(tmp_path: Path) -> None:
    own = {"PATH": os.environ["PATH"], "HOME": "/home/x", "LC_ALL": "C", "GIT_DIR": "/x", "GITLAB_TOKEN": "t", "X": "y"}
    world = World(tmp_path, own)
    world.shell("env")
    world.ended()
    names = {line.split("=")[0] for line in (world.runs / "k1" / "output.log").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "HOME", "LC_ALL", "SAASBOT_TARGET", "SAASBOT_RUN_KEY"}


def test_a_failure_tells_the_exit_code_and_the_last_line(world: World) -> None:
    world.shell("echo first; printf '\\033[31mno such cluster\\033[0m\\n\\n'; exit 3")
    ended = world.ended()
    assert (ended.status, ended.text) == (RunStatus.FAILED, "exit code 3: no such cluster")


def test_a_signal_is_told_by_its_name(world: World) -> None:
    world.shell("kill -9 $$")
    assert world.ended().text == "ended by SIGKILL"


@pytest.mark.parametrize(
    ("program", "content", "mode", "text"),
    [
        ("./missing.sh", None, 0, "cannot run ./missing.sh: No such file or directory in the config repository"),
        ("no-such-program", None, 0, "cannot run no-such-program: No such file or directory on PATH"),
        (
            "./plain.sh",
            "#!/bin/sh\n",
            0o644,
            "cannot run ./plain.sh: Permission denied (is the file executable",
        ),
        ("./text.sh", "echo hello\n", 0o755, "cannot run ./text.sh: Exec format error (a script needs a first line"),
        ("./odd.sh", "#!/no/such/shell\n", 0o755, "(or its interpreter is missing)"),
    ],
)
def test_a_program_that_cannot_run_is_a_failed_run(
    world: World, program: str, content: str | None, mode: int, text: str
) -> None:
    if content is not None:
        (world.folder / "export" / program).write_text(content)
        (world.folder / "export" / program).chmod(mode)
    world.start(program)
    ended = world.ended()
    assert ended.status is RunStatus.FAILED
    assert text in ended.text


def test_an_environment_that_is_too_large_is_a_failed_run(world: World) -> None:
    fact = world.shell("true", SAASBOT_PARAMETERS="x" * 4_000_000)
    assert fact.status is RunStatus.FAILED
    assert "do not fit" in fact.text
    assert world.shell("true").status is RunStatus.FAILED


@pytest.mark.parametrize("options", [{}, {"command": "./x"}, {"command": []}, {"command": [1]}, {"command": ["a\0b"]}])
def test_a_command_that_is_none_is_refused(world: World, options: dict[str, object]) -> None:
    bad = Pipeline("deploy", Instance("shell", "command"), options)
    assert isinstance(world.pipelines.start(bad, run(), {}), Refused)
    assert world.find() is None


def test_a_nul_in_the_environment_is_refused(world: World) -> None:
    assert isinstance(world.pipelines.start(pipeline("true"), run(), {"SAASBOT_REF": "a\0b"}), Refused)


def test_a_config_that_cannot_be_exported_is_refused_and_a_full_disk_unreachable(tmp_path: Path) -> None:
    def no_commit(_: str) -> Path:
        raise GitError(128, ("read-tree",), "fatal: not a tree object")

    def no_space(_: str) -> Path:
        raise OSError(28, "No space left on device")

    refused = CommandPipelines(tmp_path / "runs", no_commit, {}).start(pipeline("true"), run(), {})
    assert refused == Refused("the files of commit ccccccc could not be exported: not a tree object")
    with pytest.raises(ServerUnreachable, match="No space left"):
        CommandPipelines(tmp_path / "runs", no_space, {}).start(pipeline("true"), run(), {})
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_none_are_unreachable(world: World) -> None:
    world.runs.mkdir()
    (world.runs / "k1").write_text("x")
    for ask in (world.find, lambda: world.shell("true"), lambda: world.pipelines.cancel(None, run())):
        with pytest.raises(ServerUnreachable, match=r"Not a directory|File exists"):
            ask()


def test_a_key_that_never_started_is_a_clear_no(world: World) -> None:
    assert world.find() is None
    assert world.pipelines.status(None, run()).status is RunStatus.UNKNOWN


def test_starting_the_same_key_again_starts_nothing(world: World) -> None:
    count = "echo x >> count"
    world.shell(f"{count}; sleep 0.2")
    assert world.shell(count).status.in_flight
    assert world.ended().status is RunStatus.SUCCEEDED
    assert world.shell(count).status is RunStatus.SUCCEEDED
    assert (world.folder / "export" / "count").read_text() == "x\n"


def test_a_starter_killed_right_after_the_start_leaves_a_run_that_ends(world: World) -> None:
    done = starter(world, "k1", "echo x >> count").wait(10)
    assert done == -signal.SIGKILL
    assert world.find() is not None
    assert world.ended().status is RunStatus.SUCCEEDED


def test_starters_killed_at_any_moment_never_start_a_key_twice(world: World) -> None:
    for number in range(8):
        key = f"k{number}"
        process = starter(world, key, f"echo {key} >> count")
        time.sleep(0.06 + 0.02 * number)
        process.kill()
        process.wait()
        world.shell(f"echo {key} >> count", key=key)
        assert world.ended(key).status is RunStatus.SUCCEEDED
    lines = (world.folder / "export" / "count").read_text().split()
    assert sorted(lines) == [f"k{number}" for number in range(8)]


def test_processes_that_start_one_key_together_start_it_once(world: World) -> None:
    script = "echo x >> count; sleep 0.3"
    starters = [starter(world, "k1", script) for _ in range(6)]
    assert all(process.wait(20) == -signal.SIGKILL for process in starters)
    assert world.ended().status is RunStatus.SUCCEEDED
    assert (world.folder / "export" / "count").read_text() == "x\n"


def test_threads_that_start_and_look_together_start_each_key_once(world: World) -> None:
    keys = [f"t{number % 5}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: (world.shell(f"echo {key} >> {key}", key=key), world.find(key)), keys))
    for key in set(keys):
        assert world.ended(key).status is RunStatus.SUCCEEDED
        assert (world.folder / "export" / key).read_text() == f"{key}\n"


def test_a_killed_supervisor_leaves_an_unknown_run_that_is_never_started_again(world: World) -> None:
    world.shell("echo $$ > program.pid; echo x >> count; sleep 20")
    wait_for(world.folder / "export" / "count")
    world.kill_supervisor()
    fact = world.ended()
    assert (fact.status, "supervisor was killed" in fact.text) == (RunStatus.UNKNOWN, True)
    assert world.shell("echo x >> count").status is RunStatus.UNKNOWN
    assert world.pipelines.cancel(None, run()) == world.find()
    assert (world.folder / "export" / "count").read_text() == "x\n"


def test_a_supervisor_killed_at_any_moment_never_lets_a_key_start_twice(world: World) -> None:
    for number in range(16):
        key = f"k{number}"
        world.shell(f"echo {key} >> count", key=key)
        time.sleep(0.003 * number)
        os.kill(world.pipelines._children[key], signal.SIGKILL)  # before it says itself who it is
        fact = world.wait_any(key, lambda fact: fact is None or not fact.status.in_flight)
        ran = count(world, key)
        if fact is None:
            assert ran == 0
            world.shell(f"echo {key} >> count", key=key)
            assert world.ended(key).status is RunStatus.SUCCEEDED
            assert count(world, key) == 1
        else:
            assert fact.status in {RunStatus.UNKNOWN, RunStatus.SUCCEEDED}


def test_the_supervisor_keeps_nothing_open_that_the_bot_inherited(world: World) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    world.shell("sleep 20")
    os.close(writer)
    world.running()
    assert select.select([reader], [], [], 5)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_supervisor_that_dies_before_the_program_leaves_a_clear_no(world: World) -> None:
    folder = world.runs / "k1"
    world.shell("true")
    world.over()
    for name in ("started", "result.json"):
        (folder / name).unlink()
    (folder / "output.log").write_text("no memory\n")
    assert world.find() is None
    assert world.pipelines.status(None, run()).text == "the program was not started: no memory"
    world.shell("true")
    assert world.ended().status is RunStatus.SUCCEEDED


def test_the_supervisor_by_itself_does_not_begin_what_was_begun(world: World) -> None:
    world.shell("echo x >> count")
    world.over()
    with exclusive(world.runs / "k1") as lock:
        assert lock is not None
        words = [world.runs / "k1", lock, "1", world.folder / "export", "/bin/sh", "-c", "echo x >> count"]
        subprocess.run([sys.executable, "-I", "-S", SUPERVISOR, *map(str, words)], pass_fds=[lock], check=True)
    assert (world.folder / "export" / "count").read_text() == "x\n"


def test_cancel_ends_the_program_and_what_it_started(world: World) -> None:
    world.shell("sleep 30 & echo $! > child.pid; wait")
    world.running()
    wait_for(world.folder / "export" / "child.pid")
    fact = world.pipelines.cancel(None, run())
    assert isinstance(fact, RunFact)
    assert (fact.status, fact.text) == (RunStatus.CANCELED, "canceled")
    assert not alive(int((world.folder / "export" / "child.pid").read_text()))


def test_a_program_that_does_not_listen_is_killed_after_the_grace(world: World) -> None:
    world.shell("trap '' TERM; echo deaf; while :; do sleep 0.05; done")
    wait_for(world.runs / "k1" / "output.log", "deaf")
    began = time.monotonic()
    fact = world.pipelines.cancel(None, run())
    assert isinstance(fact, RunFact)
    assert fact.status is RunStatus.CANCELED
    assert time.monotonic() - began > world.grace


def test_a_long_farewell_is_seen_by_a_later_look(tmp_path: Path) -> None:
    world = World(tmp_path, grace=30)
    world.shell("trap 'sleep 1.3; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    wait_for(world.runs / "k1" / "output.log", "ready")
    fact = world.pipelines.cancel(None, run())
    assert isinstance(fact, RunFact)
    assert fact.status is RunStatus.RUNNING
    assert world.ended().status is RunStatus.CANCELED


def test_cancel_at_any_moment_of_the_start_is_not_lost(world: World) -> None:
    for number in range(10):
        key = f"k{number}"
        world.shell("sleep 30", key=key)
        time.sleep(0.005 * number)
        fact = world.another().cancel(None, run(key))
        assert isinstance(fact, RunFact)
        assert fact.status is RunStatus.CANCELED


def test_cancel_of_what_is_over_or_never_began_is_an_ordinary_answer(world: World) -> None:
    world.shell("true")
    assert world.ended() == world.pipelines.cancel(None, run())
    fact = world.pipelines.cancel(None, run("k2"))
    assert isinstance(fact, RunFact)
    assert (fact.status, fact.text) == (RunStatus.CANCELED, "canceled before the program began")
    assert world.shell("true", key="k2").status is RunStatus.CANCELED


def test_runs_are_listed_in_the_order_of_their_requests(world: World) -> None:
    assert world.pipelines.list_runs() == ()
    world.shell("true", key="zz")
    world.shell("exit 1", key="aa")
    world.ended("zz")
    world.ended("aa")
    rows = world.pipelines.list_runs()
    assert [(row.key, row.target, row.status) for row in rows] == [
        ("zz", TARGET, RunStatus.SUCCEEDED),
        ("aa", TARGET, RunStatus.FAILED),
    ]


def test_a_missing_forge_folder_is_unreachable_and_never_a_no(tmp_path: Path) -> None:
    provider = CommandPipelines(tmp_path / "forge" / "runs", lambda _: tmp_path, {})
    with pytest.raises(ServerUnreachable):
        provider.find(None, run())
    with pytest.raises(ServerUnreachable):
        provider.start(pipeline("true"), run(), {})
    with pytest.raises(ServerUnreachable):
        provider.cancel(None, run())


def test_unreadable_records_are_unknown_and_not_a_traceback(world: World) -> None:
    world.shell("true")
    world.over()
    (world.runs / "k1" / "result.json").write_text("{")
    assert world.ended().status is RunStatus.UNKNOWN
    (world.runs / "k1" / "request.json").write_text("[]")
    assert world.pipelines.list_runs() == ()
    (world.runs / "k1" / "started").write_text("yesterday")
    (world.runs / "k1" / "result.json").unlink()
    assert world.ended().started_at is None


def test_a_key_cannot_leave_the_folder(world: World) -> None:
    for key in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ValueError, match="not a run key"):
            world.find(key)


def test_output_is_repeated_without_secrets_and_control_characters(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    assert last_line(log) == ""
    log.write_bytes(b"x" * 20_000 + b"\nbar\r 100%\rcould not clone https://me:hunter2@host/x\xff\n\x1b[0m\n")
    assert last_line(log) == "could not clone https://[secret]@host/x\ufffd"
    assert one_line('"api_key": "abc def", ok') == '"api_key": [secret], ok'
    assert one_line("Authorization: Bearer abcdefghijkl") == "Authorization: Bearer [secret]"
    assert one_line("used glpat-abcdefghijklmn") == "used [secret]"
    assert one_line("x" * 500) == "x" * 199 + "…"


def test_the_result_is_plain_json(world: World) -> None:
    world.shell("exit 7")
    world.ended()
    result = json.loads((world.runs / "k1" / "result.json").read_text())
    assert (result["status"], result["exit_code"], result["error"]) == ("failed", 7, 0)


def starter(world: World, key: str, script: str) -> subprocess.Popen[bytes]:
    """Another process that starts a key and kills itself right after."""
    world.keys.append(key)
    words = [str(world.folder / "forge"), str(world.folder / "export"), key, script]
    return subprocess.Popen([sys.executable, "-c", STARTER, *words], stdout=subprocess.DEVNULL)


def count(world: World, key: str) -> int:
    path = world.folder / "export" / "count"
    return path.read_text().split().count(key) if path.exists() else 0


def wait_for(path: Path, text: str = "\n") -> None:
    deadline = time.monotonic() + 10
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether a process still works (a zombie that nobody reaps does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
