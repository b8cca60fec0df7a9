"""Batches: no two of them share a file, none is too large, and a content that failed is taken apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_values import APP, desired, prod, sha, stage, target
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.batches import PREFIX, Batch, Cut, batch_of, branch, content, cut, file_keys, slug
from bot.model.state import Edit
from bot.settings import BatchBy

B = sha("b")


def edits_in(*files: str, each: int = 1) -> tuple[Edit, ...]:
    return tuple(Edit(f"{file}/{n}", file, sha("a"), B) for file in files for n in range(each))


FILES = st.sampled_from([f"f{n}" for n in range(8)])
EDITS = st.lists(st.tuples(FILES, st.integers(0, 2)), max_size=12, unique=True).map(
    lambda pairs: tuple(Edit(f"{file}/{n}", file, sha("a"), B) for file, n in pairs)
)
BEFORE = st.lists(FILES, unique=True, max_size=6).flatmap(
    lambda files: st.lists(st.integers(1, 4), min_size=len(files), max_size=len(files)).map(
        lambda parts: {p: frozenset(f for f, q in zip(files, parts, strict=True) if q == p) for p in parts}
    )
)
FAILED = st.lists(EDITS.map(content), max_size=4)


def bad(result: Cut, failed: list[frozenset[str]]) -> list[Batch]:
    return [b for b in result.batches if any(len(each) > 1 and each <= b.content for each in failed)]


@settings(max_examples=200)
@given(EDITS, BEFORE, FAILED, st.integers(1, 4), st.frozensets(st.integers(5, 8)))
def test_a_cut_loses_nothing_and_shares_no_file(
    edits: tuple[Edit, ...],
    before: dict[int, frozenset[str]],
    failed: list[frozenset[str]],
    most: int,
    taken: frozenset[int],
) -> None:
    result = cut("k", edits, before, failed, most, taken)
    placed = [each for batch in result.batches for each in batch.edits]
    assert sorted((*placed, *result.waiting), key=str) == sorted(edits, key=str)
    files = [file for batch in result.batches for file in {each.file for each in batch.edits}]
    assert len(files) == len(set(files)), "no two batches share a file"
    assert len({batch.part for batch in result.batches}) == len(result.batches)
    assert not {batch.part for batch in result.batches} & taken
    assert not bad(result, failed), "a failed content is never tried again together"
    assert result == cut("k", reversed(edits), before, reversed(failed), most, taken), "the order does not count"


@settings(max_examples=150)
@given(EDITS, st.integers(1, 4), FAILED)
def test_no_batch_has_more_files_than_it_may(edits: tuple[Edit, ...], most: int, failed: list[frozenset[str]]) -> None:
    for batch in cut("k", edits, {}, failed, most).batches:
        assert len({each.file for each in batch.edits}) <= most


@settings(max_examples=150)
@given(EDITS, EDITS, st.integers(1, 4))
def test_a_part_keeps_its_files_while_they_are_due(first: tuple[Edit, ...], more: tuple[Edit, ...], most: int) -> None:
    before = {b.part: frozenset(e.file for e in b.edits) for b in cut("k", first, {}, (), most).batches}
    both = tuple({each.target: each for each in (*first, *more)}.values())
    after = {b.part: frozenset(e.file for e in b.edits) for b in cut("k", both, before, (), most).batches}
    assert all(files <= after[part] for part, files in before.items())
    assert all(len(files) <= most for files in after.values())


@settings(max_examples=100)
@given(st.integers(1, 8), st.integers(1, 3), st.data())
def test_bisecting_finds_the_one_culprit(files: int, each: int, data: st.DataObject) -> None:
    """CI that fails exactly where the culprit is in: after few rounds only its own merge request fails."""
    edits = edits_in(*(f"f{n}" for n in range(files)), each=each)
    culprit = data.draw(st.sampled_from(edits)).target
    failed: list[frozenset[str]] = []
    before: dict[int, frozenset[str]] = {}
    for _ in range(len(edits) + 1):
        result = cut("k", edits, before, failed, 10)
        red = [b for b in result.batches if any(e.target == culprit for e in b.edits) and b.content not in failed]
        if not red:
            break
        failed += [batch.content for batch in red]
        before = {b.part: frozenset(e.file for e in b.edits) for b in result.batches}
    # The half without the culprit of a file shared with it waits; whatever is alone stands or falls alone.
    alone = [batch for batch in cut("k", edits, before, failed, 10).batches if batch.content in failed]
    assert all(len(batch.edits) == 1 for batch in alone)
    assert not bad(cut("k", edits, before, failed, 10), failed)


def test_halves_of_one_file_follow_one_another() -> None:
    edits = edits_in("f", each=4)
    result = cut("k", edits, {1: frozenset({"f"})}, [content(edits)], 10)
    assert [batch.edits for batch in result.batches] == [edits[:2]]
    assert result.waiting == edits[2:]


def test_new_files_fill_the_first_part_with_room() -> None:
    edits = edits_in("a", "b", "c", "d")
    result = cut("k", edits, {2: frozenset({"a", "gone"})}, (), 2, frozenset({3}))
    assert {b.part: sorted(e.file for e in b.edits) for b in result.batches} == {1: ["b", "c"], 2: ["a", "d"]}


# Branches and keys


@settings(max_examples=200)
@given(st.text(min_size=1, max_size=12) | st.text("a./-@+.lock", min_size=1, max_size=12), st.integers(1, 99))
def test_every_key_is_a_branch_that_git_allows(text: str, part: int) -> None:
    key = slug(text)
    name = branch(key, part)
    assert name.startswith(PREFIX)
    assert batch_of(name) == (key, part)
    assert all(piece and not piece.startswith(".") and not piece.endswith(".lock") for piece in name.split("/"))
    assert not name.endswith((".", "/"))
    assert not any(bad in name for bad in ("..", "@{", " ", "~", "^", ":", "?", "*", "[", "\\"))


@settings(max_examples=200)
@given(st.text(max_size=8), st.text(max_size=8))
def test_different_texts_have_different_keys(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) is (one == other)


def test_a_plain_path_is_its_own_key() -> None:
    assert slug("services/my-service/saas.yml") == "services/my-service/saas.yml"
    assert slug("..").startswith("x-")
    assert batch_of("saasbot/a+b") == ("a+b", 1)


@pytest.mark.parametrize(
    ("by", "key"), [("file", "svc.yml"), ("app", "app-app"), ("channel", "channel-ok"), ("all", "all")]
)
def test_a_file_belongs_to_one_batch_by_what_the_config_says(by: str, key: str) -> None:
    config = desired(prod(), replace(target("svc/web/alone", app=replace(APP, name="zz")), file="alone.yml"), stage())
    keys = file_keys(config, BatchBy(by))
    assert keys["svc.yml"] == key
    assert set(keys) == {"svc.yml", "alone.yml", "stage.yml"}


def test_subscribers_say_the_key_of_a_shared_file() -> None:
    shared = replace(stage("svc/web/stage", app=replace(APP, name="aa")), file="svc.yml")
    two = prod("svc/web/two", subscribe=("aaa",))
    assert file_keys(desired(shared, prod(), two), BatchBy.CHANNEL)["svc.yml"] == "channel-aaa"
    assert file_keys(desired(shared, prod()), BatchBy.APP)["svc.yml"] == "app-app"
    assert file_keys(desired(shared), BatchBy.CHANNEL)["svc.yml"] == "channel-none"
