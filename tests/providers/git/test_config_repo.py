"""The config repository: every state of a working tree, fetches that move nothing, exports under races."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from worlds.git_http import Canned, GitServer
from worlds.git_world import Repository, run_git

from bot.errors import ServerUnreachable, WrongUsage
from bot.ports import ConfigRepository, ConfigTree
from bot.providers import working_tree
from bot.providers.config_repo import GitConfig, export, forget_exports
from bot.providers.git import GitError, git
from bot.providers.working_tree import blob_id

FILES: Mapping[str, str | bytes] = {
    "saasbot.yml": "a: 1\n",
    'b/ü "b".yml': "b: 1\n",
    "c.yml": "c: 1\n",
    ".gitignore": "ignored*\n",
}


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    repo = Repository(tmp_path, "config")
    repo.commit(files=FILES)
    return repo


def contents(tree: ConfigTree) -> dict[str, bytes]:
    files = tree.files()
    assert [file.path for file in files] == sorted(file.path for file in files)
    found = dict(zip((file.path for file in files), tree.read(files), strict=True))
    assert all(file.blob in {"", blob_id(found[file.path])} for file in files)
    return found


def test_a_clean_checkout_is_its_commit(repo: Repository) -> None:
    config: ConfigRepository = GitConfig(repo.work)
    tree = config.working_tree()
    assert tree.sha == repo.head()
    assert contents(tree) == {path: str(data).encode() for path, data in FILES.items()}
    assert contents(config.tree(repo.head())) == contents(tree)


def test_every_kind_of_edit_is_seen(repo: Repository) -> None:
    repo.write(
        {
            "c.yml": "c: 2\n",
            "new.yml": "n: 1\n",
            "ignored.yml": "i: 1\n",
            "d/staged.yml": "s: 1\n",
            "added.yml": "x: 1\n",
        }
    )
    run_git(repo.work, "add", "d/staged.yml")
    run_git(repo.work, "add", "--intent-to-add", "added.yml")
    (repo.work / "saasbot.yml").unlink()
    (repo.work / "link.yml").symlink_to("c.yml")
    (repo.work / 'b/ü "b".yml').unlink()
    (repo.work / 'b/ü "b".yml').symlink_to("../c.yml")
    Repository(repo.work / "nested", "inner").commit(files={"x.yml": "x: 1\n"})
    tree = GitConfig(repo.work).working_tree()
    assert tree.sha is None
    found = contents(tree)
    assert {path: data for path, data in found.items() if not path.startswith("nested/inner.git/")} == {
        ".gitignore": b"ignored*\n",
        "added.yml": b"x: 1\n",
        "c.yml": b"c: 2\n",
        "d/staged.yml": b"s: 1\n",
        "new.yml": b"n: 1\n",
    }


def test_a_staged_edit_alone_makes_it_dirty(repo: Repository) -> None:
    repo.write({"c.yml": "c: 2\n"})
    run_git(repo.work, "add", "c.yml")
    tree = GitConfig(repo.work).working_tree()
    assert tree.sha is None
    assert contents(tree)["c.yml"] == b"c: 2\n"


def test_a_conflict_is_read_from_disk(repo: Repository) -> None:
    base = repo.head()
    repo.commit(files={"c.yml": "c: 2\n"})
    repo.switch("side", base)
    repo.commit(files={"c.yml": "c: 3\n"})
    with pytest.raises(AssertionError):
        run_git(repo.work, "merge", "main")
    assert b"<<<<<<<" in contents(GitConfig(repo.work).working_tree())["c.yml"]


def test_contents_stay_what_was_listed(repo: Repository) -> None:
    repo.write({"new.yml": "n: 1\n"})
    tree = GitConfig(repo.work).working_tree()
    repo.write({"new.yml": "later\n", "c.yml": "later\n"})
    (repo.work / "saasbot.yml").unlink()
    found = contents(tree)
    assert (found["new.yml"], found["c.yml"], found["saasbot.yml"]) == (b"n: 1\n", b"c: 1\n", b"a: 1\n")


def test_nothing_is_written_into_the_checkout(repo: Repository) -> None:
    os.utime(repo.work / "c.yml", (1, 1))  # makes git want to refresh its index
    before = (repo.work / ".git/index").read_bytes()
    GitConfig(repo.work).working_tree()
    GitConfig(repo.work).fetch("main")
    assert (repo.work / ".git/index").read_bytes() == before
    assert not (repo.work / ".git/FETCH_HEAD").exists()


def test_a_large_new_file_has_no_blob(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working_tree, "KEPT", 10)
    repo.write({"large.bin": b"0" * 11})
    tree = GitConfig(repo.work).working_tree()
    large = next(file for file in tree.files() if file.path == "large.bin")
    assert large.blob == ""
    assert [*tree.read([large])] == [b"0" * 11]
    (repo.work / "large.bin").unlink()
    with pytest.raises(WrongUsage, match=r"large\.bin cannot be read"):
        [*tree.read([large])]


def test_a_subfolder_is_a_config_repository_too(repo: Repository) -> None:
    repo.write({"b/new.yml": "n: 1\n", "other.yml": "o: 1\n"})
    config = GitConfig(repo.work / "b")
    assert contents(config.working_tree()) == {'ü "b".yml': b"b: 1\n", "new.yml": b"n: 1\n"}
    assert [file.path for file in config.tree(config.fetch("main")).files()] == ['ü "b".yml']


@pytest.mark.parametrize("where", ["plain", "ignored"])
def test_a_folder_without_git_is_read_as_it_is(repo: Repository, tmp_path: Path, where: str) -> None:
    folder = tmp_path / "plain" if where == "plain" else repo.work / "ignored"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.yml").write_bytes(b"a: 1\n")
    (folder / "link.yml").symlink_to("sub/a.yml")
    tree = GitConfig(folder).working_tree()
    assert tree.sha is None
    assert contents(tree) == {"sub/a.yml": b"a: 1\n"}


def test_no_folder_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage):
        GitConfig(tmp_path / "nowhere").working_tree()


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    repo.write({"a.yml": "a: 1\n"})
    tree = GitConfig(repo.work).working_tree()
    assert tree.sha is None
    assert contents(tree) == {"a.yml": b"a: 1\n"}
    assert GitConfig(repo.work).behind("main") == ""


def test_a_fetch_brings_objects_and_moves_nothing(repo: Repository, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "--quiet", str(repo.bare), "late")
    late = tmp_path / "late"
    before = run_git(late, "for-each-ref")
    new = repo.commit(files={"c.yml": "c: 2\n"})
    config = GitConfig(late)
    assert config.fetch("main") == new
    assert contents(config.tree(new))["c.yml"] == b"c: 2\n"
    assert run_git(late, "for-each-ref") == before
    assert (late / "c.yml").read_bytes() == b"c: 1\n"
    assert config.fetch("main") == new


def test_many_fetches_at_once(repo: Repository, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repo.bare}", "late")
    new = repo.commit(files={"c.yml": "c: 2\n"})
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda _: GitConfig(tmp_path / "late").fetch("main"), range(8))] == [new] * 8


def test_a_server_that_gives_no_commit_by_id(repo: Repository, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "--quiet", str(repo.bare), "late")
    with GitServer(tmp_path, newest_protocol=0) as server:
        run_git(tmp_path / "late", "remote", "set-url", "origin", server.url("config.git"))
        new = repo.commit()
        repo.switch("side", new)
        repo.commit()
        assert GitConfig(tmp_path / "late").fetch("main") == new


def test_what_stands_in_the_way_of_a_fetch(repo: Repository, tmp_path: Path) -> None:
    config = GitConfig(repo.work)
    with pytest.raises(WrongUsage, match="no branch 'gone'"):
        config.fetch("gone")
    with GitServer(tmp_path) as server:
        run_git(repo.work, "remote", "set-url", "origin", server.url("config.git", login="bob:hunter2"))
        server.answers.append(Canned(503))
        with pytest.raises(ServerUnreachable) as caught:
            config.fetch("main")
    assert caught.value.message.startswith(f"{server.address}/config.git: fetch of main failed: ")
    assert "hunter2" not in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    shutil.rmtree(repo.bare)
    run_git(repo.work, "remote", "set-url", "origin", str(repo.bare))
    with pytest.raises(ServerUnreachable):
        config.fetch("main")
    run_git(repo.work, "remote", "remove", "origin")
    with pytest.raises(WrongUsage, match="no remote called origin"):
        config.fetch("main")
    plain = tmp_path / "plain"
    plain.mkdir()
    with pytest.raises(WrongUsage, match="not a git checkout"):
        GitConfig(plain).fetch("main")


def test_a_checkout_knows_how_far_it_is_behind(repo: Repository, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "--quiet", str(repo.bare), "late")
    late = tmp_path / "late"
    repo.commit()
    assert GitConfig(late).behind("main") == ""
    run_git(late, "fetch", "--quiet")
    sentence = "The checkout is 1 commit behind origin/main."
    assert GitConfig(late).behind("main") == sentence
    seen = GitConfig(late)
    seen.working_tree()
    assert seen.behind("main") == sentence
    assert seen.behind("nowhere") == ""
    run_git(late, "switch", "--quiet", "--detach")
    repo.commit()
    run_git(late, "fetch", "--quiet")
    assert GitConfig(late).behind("main") == "The checkout is 2 commits behind origin/main."


def test_an_export_is_the_commit(repo: Repository, tmp_path: Path) -> None:
    (repo.work / "run.sh").write_bytes(b"#!/bin/sh\n")
    (repo.work / "run.sh").chmod(0o755)
    (repo.work / "link").symlink_to("run.sh")
    sha = repo.commit(files={".gitattributes": "c.yml export-ignore\n"})
    index = git(repo.work, "ls-files", "--stage")
    repo.write({"c.yml": "edited\n"})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: export(repo.work, sha, tmp_path / "out" / sha), range(6)))
    export(repo.bare, sha, tmp_path / "out" / "bare")
    for folder in (tmp_path / "out" / sha, tmp_path / "out" / "bare"):
        assert (folder / "c.yml").read_bytes() == b"c: 1\n"
        assert os.access(folder / "run.sh", os.X_OK)
        assert (folder / "link").is_symlink()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([sha, "bare"])
    assert git(repo.work, "ls-files", "--stage") == index
    with pytest.raises(GitError):
        export(repo.work, "f" * 40, tmp_path / "out" / "none")
    assert not (tmp_path / "out" / "none").exists()


def test_old_exports_are_forgotten(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    forget_exports(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
