"""Which commit a build built, by its own account."""

from __future__ import annotations

from typing import Any

import pytest
from worlds.fake_jenkins_model import git, revision

from bot.providers.sources.jenkins_commits import NoCommit, commit, repository, repository_name

URL = "https://git.example.com/acme/orders"
A, B, C = "a" * 40, "b" * 40, "c" * 40
OWN = git(A, "git@git.example.com:Acme/orders.git")
LIBRARY = git(B, "https://git.example.com/acme/library.git", branch="refs/remotes/origin/stable")
MIRROR = "https://mirror.internal/x/orders.git"


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/acme/orders",
        "https://git.example.com/acme/orders.git/",
        "https://bot:token@GIT.example.com/acme/orders.git",
        "ssh://git@git.example.com:2222/acme/orders.git",
        "git@git.example.com:acme/orders.git",
        "git.example.com:acme/orders",
        "git://git.example.com/Acme/Orders",
    ],
)
def test_a_repository_is_known_by_any_of_its_addresses(url: str) -> None:
    assert repository(url) == "git.example.com/acme/orders"


def test_other_addresses_are_other_repositories() -> None:
    assert repository("/srv/git/orders.git") == repository("file:///srv/git/orders") == "/srv/git/orders"
    assert repository("https://git.example.com/acme/orders-api") != repository(URL)
    assert repository_name("git@git.example.com:acme/Orders.git") == "Orders"


@pytest.mark.parametrize(
    ("actions", "sha"),
    [
        ([{}, None, OWN], A),
        ([LIBRARY, OWN], A),
        ([LIBRARY, OWN, git(C, MIRROR)], A),
        ([git(A, URL), git(A, f"{URL}.git")], A),
        ([git(A, URL), git(C, URL, branch="origin/feature")], A),
        ([git(A, URL), git(C, URL), revision(C)], C),
        ([git(A, MIRROR)], A),
        ([git(A)], A),
        ([git(A, MIRROR), LIBRARY, revision(C)], C),
        ([revision(C)], C),
        ([git(A.upper(), URL)], A),
        ([git(A, URL, branch="detached")], A),
        ([git(A, URL, branch="origin/main")], A),
        ([git(A, URL, branch="main")], A),
        ([git(A, URL, branch="refs/heads/main")], A),
    ],
)
def test_the_commit_of_the_right_repository(actions: list[Any], sha: str) -> None:
    assert commit(actions, URL, "main") == sha


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        ([], "names no commit"),
        ([{"lastBuiltRevision": None, "remoteUrls": [URL]}], "names no commit"),
        ([{"lastBuiltRevision": {"SHA1": "r1234"}}], "names no commit"),
        ([revision(C, pull=True)], "names no commit"),
        ([LIBRARY], "checked out git.example.com/acme/library"),
        ([LIBRARY, git(A, MIRROR)], "checked out git.example.com/acme/library, mirror.internal/x/orders"),
        ([git(A, URL, marked=B)], "built a merge that no branch has"),
        ([git(A, URL, branch="refs/remotes/origin/feature/main")], "built refs/remotes/origin/feature/main, not main"),
        ([git(A, URL, branch="origin/pr/7/merge")], "built origin/pr/7/merge, not main"),
        ([git(A, URL), git(C, URL)], "checked out 2 commits of it"),
        ([revision(A), revision(B)], "names no commit"),
    ],
)
def test_a_build_that_says_no_commit_of_it(actions: list[Any], why: str) -> None:
    assert commit(actions, URL, "main") == NoCommit(why)


def test_a_tag_and_a_pinned_commit_are_followed_as_well() -> None:
    assert commit([git(A, URL, branch="refs/tags/v1.0")], URL, "v1.0") == A
    assert commit([git(A, URL, branch="origin/release/1.0")], URL, "release/1.0") == A
    assert commit([git(A, URL)], URL, "refs/heads/main") == A
    assert commit([git(A, URL)], URL, A) == A
