"""A token is for one server: git must not take it along to where that server sends it."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.git_http import Canned, GitServer
from worlds.git_world import Repository, run_git

from bot.providers.git import GitError
from bot.providers.git_origin import AuthorizedOrigin

HEADER = "Basic Ym90Om5vdC1hLXJlYWwtc2VjcmV0"


def origin(tmp_path: Path, url: str, header: str = HEADER) -> AuthorizedOrigin:
    """The origin of a new checkout."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    run_git(checkout, "init", "--quiet")
    run_git(checkout, "remote", "add", "origin", url)
    return AuthorizedOrigin(checkout, lambda: header)


@pytest.mark.parametrize("pushes", [False, True])
def test_the_token_is_shown_to_nobody_that_the_server_redirects_to(tmp_path: Path, pushes: bool) -> None:
    code = Repository(tmp_path / "elsewhere", "config")
    head = code.commit("first", {"a": "1\n"})
    with GitServer(tmp_path / "here") as here, GitServer(tmp_path / "elsewhere") as there:
        asked = origin(tmp_path, here.url("config.git"))
        service = "git-receive-pack" if pushes else "git-upload-pack"
        away = {"Location": there.url(f"config.git/info/refs?service={service}").replace("127.0.0.1", "localhost")}
        here.answers.append(Canned(301, b"", away))
        run_git(tmp_path / "checkout", "fetch", "--quiet", str(code.bare), "main")
        with pytest.raises(GitError):
            asked.push("refs/heads/new", head, "") if pushes else asked.head("refs/heads/main")
        assert there.requests == []


def test_an_address_without_git_at_its_end_is_asked_where_forges_would_redirect_to(tmp_path: Path) -> None:
    code = Repository(tmp_path / "served", "config")
    head = code.commit("first", {"a": "1\n"})
    with GitServer(tmp_path / "served", users={"bot": "not-a-real-secret"}) as server:
        asked = origin(tmp_path, server.url("config"))
        assert asked.head("refs/heads/main") == head
        assert {each.path.split("/")[1] for each in server.requests} == {"config.git"}


def test_without_a_token_of_ours_git_goes_where_it_is_configured_to_go(tmp_path: Path) -> None:
    code = Repository(tmp_path / "served", "config")
    head = code.commit("first", {"a": "1\n"})
    with GitServer(tmp_path / "served") as server:
        asked = origin(tmp_path, server.url("config"), header="")
        server.answers.append(
            Canned(301, b"", {"Location": server.url("config.git/info/refs?service=git-upload-pack")})
        )
        assert asked.head("refs/heads/main") == head
