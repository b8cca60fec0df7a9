"""Lists of jobs in a folder of secrets: both are named in the environment, and a key never leads out of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ServerUnreachable
from bot.model.triggers import JobsFrom
from bot.providers.job_lists import LONGEST, FolderJobLists

LIST = JobsFrom("gangway-list", folder_env="PROFILE", key_env="LIST")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of secrets beside something that is none of it."""
    made = tmp_path / "secrets"
    made.mkdir()
    (made / "jobs.json").write_bytes(b"[]")
    (made / "big").write_bytes(b" " * (LONGEST + 1))
    (made / "link").symlink_to(tmp_path / "other")
    (tmp_path / "other").write_bytes(b"not yours")
    return made


def read(folder: Path, key: str | None, named: str = "secrets") -> bytes:
    """What is read under a key."""
    environ = {"PROFILE": named} | ({"LIST": key} if key is not None else {})
    return FolderJobLists(environ, folder.parent).read(LIST)


def test_a_key_in_a_folder_that_is_seen_from_the_config(folder: Path) -> None:
    assert read(folder, "jobs.json") == b"[]"
    assert read(folder, "jobs.json", str(folder)) == b"[]"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("../other", "leads out of the folder"),
        ("link", "leads out of the folder"),
        ("/etc/hostname", "leads out of the folder"),
        ("missing", "cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        ("big", f"more than {LONGEST} bytes"),
        ("", "LIST is not set"),
        (None, "LIST is not set"),
    ],
)
def test_what_is_no_list_of_that_folder(folder: Path, key: str | None, words: str) -> None:
    with pytest.raises(ServerUnreachable) as error:
        read(folder, key)
    assert words in error.value.message
    assert "not yours" not in error.value.message
