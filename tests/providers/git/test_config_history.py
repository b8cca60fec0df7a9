"""The history of the config's files: first parents only, as deep as the checkout is, whatever the files are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.git_world import Repository, run_git

from bot.providers.config_repo import GitConfig

FILE = 'services/ü "x"\nsaas.yml'


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path, "config")


def test_the_commits_that_changed_one_of_the_files_newest_first(repo: Repository) -> None:
    first = repo.commit(files={FILE: "ref: a\n", "other.yml": "x: 1\n"})
    repo.commit(files={"other.yml": "x: 2\n"})
    second = repo.commit(files={FILE: "ref: b\n"})
    repo.commit("nothing")
    config = GitConfig(repo.work)
    assert config.history(repo.head(), [FILE], 10) == (second, first)
    assert config.history(repo.head(), [FILE], 1) == (second,)
    assert config.history(first, [FILE], 10) == (first,)
    assert config.history(repo.head(), ["none.yml"], 10) == ()
    assert config.history(repo.head(), [], 10) == ()
    assert config.tree(second).sha == second


def test_a_merge_counts_as_what_it_brought(repo: Repository) -> None:
    first = repo.commit(files={FILE: "ref: a\n"})
    repo.switch("promotion", "main")
    on_branch = repo.commit(files={FILE: "ref: b\n"})
    repo.switch("main")
    run_git(repo.work, "merge", "--quiet", "--no-ff", "--message=merge", "promotion")
    found = GitConfig(repo.work).history(repo.head(), [FILE], 10)
    assert found == (repo.head(), first)
    assert on_branch not in found


def test_a_shallow_checkout_ends_where_it_ends(repo: Repository, tmp_path: Path) -> None:
    for letter in "abc":
        repo.commit(files={FILE: f"ref: {letter}\n"})
    run_git(tmp_path, "clone", "--quiet", "--depth=2", repo.bare.as_uri(), "shallow")
    found = GitConfig(tmp_path / "shallow").history(repo.head(), [FILE], 10)
    assert len(found) == 2


def test_where_git_cannot_tell_there_is_none(repo: Repository, tmp_path: Path) -> None:
    first = repo.commit(files={FILE: "ref: a\n"})
    second = repo.commit(files={FILE: "ref: b\n"})
    folder = run_git(repo.work, "rev-parse", f"{first}:services")
    (repo.work / ".git" / "objects" / folder[:2] / folder[2:]).unlink()
    assert GitConfig(repo.work).history(second, [FILE], 10) == ()
    assert GitConfig(tmp_path).history("main", [FILE], 10) == ()
