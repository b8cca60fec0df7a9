"""The statefile as a ref of the config repository: over a real smart-HTTP server, with racing clones."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.git_http import Canned, GitServer
from worlds.git_world import Repository, run_git

from bot.errors import ServerUnreachable, WrongUsage
from bot.ports import Refused
from bot.providers.git_origin import AuthorizedOrigin
from bot.providers.state.git import GitState, git_state
from bot.settings import BotSettings

URL = "git:refs/saasbot/state"
PASSWORD = "not-a-real-secret"  # noqa: S105 - of a server that lives for one test
HEADER = "Basic " + base64.b64encode(f"bot:{PASSWORD}".encode()).decode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    code = Repository(tmp_path / "served", "config")
    code.commit("first", {"saasbot.yml": "x\n"})
    with GitServer(tmp_path / "served", users={"bot": PASSWORD}) as found:
        yield found


def store(server: GitServer, tmp_path: Path, name: str) -> GitState:
    """The store in a clone of its own."""
    checkout = tmp_path / name
    if not checkout.exists():
        checkout.mkdir()
        run_git(checkout, "init", "--quiet")
        run_git(checkout, "remote", "add", "origin", server.url("config.git"))
    return git_state(URL, checkout, AuthorizedOrigin(checkout, lambda: HEADER), BotSettings())


def test_there_is_none_and_then_there_is_one(server: GitServer, tmp_path: Path) -> None:
    ours = store(server, tmp_path, "a")
    assert ours.read() is None
    etag = ours.write(b'{"serial": 1}\n', "")
    assert isinstance(etag, str)
    assert ours.read() == (b'{"serial": 1}\n', etag)
    assert store(server, tmp_path, "b").read() == (b'{"serial": 1}\n', etag), "seen by a clone that has nothing"


def test_whoever_read_an_older_one_writes_nothing(server: GitServer, tmp_path: Path) -> None:
    ours, theirs = store(server, tmp_path, "a"), store(server, tmp_path, "b")
    first = ours.write(b"1", "")
    assert isinstance(first, str)
    assert isinstance(theirs.write(b"mine", ""), Refused), "there is one already"
    second = theirs.write(b"2", first)
    assert isinstance(second, str)
    assert isinstance(ours.write(b"late", first), Refused)
    assert ours.read() == (b"2", second)


def test_two_clones_count_together(server: GitServer, tmp_path: Path) -> None:
    assert isinstance(store(server, tmp_path, "a").write(b"0", ""), str)

    def count(name: str) -> None:
        mine, done = store(server, tmp_path, name), 0
        while done < 8:
            found = mine.read()
            assert found is not None
            done += not isinstance(mine.write(str(int(found[0]) + 1).encode(), found[1]), Refused)

    racers = [threading.Thread(target=count, args=(name,)) for name in ("a", "b")]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    found = store(server, tmp_path, "c").read()
    assert found is not None
    assert found[0] == b"16"


def test_the_repository_keeps_one_commit_and_the_checkout_no_ref(server: GitServer, tmp_path: Path) -> None:
    ours, etag = store(server, tmp_path, "a"), ""
    for number in range(3):
        written = ours.write(str(number).encode(), etag)
        assert isinstance(written, str)
        etag = written
    assert run_git(server.root / "config.git", "rev-list", "--count", "refs/saasbot/state") == "1"
    assert run_git(tmp_path / "a", "for-each-ref") == ""


def test_a_server_that_fails_is_one_line_without_the_password(server: GitServer, tmp_path: Path) -> None:
    ours = store(server, tmp_path, "a")
    server.answers.extend([Canned(503)] * 4)
    with pytest.raises(ServerUnreachable, match="cannot read the state in refs/saasbot/state") as error:
        ours.read()
    assert PASSWORD not in str(error.value)
    server.answers.clear()
    server.users.clear()
    server.users["somebody"] = "else"
    with pytest.raises(ServerUnreachable, match="cannot write the state"):
        ours.write(b"1", "")


@pytest.mark.parametrize("url", ["git:state", "git:refs/a..b", "git:"])
def test_what_is_no_ref_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"state\.url"):
        git_state(url, tmp_path, AuthorizedOrigin(tmp_path), BotSettings())


def test_where_there_is_no_origin_it_is_wrong_usage(tmp_path: Path) -> None:
    for folder, commands in (("plain", ()), ("lonely", (("init", "--quiet"),))):
        checkout = tmp_path / folder
        checkout.mkdir()
        for command in commands:
            run_git(checkout, *command)
        with pytest.raises(WrongUsage, match="no clone with an origin"):
            GitState(checkout, "refs/saasbot/state", AuthorizedOrigin(checkout), BotSettings()).read()


def test_a_refused_login_names_the_token_and_leaves_a_persons_own_login_alone(
    server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "home" / ".git-credentials"
    kept.parent.mkdir()
    kept.write_text(server.address.replace("://", "://bot:" + PASSWORD + "@") + "\n")
    (kept.parent / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    monkeypatch.setenv("HOME", str(kept.parent))
    before = kept.read_text()
    checkout = tmp_path / "a"
    store(server, tmp_path, "a")
    wrong = AuthorizedOrigin(checkout, lambda: "Basic " + base64.b64encode(b"bot:an-old-token").decode())
    with pytest.raises(ServerUnreachable) as error:
        GitState(checkout, "refs/saasbot/state", wrong, BotSettings()).read()
    assert "forge.token" in error.value.hint
    assert kept.read_text() == before
