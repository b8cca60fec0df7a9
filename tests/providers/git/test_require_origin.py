"""Origin and `forge.project` are one project: branch and state come from the one, merge requests go to the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.git_world import run_git

from bot.errors import WrongUsage
from bot.providers.forge_access import require_origin

SAME = [
    "https://git.example.com/acme/config.git",
    "https://ci:not-a-secret@git.example.com/acme/config",
    "https://git.example.com/gitlab/Acme/Config/",
    "git@git.example.com:acme/config.git",
    "ssh://git@git.example.com:2222/acme/config.git",
    "/srv/git/anything.git",
]
OTHER = ["https://git.example.com/acme/other.git", "git@git.example.com:not-acme/config.git"]


def checkout(folder: Path, origin: str) -> Path:
    run_git(folder, "init", "--quiet")
    run_git(folder, "remote", "add", "origin", origin)
    return folder


@pytest.mark.parametrize("origin", SAME)
def test_the_same_project_however_it_is_reached(origin: str, tmp_path: Path) -> None:
    require_origin(checkout(tmp_path, origin), "acme/config")


@pytest.mark.parametrize("origin", OTHER)
def test_another_project_is_refused_and_both_are_named(origin: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"forge\.project is acme/config") as error:
        require_origin(checkout(tmp_path, origin), "acme/config")
    assert origin.rpartition(":")[2].rpartition("/")[2] in str(error.value)


def test_a_number_and_a_folder_without_origin_are_not_compared(tmp_path: Path) -> None:
    require_origin(tmp_path, "acme/config")
    require_origin(checkout(tmp_path, OTHER[0]), "4711")
