"""`--debug`: what a line tells of a request or a git command, and that no line tells a secret."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from worlds import planted
from worlds.git_http import GitServer
from worlds.git_world import Repository

from bot.providers import git_http, trace
from bot.providers.git import GitError, git
from bot.providers.http import session
from bot.providers.secrets import MASK, remember

TOKEN = planted.token("traced")


class Handler(BaseHTTPRequestHandler):
    """Answers with the statuses of the server, the last one for ever; `0` closes without an answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        statuses: list[int] = self.server.statuses  # type: ignore[attr-defined] # of this test's server
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815 - the base class's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True
    statuses: list[int]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Quiet]:
    found = Quiet(("127.0.0.1", 0), Handler)
    found.statuses = [200]
    thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


class Lines(list[tuple[str, dict[str, Any]]]):
    """What was traced: sentences, and their fields."""

    def __call__(self, message: str, /, **fields: object) -> None:
        self.append((message, dict(fields)))

    @property
    def text(self) -> str:
        """All of it, as both formats of the log have it."""
        return "\n".join([*(message for message, _ in self), *(json.dumps(fields) for _, fields in self)])


@pytest.fixture
def lines() -> Iterator[Lines]:
    found = Lines()
    trace.begin(found)
    yield found
    trace.end()


def test_nothing_is_traced_unless_somebody_wants_to_know(server: Quiet) -> None:
    assert not trace.on()
    trace.request("GET", server.url, status=200)
    trace.command(["fetch"], 0, 1.0)
    assert session().get(server.url).status_code == 200


def test_a_request_is_one_line_with_all_that_was_said(server: Quiet, lines: Lines) -> None:
    client = session()
    client.post(
        f"{server.url}/api/items?page=2&private_token=short",
        json={"title": "A\nb", "token": "abc"},
        headers={"PRIVATE-TOKEN": "abc", "X-Odd": "plain", "Authorization": f"Bearer {TOKEN}", "Cookie": "a=b"},
    )
    ((message, fields),) = lines
    assert fields["ms"] >= 0
    assert (fields["kind"], fields["method"], fields["status"], fields["attempt"]) == ("request", "POST", 200, 1)
    assert fields["url"] == f"{server.url}/api/items?page=2&private_token={MASK}"
    headers = fields["headers"]
    assert headers["X-Odd"] == "plain"
    assert headers["Authorization"] == f"Bearer {MASK}"
    assert {headers["PRIVATE-TOKEN"], headers["Cookie"]} == {MASK}
    assert json.loads(fields["body"]) == {"title": "A\nb", "token": MASK}
    assert message.startswith(f"POST {server.url}/api/items?page=2&private_token={MASK}: 200 in ")
    assert "\n" not in message
    assert planted.PREFIX not in lines.text


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("X-JFrog-Art-Api", "AKCp", MASK),
        ("X-Api-Key", "correct horse battery", MASK),
        ("Ocp-Apim-Subscription-Key", "abc", MASK),
        ("X-Vault-Token", "s.abc", MASK),
        ("X-Registry-Password", "correct horse", MASK),
        ("Proxy-Authorization", "Basic correct horse", f"Basic {MASK}"),
        ("Authorization", "correct horse", MASK),
        ("X-GitHub-Api-Version", "2022-11-28", "2022-11-28"),
    ],
)
def test_headers_that_may_be_credentials_are_masked_whole(lines: Lines, name: str, value: str, shown: str) -> None:
    trace.request("GET", "https://example.com", headers={name: value}, status=200)
    ((message, fields),) = lines
    assert fields["headers"] == {name: shown}
    assert message.endswith(f"headers {name}: {shown}")


def test_every_try_is_a_line_of_its_own(server: Quiet, lines: Lines) -> None:
    server.statuses[:] = [503, 0, 200]
    assert session(sleep=lambda _: None).get(server.url).status_code == 200
    tries = [(fields["status"], fields["attempt"], bool(fields["error"])) for _, fields in lines]
    assert tries == [(503, 1, False), (None, 2, True), (200, 3, False)]


