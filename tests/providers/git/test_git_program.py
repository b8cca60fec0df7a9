"""The wrapper of git: what is inherited, what is told, how contents and differences come out."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.git_world import START, Repository, run_git

from bot.model.observed import Change
from bot.model.plan import Commit
from bot.providers.git import (
    GitError,
    cat_files,
    commit_date,
    diff,
    for_each_ref,
    git,
    locate,
    ls_tree,
    merge_base,
    raw,
    resolve,
    stream_files,
    text,
    without_credentials,
)
from bot.providers.git_commits import build_commit, merge_commit, merge_conflicts, merged_tree, replay, update_ref
from bot.providers.git_tree import GitTree
from bot.settings import BotSettings

BOT = BotSettings("saas <bot>", "bot@example.com")
LINES = "".join(f"{number}\n" for number in range(20))


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    repo = Repository(tmp_path)
    repo.write({"run.sh": "#!/bin/sh\n", "a.yml": "a: 1\n", "deep/ü b.yml": "b: 1\n", "lines": LINES})
    (repo.work / "run.sh").chmod(0o755)
    (repo.work / "link.yml").symlink_to("a.yml")
    repo.commit("base")
    return repo


def test_a_commit_is_a_function_of_its_values(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    base = resolve(repo.bare, "main")
    files = {"run.sh": b"#!/bin/sh\nexit 1", "deep/ü b.yml": b"b: 2\r\n", 'new/"q"\n.yml': b"\0\xff", "z": b""}
    commit = Commit("saasbot/x", base, "promote\n\nbody /x", files)
    first = build_commit(repo.bare, commit, BOT)
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_DATE", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.setenv(name, "1999-01-01T00:00:00Z")
    assert build_commit(repo.bare, commit, BOT) == first
    assert build_commit(repo.work, commit, BOT) == first
    assert {entry.path: entry.mode for entry in ls_tree(repo.bare, first)} == {
        "a.yml": "100644",
        "deep/ü b.yml": "100644",
        "lines": "100644",
        "link.yml": "120000",
        'new/"q"\n.yml': "100644",
        "run.sh": "100755",
        "z": "100644",
    }
    header, _, message = git(repo.bare, "cat-file", "commit", first).decode().partition("\n\n")
    assert message == "promote\n\nbody /x\n"
    assert f"author saas bot <bot@example.com> {START + 60} +0000" in header
    assert commit_date(repo.bare, first) == commit_date(repo.bare, base) == f"{START + 60} +0000"
    assert for_each_ref(repo.bare, "refs/") == {"refs/heads/main": base}
    assert {change.path: change.new for change in diff(repo.bare, base, first)} == files


def test_a_commit_on_nothing_is_an_error(repo: Repository) -> None:
    with pytest.raises(GitError):
        build_commit(repo.bare, Commit("x", "f" * 40, "m", {"a": b""}), BOT)


def test_a_branch_moves_by_compare_and_swap(repo: Repository) -> None:
    one, two = resolve(repo.bare, "main"), repo.commit()
    assert update_ref(repo.bare, "saasbot/x", one, "")
    assert not update_ref(repo.bare, "saasbot/x", two, "")
    assert not update_ref(repo.bare, "saasbot/x", two, two)
    assert not update_ref(repo.bare, "saasbot/y", two, one)
    assert update_ref(repo.bare, "saasbot/x", two, one)
    assert for_each_ref(repo.bare, "refs/heads/saas") == {"refs/heads/saasbot/x": two}
    assert not update_ref(repo.bare, "saasbot/x", "", one)
    assert update_ref(repo.bare, "saasbot/x", "", two)
    assert for_each_ref(repo.bare, "refs/heads/saasbot/") == {}
    with pytest.raises(GitError):
        update_ref(repo.bare, "saasbot/x", "f" * 40, "")


def test_differences_of_every_kind(repo: Repository) -> None:
    base = repo.head()
    (repo.work / "a.yml").chmod(0o755)
    (repo.work / "lines").unlink()
    (repo.work / "link.yml").unlink()
    run_git(repo.work, "update-index", "--add", "--cacheinfo", f"160000,{base},sub")
    repo.write({"link.yml": "now a file\n", "deep/ü b.yml": "b: 2\n"})
    run_git(repo.work, "add", "a.yml", "lines", "link.yml", "deep")
    run_git(repo.work, "commit", "--quiet", "--message=all")
    assert diff(repo.work, base, repo.head()) == (
        Change("a.yml", b"a: 1\n", b"a: 1\n"),
        Change("deep/ü b.yml", b"b: 1\n", b"b: 2\n"),
        Change("lines", LINES.encode(), None),
        Change("link.yml", b"a.yml", b"now a file\n"),
        Change("sub", None, f"Subproject commit {base}\n".encode()),
    )
    assert diff(repo.work, base, base) == ()


def test_merges_and_conflicts(repo: Repository) -> None:
    base = repo.head()
    repo.switch("side", base)
    side = repo.commit(files={"lines": LINES.replace("3\n", "three\n", 1)})
    repo.switch("clash", base)
    clash = repo.commit(files={"a.yml": "a: 3\n"})
    repo.switch("main")
    main = repo.commit(files={"a.yml": "a: 2\n"})
    run_git(repo.work, "switch", "--quiet", "--orphan", "other")
    other = repo.commit()
    assert merge_base(repo.bare, side, main) == base
    assert merge_base(repo.bare, side, other) == ""
    assert [merge_conflicts(repo.bare, main, branch) for branch in (side, clash, other)] == [False, True, True]
    merged = merge_commit(repo.bare, main, side, "Merge", BOT)
    assert merged
    assert run_git(repo.bare, "rev-parse", f"{merged}^1", f"{merged}^2").split() == [main, side]
    assert merge_commit(repo.bare, main, side, "Merge", BOT) == merged
    assert merge_commit(repo.bare, main, clash, "Merge", BOT) is None
    tree = merged_tree(repo.bare, main, side)
    assert tree
    files = GitTree(repo.bare, tree, None)
    assert files.sha is None
    assert [file.path for file in files.files()] == ["a.yml", "deep/ü b.yml", "lines", "run.sh"]
    assert next(iter(files.read(files.files()))) == b"a: 2\n"
    with pytest.raises(GitError):
        merged_tree(repo.bare, main, "f" * 40)


def test_commits_of_a_person_are_replayed(repo: Repository) -> None:
    base = repo.head()
    old = build_commit(repo.work, Commit("b", base, "bot", {"a.yml": b"a: 2\n"}), BOT)
    repo.switch("b", old)
    repo.commit("mine", {"lines": LINES.replace("3\n", "three\n", 1)})
    head = repo.commit("also mine", {"new.yml": "n: 1\n"})
    repo.switch("main")
    moved = repo.commit("base moved", {"lines": LINES.replace("17\n", "seventeen\n")})
    onto = build_commit(repo.work, Commit("b", moved, "bot", {"a.yml": b"a: 3\n"}), BOT)
    new = replay(repo.work, head, old, onto)
    assert new
    assert new == replay(repo.work, head, old, onto)
    assert run_git(repo.work, "log", "--format=%an %s", f"{onto}..{new}").splitlines() == [
        "alice also mine",
        "alice mine",
    ]
    assert {change.path for change in diff(repo.work, onto, new)} == {"lines", "new.yml"}
    assert replay(repo.work, old, old, onto) == onto
    repo.switch("b")
    run_git(repo.work, "merge", "--quiet", "--message=merge", "main", env={"GIT_COMMITTER_DATE": f"{START} +0000"})
    assert replay(repo.work, repo.head(), old, onto) == new
    clash = repo.commit("a clash", {"a.yml": "a: mine\n"})
    assert replay(repo.work, clash, old, onto) is None
    repo.switch("evil", head)
    evil = repo.merge("main")
    assert replay(repo.work, evil, old, onto) is None


def test_contents_larger_than_any_pipe(repo: Repository) -> None:
    shas = []
    for number in range(40):
        blob = run_git(repo.bare, "hash-object", "-w", "--stdin", stdin=bytes([number]) * 300_000)
        shas.append(blob)
    assert [data[:1] + bytes([len(data) % 251]) for data in cat_files(repo.bare, shas * 50)] == [
        bytes([number, 300_000 % 251]) for number in range(40)
    ] * 50
    assert next(iter(stream_files(repo.bare, shas * 1000))) == bytes(300_000)
    assert cat_files(repo.bare, []) == []
    with pytest.raises(GitError, match="missing"):
        cat_files(repo.bare, [shas[0], "f" * 40])


def test_a_failure_has_one_line_without_credentials(tmp_path: Path) -> None:
    with pytest.raises(GitError) as caught:
        git(tmp_path, "ls-remote", "http://bob:hunt@er2@127.0.0.1:1/x.git")
    assert "hunt" not in str(caught.value)
    assert "er2" not in caught.value.stderr + " ".join(caught.value.arguments)
    assert "unable to access" in caught.value.line
    with pytest.raises(GitError, match="does not exist"):
        git(tmp_path / "nowhere", "status")


def test_a_silent_command_is_killed_with_its_helpers(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    began = time.monotonic()
    with pytest.raises(GitError) as caught:
        git(tmp_path, "-c", "alias.wait=!sleep 20 & sleep 20", "wait", timeout=0.3)
    assert caught.value.returncode == 124
    assert time.monotonic() - began < 10


def test_no_git_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError) as caught:
        git(tmp_path, "version")
    assert caught.value.returncode == 127


def test_a_revision_that_means_nothing(repo: Repository) -> None:
    assert resolve(repo.bare, "nowhere") == ""
    assert resolve(repo.bare, "--all") == ""
    assert resolve(repo.bare, "main") == repo.head()


@given(st.binary(max_size=20))
def test_names_survive_the_way_there_and_back(name: bytes) -> None:
    assert raw(text(name)) == name


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x/y", "https://x/y"),
        ("git@host:a/b.git", "git@host:a/b.git"),
        ("../code", "/base/code"),
        ("/abs/code", "/abs/code"),
        ("./a:b", "/base/config/a:b"),
    ],
)
def test_where_a_url_is(url: str, expected: str) -> None:
    assert locate(url, Path("/base/config")) == expected


def test_credentials_leave_every_url() -> None:
    told = without_credentials("from https://a:b@c/d and 'ssh://git@h/x', mail bob@example.com")
    assert told == "from https://c/d and 'ssh://h/x', mail bob@example.com"
