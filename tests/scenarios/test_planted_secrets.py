"""Secrets stay inside: what is planted is found wherever it is let out, and the bot lets it out nowhere."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import zstandard
from worlds import planted
from worlds.fake_http import Answer, Fault
from worlds.forge_world import TOKEN, ForgeWorld, forge_world
from worlds.git_world import run_git
from worlds.world import PROD, Ended

from bot.providers.secrets import MASK

SERVERS: tuple[Literal["gitlab", "github"], ...] = ("gitlab", "github")
LEAK = planted.token("leak")
BASIC = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
ECHO = f"no right for PRIVATE-TOKEN: {TOKEN}, Basic {BASIC}, https://oauth2:{TOKEN}@example.com/x?private_token={TOKEN}"
LINE = re.compile(r"debug: (GET|POST|PUT|PATCH|DELETE) (http://\S+): (\d+) in \d+ ms, attempt \d+; headers .*")
ROOT = Path(__file__).parents[2]
BREAKING = """\
import click
from bot import cli
from bot.__main__ import main
from bot.model.servers import SecretRef
from bot.providers.secrets import read_secret

@click.command()
def broken():
    raise RuntimeError(f"no {read_secret(SecretRef(env='TOKEN'))}")

if __name__ == "__main__":
    cli.COMMANDS["break"] = ("breaking:broken", "It breaks.")
    main()
"""
CHILD = """\
import sys
from worlds import planted

SECRET = planted.token("child")

def test_print():
    planted.watch()
    print(SECRET)

def test_file(tmp_path):
    (tmp_path / "state.json").write_text(f'{{"text": "bad {SECRET}"}}')

def test_purpose(tmp_path):
    planted.left(tmp_path / "token").write_text(SECRET)

def test_told_by_a_process():
    planted.printed("a process", f"it says {SECRET}")

def test_shared(tmp_path_factory):
    (tmp_path_factory.mktemp("shared") / "log").write_text(SECRET)