def test_a_request_without_an_answer_says_why(lines: Lines) -> None:
    with pytest.raises(requests.ConnectionError):
        session(sleep=lambda _: None).post("http://127.0.0.1:9/", data=b"\xff\xfe\x00")
    assert [fields["attempt"] for _, fields in lines] == [1, 2, 3, 4]
    assert all(fields["status"] is None and "refused" in fields["error"] for _, fields in lines)
    assert {fields["body"] for _, fields in lines} == {"(3 bytes)"}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (None, ""),
        ("text", "text"),
        (b"", ""),
        (b"a\0b", "(3 bytes)"),
        (bytearray(b"\xff"), "(1 bytes)"),
        (iter([b"x"]), "(a stream)"),
        ("x" * 5000, "x" * 2000 + "... (5000 characters)"),
        ("x" * 1980 + TOKEN * 3, "x" * 1980 + MASK * 2 + "[se" + "... (2104 characters)"),
        (f"token={TOKEN}&variables[A]=b", f"token={MASK}&variables[A]=b"),
        ("ref=main&token=abc", f"ref=main&token={MASK}"),
        ('{"password": "p w, d\\"123", "user":"u"}', f'{{"password": "{MASK}", "user":"u"}}'),
        ('{"secret": "", "token": "a b', f'{{"secret": "", "token": "{MASK}'),
        (f"A B {base64.b64encode(f'bot:{TOKEN}'.encode()).decode()} C", f"A B {MASK} C"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "[redacted]"),
    ],
)
def test_bodies_are_cleared_before_they_are_cut(lines: Lines, body: Any, shown: str) -> None:
    remember(TOKEN)
    trace.request("PUT", "https://example.com", body=body, status=200)
    ((_, fields),) = lines
    cut = shown.partition("... (")[0]
    assert fields["body"].startswith(cut)
    assert planted.PREFIX[:10] not in lines.text
    if not body or TOKEN * 3 not in str(body):
        assert fields["body"] == shown


def test_what_no_transport_of_ours_sends_can_be_told_too(lines: Lines) -> None:
    """Such as an object store's requests."""
    remember(TOKEN)
    address = f"https://id:{TOKEN}@bucket.example.com/key?X-Amz-Signature=abc&sig=d%2Fe&partNumber=1"
    trace.request("GET", address, status=412, ms=12.34, attempt=2)
    trace.request("HEAD", "https://example.com", error=f"it says {TOKEN}")
    shown = f"https://[redacted]@bucket.example.com/key?X-Amz-Signature={MASK}&sig={MASK}&partNumber=1"
    assert [message for message, _ in lines] == [
        f"GET {shown}: 412 in 12 ms, attempt 2",
        f"HEAD https://example.com: it says {MASK} in 0 ms, attempt 1",
    ]
    assert lines[0][1]["ms"] == 12.3


def test_what_a_library_sends_by_itself_is_one_line(lines: Lines) -> None:
    with trace.operation("PUT", "s3://bucket/key", b"\xff" * 9):
        pass
    with pytest.raises(FileNotFoundError), trace.operation("GET", "s3://bucket/key"):
        raise FileNotFoundError("no such object")
    assert [(fields["method"], fields["status"], fields["body"], fields["error"]) for _, fields in lines] == [
        ("PUT", 200, "(9 bytes)", None),
        ("GET", None, "", "FileNotFoundError: no such object"),
    ]


def test_git_is_traced_where_it_talks_to_a_server(tmp_path: Path, lines: Lines) -> None:
    repository = Repository(tmp_path, "code")
    sha = repository.commit("one")
    git(repository.bare, "rev-parse", sha)
    with GitServer(tmp_path, users={"bot": TOKEN}) as server:
        url = server.url("code.git", login=f"bot:{TOKEN}")
        git(tmp_path, "-c", "protocol.version=2", "ls-remote", "--", url, "refs/heads/main")
        with pytest.raises(GitError):
            git(tmp_path, "ls-remote", "--", server.url("code.git"))
        assert git_http.ls_refs(url, ["refs/heads/main"]) == {"refs/heads/main": sha}
        assert isinstance(git_http.ls_refs(server.url("code.git"), ["refs/"]), git_http.AskGit)
    assert [(fields["kind"], fields.get("code", fields.get("status"))) for _, fields in lines] == [
        ("git", 0),
        ("git", 128),
        ("request", 200),
        ("request", 401),
    ]
    words = ["-c", "protocol.version=2", "ls-remote", "--", server.url("code.git"), "refs/heads/main"]
    assert lines[0][1]["args"] == words
    assert lines[0][0].startswith(f"git {' '.join(words)}: exit code 0 in ")
    assert lines[2][1]["headers"]["Authorization"] == f"Basic {MASK}"
    assert planted.NEEDLE.search(lines.text.encode()) is None
