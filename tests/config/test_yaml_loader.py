"""The loader's precautions, positions and scalars as written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.yaml import Document, load, position, source_text

SOURCE = b"""\
base: &base {ref: 0123456, name: shared}
other: &other {kind: o}
list:
- <<: [*base, *other]
  name: own
- <<: *base
- - deep
  - "quoted: text"
"1": one
"""


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", None),
        (b"# nothing\n", None),
        (b"\xef\xbb\xbfa: 1\r\nb: yes\r\n", {"a": 1, "b": "yes"}),
        (b"a: 2026-01-01\nb: 0o17\nc: ~\nd: 1e3", {"a": "2026-01-01", "b": 15, "c": None, "d": 1000.0}),
        (b"a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}\n", {"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}),
        (b"b: {l: 3, <<: [{l: 1, m: 4}, {m: 5, n: 6}]}\n", {"b": {"l": 3, "m": 4, "n": 6}}),
        (b"- &x {<<: {a: 1}}\n- <<: *x\n", [{"a": 1}, {"a": 1}]),
        (b"a: '<<'\n", {"a": "<<"}),
        (b"a:\n" + b" " * 300 + b"- b\n", {"a": ["b"]}),
        (b"%YAML 1.2\n---\na: 1\n...\n# end\n", {"a": 1}),
    ],
)
def test_a_document_is_read(content: bytes, value: object) -> None:
    loaded = load(content)
    assert isinstance(loaded, Document)
    assert loaded.value == value


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: [1\n", ("syntax", 1, 4)),
        (b"a: \xff\n", ("encoding", 1, 4)),
        ("á: 'é\0'\n".encode(), ("nul-byte", 1, 6)),
        (b"a: 1\n--- \nb: 2\n", ("second-document", 2, 1)),
        (b"---\na: 1\n---\n", ("second-document", 3, 1)),
        (b"a: 1\n...\nb: 2\n", ("second-document", 3, 1)),
        (b"a: 1\nb: {c: 1,\n c: 2}\n", ("duplicate-key", 3, 2)),
        (b"? {a: 1}\n: 1\n? {a: 1}\n: 2\n", ("duplicate-key", 1, 1)),
        (b"a: 1\na: 2\nb: 'x\n", ("syntax", 4, 1)),
        (b"a: {<<: [{b: 1}, 2]}\n", ("bad-merge", 1, 9)),
        (b"- <<: text\n", ("bad-merge", 1, 7)),
        (b"[" * 100_000, ("syntax", 1, 256)),
        (b"{a: " * 100_000, ("syntax", 1, 1021)),
        (b"- " * 100_000, ("too-deep", 1, 1)),
        (b"? " * 100_000, ("too-deep", 1, 1)),
        (b"".join(b" " * depth + b"a:\n" for depth in range(3_000)), ("too-deep", 1, 1)),
        (b" " * 300 + b"- a\nb: [", ("too-deep", 1, 1)),
        (b"<<: " + b"[" * 150 + b"]" * 150, ("too-deep", 1, 104)),
    ],
)
def test_a_source_that_cannot_be_read_says_where(content: bytes, expected: tuple[str, int, int]) -> None:
    faults = load(content)
    assert isinstance(faults, tuple)
    assert (faults[0].rule, faults[0].line, faults[0].column) == expected


@pytest.mark.parametrize(
    ("pointer", "place", "key_place", "text"),
    [
        ((), (1, 1), (1, 1), ""),
        (("list", 0, "name"), (5, 9), (5, 3), "own"),
        (("list", 0, "ref"), (1, 19), (1, 14), "0123456"),
        (("list", 0, "kind"), (2, 22), (2, 16), "o"),
        (("list", 1, "name"), (1, 34), (1, 28), "shared"),
        (("list", 2, 1), (8, 5), (8, 5), "quoted: text"),
        (("list", 9, "name"), (4, 1), (4, 1), ""),
        (("list", "name"), (4, 1), (4, 1), ""),
        (("nothing", "here"), (1, 1), (1, 1), ""),
        (("1",), (9, 6), (9, 1), "one"),
    ],
)
def test_positions_and_scalars(
    pointer: tuple[str | int, ...], place: tuple[int, int], key_place: tuple[int, int], text: str
) -> None:
    assert position(SOURCE, pointer) == place
    assert position(SOURCE, pointer, key=True) == key_place
    assert source_text(SOURCE, pointer) == text


def test_positions_do_not_count_the_byte_order_mark() -> None:
    assert position(b"\xef\xbb\xbfa: 1\r\nb:   x\r\n", ("b",)) == (2, 6)


@pytest.mark.parametrize("content", [b"", b"\xff", b"a: [", b"a: 1\n  b: 2\n"])
def test_positions_of_what_cannot_be_read_are_the_beginning(content: bytes) -> None:
    assert position(content, ("x", 1)) == (1, 1)
    assert source_text(content, ("x",)) == ""


def test_an_alias_of_what_it_stands_in_makes_no_circle() -> None:
    content = b"a: &a\n  <<: [*a, *a]\n  b: &b [*b]\n"
    assert position(content, ("a", "b", 0, 0, "c")) == (3, 10)
    assert position(content, ("a", "nothing")) == (1, 4)


def test_merges_are_followed_only_so_far() -> None:
    chain = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 80))
    assert position(chain.encode(), ("a60", "k")) == (1, 13)
    assert position(chain.encode(), ("a79", "k")) == (80, 6)


def test_duplicate_keys_are_named_once_however_often_an_alias_repeats_them() -> None:
    faults = load(b"a: &a {b: 1, b: 2}\nc: [*a, *a]\nd: {? [x] : 1}\n")
    assert isinstance(faults, tuple)
    assert [(fault.line, fault.column) for fault in faults] == [(1, 14)]


def test_an_alias_without_its_anchor_is_no_error_of_ours() -> None:
    assert position(b"a: *b\n", ("a",)) in {(1, 1), (1, 4)}


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_document_or_faults(content: bytes) -> None:
    loaded = load(content)
    assert isinstance(loaded, Document) or all(fault.line >= 1 and fault.column >= 1 for fault in loaded)


@given(st.text(alphabet="ab:-&*<?|>{}[],'\"#!%~ \n\t\r0", max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_yaml_like_text_gives_a_document_or_faults(text: str) -> None:
    loaded = load(text.encode())
    if isinstance(loaded, tuple):
        assert loaded
    else:
        position(text.encode(), ("a", 0, "b"))
        source_text(text.encode(), ("a", 0, "b"))
