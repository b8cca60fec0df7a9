"""Ancestry of code repositories: right for every shape of history, fetched once, sharing one cache."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.git_http import Canned, GitServer
from worlds.git_world import Repository, run_git

from bot.model.observed import Lineage, Title, Unreachable
from bot.providers.cache import FolderCache
from bot.providers.git import git
from bot.providers.sources.git_history import GitHistories

UNKNOWN = "f" * 40


def histories(folder: Path) -> GitHistories:
    return GitHistories(FolderCache(folder / "cache").folder, folder)


@pytest.fixture
def code(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture(params=["http", "path", "no filters"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    with GitServer(tmp_path, filters=request.param == "http") as server:
        yield lambda: "code.git" if request.param == "path" else server.url("code.git")


def test_a_line_of_commits(code: Repository, url: Callable[[], str], tmp_path: Path) -> None:
    one, two, three, four = [code.commit() for _ in range(4)]
    found = histories(tmp_path).lineage(url(), [four, one, three, UNKNOWN, "main"])
    assert found == Lineage({one: frozenset(), three: frozenset({one}), four: frozenset({one, three})})
    assert isinstance(found, Lineage)
    assert two not in found.ancestors


def test_branches_and_merges(code: Repository, url: Callable[[], str], tmp_path: Path) -> None:
    root = code.commit()
    code.switch("side", root)
    side = code.commit()
    code.switch("main")
    main = code.commit()
    merged = code.merge("side")
    found = histories(tmp_path).lineage(url(), [root, side, main, merged])
    assert found == Lineage(
        {
            root: frozenset(),
            side: frozenset({root}),
            main: frozenset({root}),
            merged: frozenset({root, side, main}),
        }
    )
    assert histories(tmp_path).lineage(url(), [side, main]) == Lineage({side: frozenset(), main: frozenset()})


def test_unrelated_histories(code: Repository, url: Callable[[], str], tmp_path: Path) -> None:
    one, two = code.commit(), code.commit()
    run_git(code.work, "switch", "--quiet", "--orphan", "other")
    other = code.commit()
    expected = Lineage({one: frozenset(), two: frozenset({one}), other: frozenset()})
    assert histories(tmp_path).lineage(url(), [one, two, other]) == expected


def test_a_rewritten_history_keeps_what_was_seen(code: Repository, url: Callable[[], str], tmp_path: Path) -> None:
    one, two = code.commit(), code.commit()
    histories(tmp_path).lineage(url(), [two])
    run_git(code.work, "reset", "--quiet", "--hard", one)
    three = code.commit()
    found = histories(tmp_path).lineage(url(), [one, two, three])
    assert found == Lineage({one: frozenset(), two: frozenset({one}), three: frozenset({one})})


def test_a_shallow_repository_tells_what_it_knows(code: Repository, tmp_path: Path) -> None:
    one, two, three = [code.commit() for _ in range(3)]
    run_git(tmp_path, "clone", "--quiet", "--bare", "--depth=2", f"file://{code.bare}", "shallow.git")
    expected = Lineage({two: frozenset(), three: frozenset({two})})
    assert histories(tmp_path).lineage("shallow.git", [one, two, three]) == expected


def test_it_is_fetched_only_for_what_is_missing(code: Repository, tmp_path: Path) -> None:
    one, two = code.commit(files={"a": "1"}), code.commit(files={"a": "2"})
    with GitServer(tmp_path) as server:
        for _ in range(2):
            histories(tmp_path).lineage(server.url("code.git"), [one, two])
        first = len(server.requests)
        three = code.commit()
        found = histories(tmp_path).lineage(server.url("code.git"), [two, three])
        assert found == Lineage({two: frozenset(), three: frozenset({two})})
        assert first <= 3
        assert len(server.requests) <= 2 * first
        assert histories(tmp_path).lineage(server.url("code.git"), [one, three]) == Lineage(
            {one: frozenset(), three: frozenset({one})}
        )
        assert len(server.requests) <= 2 * first


def test_only_commits_are_brought(code: Repository, tmp_path: Path) -> None:
    one = code.commit(files={"a": "1"})
    with GitServer(tmp_path) as server:
        cache = FolderCache(tmp_path / "cache")
        GitHistories(cache.folder, tmp_path).lineage(server.url("code.git"), [one])
        clone = cache.folder(f"git {server.url('code.git')}")
    objects = git(clone, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
    assert objects == [b"commit"]


def test_an_old_protocol_gives_no_commit_by_id(code: Repository, tmp_path: Path) -> None:
    one, two = code.commit(), code.commit()
    with GitServer(tmp_path, newest_protocol=0) as server:
        found = histories(tmp_path).lineage(server.url("code.git"), [one, two, UNKNOWN])
    assert found == Lineage({one: frozenset(), two: frozenset({one})})


def test_a_commit_on_no_branch_is_found_beside_an_unknown_one(code: Repository, tmp_path: Path) -> None:
    one = code.commit()
    run_git(code.work, "switch", "--quiet", "--detach")
    loose = code.commit(push=False)
    run_git(code.work, "push", "--quiet", "origin", f"{loose}:refs/merge-requests/1/head")
    with GitServer(tmp_path) as server:
        found = histories(tmp_path).lineage(server.url("code.git"), [one, loose, UNKNOWN])
    assert found == Lineage({one: frozenset(), loose: frozenset({one})})


def test_no_server_is_one_line(code: Repository, tmp_path: Path) -> None:
    one = code.commit()
    for url in ("http://bob:hunter2@127.0.0.1:1/x.git", str(tmp_path / "nowhere")):
        found = histories(tmp_path).lineage(url, [one])
        assert isinstance(found, Unreachable)
        assert "its history cannot be read: " in found.text
        assert "\n" not in found.text
        assert "hunter2" not in found.text
    with GitServer(tmp_path) as server:
        server.answers.extend([Canned(503)] * 5)
        assert isinstance(histories(tmp_path).lineage(server.url("code.git"), [one]), Unreachable)
        assert len(server.requests) == 1
        server.answers.clear()
        assert histories(tmp_path).lineage(server.url("code.git"), [one]) == Lineage({one: frozenset()})


def test_what_is_there_needs_no_server(code: Repository, tmp_path: Path) -> None:
    one, two = code.commit(), code.commit()
    histories(tmp_path).lineage("code.git", [one, two])
    shutil.rmtree(code.bare)
    assert histories(tmp_path).lineage("code.git", [one, two]) == Lineage({one: frozenset(), two: frozenset({one})})
    assert isinstance(histories(tmp_path).lineage("code.git", [one, UNKNOWN]), Unreachable)


def test_nothing_wanted_needs_nothing(tmp_path: Path) -> None:
    assert histories(tmp_path).lineage("/nowhere", ["main", "1234567"]) == Lineage({})


def test_titles_are_newest_first(code: Repository, url: Callable[[], str], tmp_path: Path) -> None:
    shas = [code.commit(f"change {number}\n\nbody") for number in range(4)]
    found = histories(tmp_path).titles(url(), shas[0], shas[3])
    assert found == tuple(Title(shas[number], f"change {number}") for number in (3, 2, 1))
    assert histories(tmp_path).titles(url(), shas[3], shas[0]) == ()


def test_titles_are_at_most_twenty(code: Repository, tmp_path: Path) -> None:
    shas = [code.commit(push=False) for _ in range(24)]
    code.push()
    many = histories(tmp_path).titles("code.git", shas[0], shas[-1])
    assert isinstance(many, tuple)
    assert [title.sha for title in many] == shas[23:3:-1]


def test_titles_in_any_encoding(code: Repository, tmp_path: Path) -> None:
    one = code.commit()
    body = run_git(code.work, "cat-file", "commit", one).replace("commit 1", "")
    raw = f"{body}\n\n".encode() + b"caf\xe9 /close @all\n"
    two = run_git(code.work, "hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    latin = raw.replace(b"\n\n", b"\nencoding ISO-8859-1\n\n", 1).replace(b"tree ", b"tree ")
    three = run_git(code.work, "hash-object", "-t", "commit", "-w", "--stdin", stdin=latin)
    run_git(code.work, "push", "--quiet", "origin", f"{two}:refs/heads/two", f"{three}:refs/heads/three")
    assert histories(tmp_path).titles("code.git", one, two) == (Title(two, "caf\ufffd /close @all"),)
    assert histories(tmp_path).titles("code.git", one, three) == (Title(three, "café /close @all"),)


def test_titles_of_an_unknown_commit(code: Repository, tmp_path: Path) -> None:
    one = code.commit()
    for old, new, missing in ((UNKNOWN, one, UNKNOWN), (one, "main", "main")):
        found = histories(tmp_path).titles("code.git", old, new)
        assert isinstance(found, Unreachable)
        assert f"no commit {missing}" in found.text
    assert isinstance(histories(tmp_path).titles("/nowhere", one, UNKNOWN), Unreachable)


@pytest.mark.parametrize("damage", ["head", "objects", "config", "garbage"])
def test_a_damaged_clone_is_made_anew(code: Repository, tmp_path: Path, damage: str) -> None:
    one, two = code.commit(), code.commit()
    cache = FolderCache(tmp_path / "cache")
    lineages = GitHistories(cache.folder, tmp_path)
    expected = lineages.lineage("code.git", [one, two])
    clone = cache.folder("git code.git")
    if damage == "head":
        (clone / "HEAD").write_bytes(b"")
    elif damage == "objects":
        shutil.rmtree(clone / "objects")
    elif damage == "config":
        (clone / "config").write_text("[core\n", encoding="utf-8")
    else:
        for pack in (clone / "objects").rglob("*.pack"):
            pack.chmod(0o600)
            pack.write_bytes(pack.read_bytes()[:20] + b"\0" * 400)
        for loose in (clone / "objects").glob("??/*"):
            loose.chmod(0o600)
            loose.write_bytes(b"")
    assert lineages.lineage("code.git", [one, two]) == expected


def test_a_cache_that_cannot_be_written(code: Repository, tmp_path: Path) -> None:
    one, two = code.commit(), code.commit()
    (tmp_path / "file").write_bytes(b"")
    lineages = GitHistories(FolderCache(tmp_path / "file" / "cache").folder, tmp_path)
    assert lineages.lineage("code.git", [one, two]) == Lineage({one: frozenset(), two: frozenset({one})})


def _ask(folder: Path, url: str, shas: list[str]) -> Lineage | Unreachable:
    return histories(folder).lineage(url, shas)


def test_many_processes_and_threads_share_one_clone(code: Repository, tmp_path: Path) -> None:
    shas = [code.commit() for _ in range(6)]
    expected = _ask(tmp_path / "alone", str(code.bare), shas)
    assert isinstance(expected, Lineage)
    calls = [(tmp_path, str(code.bare), shas)] * 4
    with multiprocessing.get_context("spawn").Pool(2) as pool, ThreadPoolExecutor(4) as threads:
        pending = pool.starmap_async(_ask, calls)
        near = [*threads.map(lambda call: _ask(*call), calls)]
        assert [*pending.get(60), *near] == [expected] * 8


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    """For each commit its parents among those before it."""
    size = draw(st.integers(2, 9))
    return [draw(st.lists(st.integers(0, n - 1), max_size=2, unique=True)) if n else [] for n in range(size)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs(), st.data())
def test_any_history(tmp_path: Path, graph: list[list[int]], data: st.DataObject) -> None:
    bare = tmp_path / "any.git"
    if not bare.exists():
        run_git(tmp_path, "init", "--quiet", "--bare", "any.git")
    tree = run_git(bare, "hash-object", "-t", "tree", "-w", "--stdin", stdin=b"")
    shas: list[str] = []
    for number, parents in enumerate(graph):
        head = [f"tree {tree}", *(f"parent {shas[parent]}" for parent in parents)]
        date = 1_767_225_600 + data.draw(st.integers(-5, 5))  # clocks that go backwards
        body = "\n".join(
            [*head, f"author a <a> {date} +0000", f"committer a <a> {date} +0000", "", f"{number} {tmp_path}"]
        )
        shas.append(run_git(bare, "hash-object", "-t", "commit", "-w", "--stdin", stdin=body.encode()))
        run_git(bare, "update-ref", f"refs/heads/{shas[-1]}", shas[-1])
    above: list[set[int]] = []
    for parents in graph:
        above.append(set(parents).union(*(above[parent] for parent in parents)))
    wanted = data.draw(st.sets(st.integers(0, len(graph) - 1), min_size=1))
    expected = {shas[n]: frozenset(shas[m] for m in above[n] & wanted) for n in wanted}
    assert histories(tmp_path).lineage("any.git", [shas[n] for n in wanted]) == Lineage(expected)