"""


def loose(folder: Path) -> None:
    run_git(folder, "init", "--quiet", ".")
    (folder / "a").write_text(LEAK)
    run_git(folder, "add", "a")
    (folder / "a").unlink()


def packed(folder: Path) -> None:
    loose(folder)
    run_git(folder, "commit", "--quiet", "--message", f"Message with {LEAK}")
    run_git(folder, "update-ref", "refs/saasbot/state", "HEAD")
    run_git(folder, "gc", "--quiet", "--prune=now")
    assert list(folder.rglob("*.pack"))


def below(folder: Path) -> None:
    (folder / "b" / "c").mkdir(parents=True)
    (folder / "b" / "c" / "d").write_text(LEAK)


MEDIA: dict[str, Callable[[Path], object]] = {
    "a text": lambda folder: (folder / "a").write_text(f"x {LEAK} y"),
    "bytes deep inside": lambda folder: (folder / "a").write_bytes(os.urandom(9000) + LEAK.encode() + os.urandom(99)),
    "a folder below": below,
    "a hidden file": lambda folder: (folder / ".netrc").write_text(LEAK),
    "JSON": lambda folder: (folder / "a").write_text(json.dumps({"a": [f'"{LEAK}"']})),
    "Base64 of it": lambda folder: (folder / "a").write_bytes(base64.b64encode(LEAK.encode())),
    "Base64 with a user": lambda folder: (folder / "a").write_bytes(base64.b64encode(f"a:{LEAK}".encode())),
    "Base64 with another": lambda folder: (folder / "a").write_bytes(base64.b64encode(f"oauth2:{LEAK}".encode())),
    "gzip": lambda folder: (folder / "a.gz").write_bytes(gzip.compress(LEAK.encode())),
    "zstd": lambda folder: (folder / "a.zst").write_bytes(zstandard.compress(LEAK.encode())),
    "zstd with a head": lambda folder: (folder / "a").write_bytes(bytes(16) + zstandard.compress(LEAK.encode() * 9)),
    "a loose object": loose,
    "a pack": packed,
}  # fmt: skip


@pytest.mark.parametrize("medium", MEDIA)
def test_a_leak_is_found_in(medium: str, tmp_path: Path) -> None:
    before = planted.leaks(tmp_path)
    MEDIA[medium](tmp_path)
    assert before == []
    found = planted.leaks(tmp_path)
    assert found
    assert str(tmp_path) in found[0]
    assert planted.leaks(tmp_path) == [], "what was looked at is not looked at again"


def test_a_leak_fails_the_test_that_made_it(tmp_path: Path) -> None:
    """A run of pytest with a leak of each kind, and one file that is meant to hold a secret."""
    (tmp_path / "test_child.py").write_text(CHILD)
    planted.left(tmp_path / "test_child.py")
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA",
         "--basetemp", str(tmp_path / "child"), "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)),
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tests)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    for path in (tmp_path / "child").rglob("*"):
        planted.left(path)
    told = dict(re.findall(r"^(?:FAILED|ERROR) test_child.py::(\w+)(.*)$", done.stdout, re.MULTILINE))
    assert sorted(told) == ["test_file", "test_print", "test_shared", "test_told_by_a_process"], done.stdout
    assert 'state.json: b\'{"text": "bad planted-secret-child-' in done.stdout
    assert "capstdout: b'planted-secret-child-" in done.stdout
    assert "a process: b'it says planted-secret-child-" in done.stdout
    assert "shared0/log: b'planted-secret-child-" in done.stdout


@pytest.fixture(params=SERVERS)
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeWorld]:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    monkeypatch.setenv("SAASBOT_KEY", planted.token("key"))
    with forge_world(request.param, tmp_path / "world") as found:
        yield found


def run(world: ForgeWorld, *arguments: str) -> Ended:
    """`saasbot` at the real time, as a server wants it."""
    return world.saasbot(*arguments, now=False)


def assert_clean(*ended: Ended) -> None:
    """Nothing that was printed has the token in it, or the login made of it."""
    for each in ended:
        assert planted.NEEDLE.search((each.out + each.err).encode()) is None


def test_debug_shows_each_request_and_no_token(world: ForgeWorld) -> None:
    plain = run(world, "reconcile", "--format", "json")
    world.commit()
    traced = run(world, "--debug", "reconcile", "--format", "json")
    assert_clean(plain, traced)
    assert (plain.code, traced.code) == (0, 0), traced.err
    assert "debug:" not in plain.err
    assert {action["kind"] for action in traced.document["actions"]} == {"start_run"}
    told = [line for line in traced.err.splitlines() if line.startswith("debug: ")]
    requests = [found for found in map(LINE.fullmatch, told) if found]
    asked = {(found[1], found[2].partition("?")[0].removeprefix(world.server.url)) for found in requests}  # type: ignore[union-attr] # it is served
    assert asked & {("GET", "/api/v4/user"), ("GET", "/user")}
    assert {found[3] for found in requests} <= {"200", "304", "404"}
    assert all(MASK in found[0] for found in requests)
    assert [line for line in told if line.startswith("debug: git ")] != []
    assert any(line.startswith("start_run ") for line in traced.err.splitlines()), "it implies --verbose"


def test_debug_as_json_is_one_object_a_line(world: ForgeWorld) -> None:
    world.reconcile()
    traced = run(world, "--debug", "--log-format", "json", "status", "--format", "json")
    assert_clean(traced)
    assert "targets" in traced.document
    lines = [json.loads(line) for line in traced.err.splitlines()]
    requests = [line for line in lines if line.get("kind") == "request"]
    assert {line["level"] for line in requests} == {"debug"}
    assert all(line["status"] == 200 or line["status"] == 304 for line in requests)
    secret = {"PRIVATE-TOKEN", "Authorization"}
    assert {value for line in requests for name, value in line["headers"].items() if name in secret} <= {
        MASK, f"Bearer {MASK}", f"token {MASK}",
    }  # fmt: skip
    assert any(line.get("kind") == "git" and line["code"] == 0 for line in lines)


@pytest.mark.parametrize("status", [403, 422])
def test_a_server_that_repeats_the_token_is_not_repeated(world: ForgeWorld, tmp_path: Path, status: int) -> None:
    """Nothing that is printed, said to the forge or kept has the token: `tests/conftest.py` looks there too."""
    world.promoted()
    context = tmp_path / "context.json"
    body: Any = {"message": [ECHO], "error": ECHO} if world.kind == "gitlab" else {"message": ECHO, "errors": [ECHO]}
    assert world.server is not None
    told = []
    for match in (("*", ".*/(notes|comments|discussions).*"), ("*", ".*")):
        world.server.faults[:] = [Fault(match, Answer(status, body), times=999)]
        told.append(run(world, "reconcile", "--format", "json"))
        told.append(run(world, "--debug", "plan", "--save-context", str(context)))
        told.append(run(world, "explain", PROD))
        told.append(run(world, "status"))
    world.server.faults.clear()
    assert_clean(*told)
    assert {each.code for each in told} & {1, 4}
    assert any(MASK in each.out + each.err for each in told)
    assert world.reconcile().plan is not None


def test_a_person_who_pastes_the_token_is_not_repeated(world: ForgeWorld, tmp_path: Path) -> None:
    world.promoted()
    world.comment("bob", f"/saasbot hold the token is {TOKEN}")
    context = tmp_path / "context.json"
    assert_clean(run(world, "plan", "--save-context", str(context)), run(world, "status"), run(world, "state", "show"))
    assert "the token is" in world.report_on(1)
    assert TOKEN not in world.report_on(1)
    assert "the token is" in context.read_text()


def test_an_internal_error_shows_none_with_or_without_a_traceback(tmp_path: Path) -> None:
    """`SAASBOT_TRACEBACK` is for bug reports, where tokens must not be."""
    (tmp_path / "breaking.py").write_text(BREAKING)
    for more in ({}, {"SAASBOT_TRACEBACK": "1"}):
        environment = {**os.environ, **more, "TOKEN": LEAK, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
        done = subprocess.run(
            (sys.executable, str(tmp_path / "breaking.py"), "break"),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, f"RuntimeError: no {MASK}" in done.stderr) == (1, True), done.stderr
        assert ("Traceback" in done.stderr) is bool(more)
        planted.printed("a broken command", done.stdout + done.stderr)
