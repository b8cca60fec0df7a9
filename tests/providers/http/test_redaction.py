"""What has been read as a secret is taken out of everything that leaves the process, in whatever form it stands."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given as drawn
from hypothesis import strategies as st
from worlds import planted

from bot.errors import ServerUnreachable
from bot.model.observed import RunFact, Unreachable
from bot.model.plan import Commit
from bot.model.runs import RunStatus
from bot.model.servers import SecretRef
from bot.model.state import Thread
from bot.ports import Refused
from bot.providers import secrets
from bot.providers.cache import FolderCache
from bot.providers.git import GitError
from bot.providers.http import session
from bot.providers.sealed import sealed, sealed_forge, sealed_state
from bot.providers.secrets import (
    MASK,
    guarded_output,
    read_secret,
    redact,
    redact_bytes,
    remember,
    remember_surroundings,
)

ODD = planted.token("odd") + '/a+b="c"\\d_e&é'
PLAIN = planted.token("plain")
KEY = f"-----BEGIN PRIVATE KEY-----\n{PLAIN}0123456789\nsecond/line/of/it+{PLAIN}\nshort\n-----END PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def known() -> None:
    for value in (ODD, PLAIN, KEY):
        remember(value)


@pytest.mark.parametrize(
    "form",
    [
        ODD,
        quote(ODD, safe=""),
        quote(ODD),
        re.sub("%..", lambda escape: escape[0].lower(), quote(ODD, safe="")),
        json.dumps(ODD)[1:-1],
        json.dumps(ODD, ensure_ascii=False)[1:-1],
        ODD.replace("\\", "\\\\").replace("_", "\\_"),
        *(base64.b64encode(f"{user}:{ODD}".encode()).decode() for user in ("a", "ab", "abc", "x-access-token")),
        *(base64.urlsafe_b64encode(f"{user}:{ODD}:tail".encode()).decode() for user in ("a", "ab", "abc")),
    ],
)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    assert redact(f"before {form} after {form}.") == f"before {MASK} after {MASK}."
    assert redact_bytes(f"before {form}".encode() + b"\xff") == f"before {MASK}".encode() + b"\xff"


def test_a_key_is_found_whole_in_one_line_and_line_by_line() -> None:
    first, second = KEY.splitlines()[1:3]
    words = " ".join(KEY.split())
    assert redact(f"{KEY}|{words}|{json.dumps(KEY)}|{first}|{second}") == f'{MASK}|{MASK}|"{MASK}"|{MASK}|{MASK}'
    assert redact("short") == "short"


def test_of_user_and_password_the_password_is_a_secret_too() -> None:
    """Jenkins and registries are given `user:token`."""
    read_secret(SecretRef(env="LOGIN"), environ={"LOGIN": "robot:" + planted.token("login")})
    assert redact(f"robot:{planted.token('login')} or {planted.token('login')}") == f"{MASK} or {MASK}"
    assert redact("robot") == "robot"


def test_what_git_finds_in_a_ci_job_is_a_secret_though_nobody_named_it() -> None:
    job, left, alone = map(planted.token, ("job", "left", "alone"))
    remember_surroundings({"CI_JOB_TOKEN": f"{job}\n"}, f"https://ci:{quote(left + '/', safe='')}@example.com/a@b")
    remember_surroundings({}, f"https://{alone}@example.com/a")
    for plain in ("", "/srv/config.git", "git@example.com:a/b", "ssh://git@example.com/a", "https://example.com/a@b:c"):
        remember_surroundings({}, plain)
    assert redact(f"{job} {left}/ {alone}") == f"{MASK} {MASK} {MASK}"
    assert redact("git@example.com:a/b") == "git@example.com:a/b"


def test_what_is_short_is_left_alone_and_what_passes_is_forgotten() -> None:
    remember("abcde")
    assert redact("abcde") == "abcde"
    hourly = [f"{planted.token('hourly')}-{number}" for number in range(secrets.MOST_PASSING + 1)]
    for value in hourly:
        remember(value, passing=True)
    assert redact(f"{hourly[-1]}") == MASK
    assert redact(hourly[0]) == hourly[0]
    assert redact(PLAIN) == MASK


def test_hundreds_of_secrets_cost_no_more_than_a_few() -> None:
    """A statefile of 15 MB is cleared twice in a pass, and a registry gives a token for each repository."""
    row = json.dumps({"id": "orders/web/stage", "sha": "a" * 40, "config": {"parameters": {"LOG": "info"}}}).encode()
    document = row * (15_000_000 // len(row))
    hourly = [planted.token(f"many-{number}") + "x" * 200 for number in range(200)]
    for value in hourly:
        remember(value, passing=True)
    began = time.process_time()
    assert redact_bytes(document) is document
    assert time.process_time() - began < 1.5, "0.15 s where nothing else runs; each for itself they take ten"
    assert redact_bytes(document + hourly[100].encode()) == document + MASK.encode()


@drawn(st.data())
def test_a_secret_is_found_wherever_it_stands(data: st.DataObject) -> None:
    """Texts are read in blocks of four and eight bytes."""
    value = "Zq" + data.draw(st.text(min_size=4, max_size=40).filter(lambda text: text == " ".join(text.split())))
    before, after = data.draw(st.text("ab é€", max_size=20)), data.draw(st.text("ab é€", max_size=20))
    remember(value, passing=True)
    assert value not in redact(f"{before}{value}{after}")
    if planted.PREFIX not in value:
        assert redact(f"{before}{after}") == f"{before}{after}"


def test_what_is_shown_to_a_server_is_a_secret_whoever_made_it() -> None:
    signed = planted.token("signed")
    with pytest.raises(requests.ConnectionError):
        session(sleep=lambda _: None).get("http://127.0.0.1:9/", headers={"Authorization": f"Bearer {signed}"})
    assert redact(f"no such {signed}") == f"no such {MASK}"


def test_nothing_that_is_printed_carries_a_secret() -> None:
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), guarded_output():
        sys.stdout.write(f"result {PLAIN}\n")
        sys.stdout.writelines([f"line {PLAIN}\n", "end\n"])
        sys.stdout.flush()
        sys.stdout.buffer.write(f"bytes {PLAIN}\n".encode())
        assert sys.stderr.write(f"log {PLAIN}\n") == len(PLAIN) + 5
        assert not sys.stdout.isatty()
    out.flush()
    assert out.buffer.getvalue().decode() == f"result {MASK}\nline {MASK}\nend\nbytes {MASK}\n"  # type: ignore[attr-defined] # a BytesIO
    assert err.getvalue() == f"log {MASK}\n"


def test_the_cache_keeps_nothing_with_a_secret_in_it(tmp_path: Path) -> None:
    cache = FolderCache(tmp_path)
    cache.put("a", b"plain")
    cache.put("b", f"with {PLAIN}".encode())
    assert (cache.get("a"), cache.get("b")) == (b"plain", None)


def test_git_errors_carry_none() -> None:
    error = GitError(1, ["fetch", f"https://u:{PLAIN}@example.com", PLAIN], f"remote: bad token {PLAIN}\nfatal: no")
    assert planted.PREFIX not in f"{error} {error.line} {error.stderr} {error.arguments}"


@dataclass
class Echo:
    """A port that repeats what it is told, in its answers and errors; `told` is what came in."""

    answer: Any = None
    told: list[tuple[Any, ...]] = field(default_factory=list)
    name: str = "echo"

    def _said(self, *words: Any) -> Any:
        self.told.append(words)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    start = find = push = open = update = close = comment = put_dashboard = write = role = details = preview = _said


@pytest.mark.parametrize(
    "answer",
    [
        Refused(f"no: {PLAIN}"),
        Unreachable(f"no: {PLAIN}"),
        RunFact(RunStatus.FAILED, "handle", f"https://example.com?x={PLAIN}", f"it said {PLAIN}"),
    ],
)
def test_what_servers_answer_is_cleared(answer: Any) -> None:
    port: Any = sealed(Echo(answer))
    assert planted.PREFIX not in repr(port.start())
    assert MASK in repr(port.start())
    assert port.name == "echo"


@pytest.mark.parametrize("method", ["details", "preview"])
def test_what_servers_tell_of_a_run_is_cleared_however_deep_it_stands(method: str) -> None:
    told = {
        "pipeline_guid": "guid",
        "number": 7,
        "error": None,
        "errors": [{"message": f"bad {PLAIN}"}],
        "workflows": ({"jobs": [{"name": ODD, "web_url": f"https://ci.example.com/?t={PLAIN}", "duration": 1.5}]},),
    }
    found = getattr(sealed(Echo(told)), method)()
    assert found == {
        "pipeline_guid": "guid",
        "number": 7,
        "error": None,
        "errors": [{"message": f"bad {MASK}"}],
        "workflows": [{"jobs": [{"name": MASK, "web_url": f"https://ci.example.com/?t={MASK}", "duration": 1.5}]}],
    }
    assert getattr(sealed(Echo(Unreachable(f"no {PLAIN}"))), method)() == Unreachable(f"no {MASK}")


def test_what_servers_refuse_is_cleared() -> None:
    port: Any = sealed(Echo(ServerUnreachable(f"GET /x: {PLAIN}", hint=f"ask {PLAIN}")))
    with pytest.raises(ServerUnreachable) as error:
        port.find()
    said = error.value
    assert (said.message, said.hint, str(said)) == (f"GET /x: {MASK}", f"ask {MASK}", f"GET /x: {MASK}")
    assert sealed(Unreachable(f"no {PLAIN}")) == Unreachable(f"no {MASK}")
    assert sealed(Echo("as it is")).role() == "as it is"  # type: ignore[attr-defined] # made above


def test_a_forge_is_told_no_secret_and_the_contents_of_files_as_they_are() -> None:
    echo = Echo()
    forge = sealed_forge(echo)  # type: ignore[arg-type] # as much of a forge as is asked
    files = {"a.yml": PLAIN.encode()}
    forge.push(Commit("branch", "parent", f"Message {PLAIN}", files))
    forge.open("branch", f"Title {PLAIN}", f"Text {PLAIN}", ["label"])
    forge.update(1, f"Title {PLAIN}", f"Text {PLAIN}")
    forge.close(1, "branch", f"Text {PLAIN}")
    forge.comment(Thread.MERGE_REQUEST, 1, f"Text {PLAIN}", "note")
    forge.put_dashboard(1, "Title", f"Text {PLAIN}")
    forge.role("alice")
    commit = echo.told[0][0]
    assert (commit.message, commit.files) == (f"Message {MASK}", files)
    assert echo.told[1:] == [
        ("branch", f"Title {MASK}", f"Text {MASK}", ["label"]),
        (1, f"Title {MASK}", f"Text {MASK}"),
        (1, "branch", f"Text {MASK}"),
        (Thread.MERGE_REQUEST, 1, f"Text {MASK}", "note"),
        (1, "Title", f"Text {MASK}"),
        ("alice",),
    ]


def test_a_statefile_keeps_names_and_loses_secrets() -> None:
    def written(document: dict[str, Any]) -> Any:
        echo = Echo("etag")
        assert sealed_state(echo).write(json.dumps(document).encode(), "") == "etag"  # type: ignore[arg-type] # as above
        ((data, etag),) = echo.told
        assert etag == ""
        return json.loads(data)

    plain: dict[str, Any] = {"targets": {"a": {"run": {"text": "as it was", "number": 1}}}, "splits": ["x"]}
    assert written(plain) == plain
    words: Sequence[dict[str, Any]] = [{"kind": "manual", "text": f"by {PLAIN}"}]
    told = {"pins": {PLAIN: {"reason": f"see {PLAIN}", "sha": PLAIN, "at": None}}, "run": {"reasons": words}}
    cleared = [{"kind": "manual", "text": f"by {MASK}"}]
    assert written(told) == {
        "pins": {PLAIN: {"reason": f"see {MASK}", "sha": PLAIN, "at": None}},
        "run": {"reasons": cleared},
    }
