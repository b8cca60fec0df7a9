"""Refs of code repositories, against a real smart-HTTP server and on paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from worlds.git_http import Canned, GitServer
from worlds.git_world import Repository, run_git

from bot.model.observed import Unreachable
from bot.providers import git_http
from bot.providers.sources.git_refs import GitRefs


@pytest.fixture(autouse=True)
def _plain_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no credentials and no git configuration of whoever runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def code(tmp_path: Path) -> Repository:
    code = Repository(tmp_path)
    code.commit()
    run_git(code.work, "tag", "light")
    run_git(code.work, "tag", "--annotate", "--message=one", "v1.0")
    run_git(code.work, "tag", "--annotate", "--message=tag of a tag", "v1.0-signed", "v1.0")
    code.switch("feature/a", "HEAD")
    code.commit()
    run_git(code.work, "tag", "both", "main")
    code.switch("both", "HEAD")
    code.commit()
    return code


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path) as server:
        yield server


def sha(code: Repository, name: str) -> str:
    return run_git(code.work, "rev-parse", f"{name}^{{commit}}")


ALL = ("main", "feature/a", "v1.0", "v1.0-signed", "light", "both", "gone", "mai", "feature", "refs/tags/v1.0", "*")


def expected(code: Repository) -> dict[str, str]:
    return {
        "main": sha(code, "refs/heads/main"),
        "feature/a": sha(code, "refs/heads/feature/a"),
        "v1.0": sha(code, "refs/tags/v1.0"),
        "v1.0-signed": sha(code, "refs/tags/v1.0"),
        "light": sha(code, "refs/tags/light"),
        "both": sha(code, "refs/heads/both"),
        "gone": "",
        "mai": "",
        "feature": "",
        "refs/tags/v1.0": sha(code, "refs/tags/v1.0"),
        "*": "",
    }


def test_one_request_answers_for_all_refs(code: Repository, server: GitServer, tmp_path: Path) -> None:
    assert GitRefs(tmp_path).resolve(server.url("code.git"), ALL) == expected(code)
    assert [request.command for request in server.requests] == ["git-upload-pack"]
    assert server.requests[0].headers["Git-Protocol"] == "version=2"


def test_nothing_wanted_asks_nobody(server: GitServer, tmp_path: Path) -> None:
    assert GitRefs(tmp_path).resolve(server.url("code.git"), ()) == {}
    assert server.requests == []


@pytest.mark.parametrize("form", ["{bare}", "file://{bare}", "code.git", "./code.git", "sub/../code.git"])
def test_paths_are_seen_from_the_base(code: Repository, tmp_path: Path, form: str) -> None:
    assert GitRefs(tmp_path).resolve(form.format(bare=code.bare), ALL) == expected(code)


def test_a_server_of_the_old_protocol_is_asked_by_git(code: Repository, tmp_path: Path) -> None:
    with GitServer(tmp_path, newest_protocol=0) as server:
        assert GitRefs(tmp_path).resolve(server.url("code.git"), ALL) == expected(code)


def test_a_redirect_is_followed_by_git(code: Repository, server: GitServer, tmp_path: Path) -> None:
    server.answers.append(Canned(301, b"", {"Location": server.url("code.git/git-upload-pack")}))
    assert GitRefs(tmp_path).resolve(server.url("code"), ("main",)) == {"main": sha(code, "main")}


def test_an_empty_repository_has_no_refs(tmp_path: Path, server: GitServer) -> None:
    run_git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    assert GitRefs(tmp_path).resolve(server.url("empty.git/"), ("main",)) == {"main": ""}
    assert GitRefs(tmp_path).resolve(str(tmp_path / "empty.git"), ("main",)) == {"main": ""}


@pytest.mark.parametrize("where", ["url", "netrc", "credential helper"])
def test_credentials_are_found(code: Repository, tmp_path: Path, where: str) -> None:
    home = Path(os.environ["HOME"])
    with GitServer(tmp_path, users={"bob": "p@ss/word"}) as server:
        url = server.url("code.git", login="bob:p%40ss%2Fword" if where == "url" else "")
        if where == "netrc":
            (home / ".netrc").write_text("machine 127.0.0.1 login bob password p@ss/word\n", encoding="utf-8")
            (home / ".netrc").chmod(0o600)
        if where == "credential helper":
            helper = "!f() { echo username=bob; echo password=p@ss/word; }; f"
            run_git(tmp_path, "config", "--file", str(home / ".gitconfig"), "credential.helper", helper)
        assert GitRefs(tmp_path).resolve(url, ("main",)) == {"main": sha(code, "main")}
        assert where == "credential helper" or len(server.requests) == 1


def test_an_address_that_git_rewrites_is_left_to_git(code: Repository, server: GitServer, tmp_path: Path) -> None:
    config = Path(os.environ["GIT_CONFIG_GLOBAL"])
    config.write_text(f'[url "{server.address}/"]\n\tinsteadOf = https://code.invalid/\n', encoding="utf-8")
    assert GitRefs(tmp_path).resolve("https://code.invalid/code.git", ("main",)) == {"main": sha(code, "main")}


def test_a_refusal_names_the_server_and_keeps_the_password(code: Repository, tmp_path: Path) -> None:
    assert code.bare.exists()
    with GitServer(tmp_path, users={"bob": "right"}) as server:
        answer = GitRefs(tmp_path).resolve(server.url("code.git", login="bob:hunter2"), ("main",))
    assert isinstance(answer, Unreachable)
    assert answer.text.startswith(f"{server.address}/code.git: asking for branches and tags failed: ")
    assert "401" in answer.text
    assert "credentials" in answer.text
    assert "hunter2" not in answer.text
    assert "\n" not in answer.text


GARBAGE = [
    Canned(503),
    Canned(500, b"<html>"),
    Canned(429),
    Canned(cut=True),
    Canned(200, b"003e6", {"Content-Type": "application/x-git-upload-pack-result"}),
    Canned(200, b"zzzz", {"Content-Type": "application/x-git-upload-pack-result"}),
    Canned(200, b"", {"Content-Type": "application/x-git-upload-pack-result"}),
    Canned(200, b"<html>please log in</html>", {"Content-Type": "text/html"}),
    Canned(403, b"no"),
    Canned(404, b"no"),
]


@pytest.mark.parametrize("canned", GARBAGE, ids=lambda canned: f"{canned.status}-{canned.body[:5]!r}-{canned.cut}")
def test_no_answer_is_one_line(server: GitServer, tmp_path: Path, canned: Canned) -> None:
    server.answers.extend([canned] * 3)
    answer = GitRefs(tmp_path).resolve(server.url("code.git"), ("main",))
    assert isinstance(answer, Unreachable)
    assert answer.text.startswith(f"{server.address}/code.git: ")
    assert "\n" not in answer.text
    assert "; check " in answer.text


def test_a_part_of_an_answer_is_no_answer(code: Repository, server: GitServer, tmp_path: Path) -> None:
    line = b"%s refs/heads/main\n" % sha(code, "main").encode()
    body = b"%04x%s" % (len(line) + 4, line)
    server.answers.append(Canned(200, body, {"Content-Type": "application/x-git-upload-pack-result"}))
    answer = GitRefs(tmp_path).resolve(server.url("code.git"), ("main", "both"))
    assert isinstance(answer, Unreachable)
    assert "cut short" in answer.text


def test_a_silent_server_is_given_up(server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_http, "TIMEOUT", 0.2)
    server.answers.append(Canned(delay=1.0, cut=True))
    answer = GitRefs(tmp_path).resolve(server.url("code.git"), ("main",))
    assert isinstance(answer, Unreachable)
    assert "no answer within" in answer.text


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x.git", "http://[broken/x", "/nowhere/x.git", "--upload-pack=touch /tmp/x", "ext::sh -c true"],
)
def test_what_cannot_be_reached_says_so(tmp_path: Path, url: str) -> None:
    answer = GitRefs(tmp_path).resolve(url, ("main",))
    assert isinstance(answer, Unreachable)
    assert answer.text.startswith(url)


def test_many_threads_ask_at_once(code: Repository, server: GitServer, tmp_path: Path) -> None:
    refs = GitRefs(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: refs.resolve(server.url("code.git"), ALL), range(24))]
    assert all(answer == expected(code) for answer in answers)
    assert len(server.requests) == 24


def test_a_proxy_of_the_environment_is_used(
    code: Repository, server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server takes the absolute address of a proxied request as a path of its own, and gives the canned answer.
    line = b"%s refs/heads/main\n" % sha(code, "main").encode()
    body = b"%04x%s0000" % (len(line) + 4, line)
    server.answers.append(Canned(200, body, {"Content-Type": "application/x-git-upload-pack-result"}))
    monkeypatch.setenv("http_proxy", server.address)
    assert GitRefs(tmp_path).resolve("http://code.invalid/x.git", ("main",)) == {"main": sha(code, "main")}
    assert server.requests[0].path == "http://code.invalid/x.git/git-upload-pack"


@pytest.mark.parametrize(
    ("name", "value", "matters"),
    [
        ("http.extraheader", "X: y", True),
        ("http.https://code.example/.extraheader", "X: y", True),
        ("http.https://other.example/.extraheader", "X: y", False),
        ("http.https://*.example/.sslverify", "false", True),
        ("http.postbuffer", "1", False),
        ("url.ssh://git@code.example/.insteadof", "https://code.example/", True),
        ("url.ssh://git@other.example/.insteadof", "https://other.example/", False),
    ],
)
def test_what_git_is_told_about_an_address(name: str, value: str, matters: bool) -> None:
    assert git_http.configured("https://bob@code.example/x.git", [(name, value)]) is (
        matters and not name.startswith("url.")
    )
    assert git_http.configured("https://code.example/x.git", [(name, value)]) is matters
