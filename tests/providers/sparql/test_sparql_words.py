"""BJ-12: whatever a text holds, it is what a store gives back, and it ends nothing early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds.triple_stores import Store

from bot.config.sparql_rules import is_uri
from bot.providers.sparql_api import Place, one_line
from bot.providers.sparql_terms import string, time, uri, uris

NASTY = [
    '"',
    "\\",
    "\n",
    "\r",
    "\t",
    "\b",
    "\f",
    "'",
    "\\u0041",
    "\\n",
    '"""',
    "é",
    "☃",
    "😀",
    "\u200d",
    "{",
    "}",
    "<",
    "#",
    "?x",
    "$y",
    "%41",
    "&",
    "+",
    ";",
]
TEXTS = st.lists(
    st.sampled_from(NASTY)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=8),
    max_size=8,
).map("".join)


def given_back(store: Store, texts: list[str]) -> list[str]:
    """Texts as they come back from a store, each from a triple of its own in one update."""
    api, place = store.pipelines()._api, Place(*map(str, store.reach.values()))
    fresh = store.fresh()
    triples = " ".join(f"<urn:{number}> <urn:says> {string(text)} ." for number, text in enumerate(texts))
    assert api.update(place, f"INSERT DATA {{ GRAPH {uri(fresh.graph)} {{ {triples} }} }}") is None
    rows = api.select(place, f"SELECT ?s ?o WHERE {{ GRAPH {uri(fresh.graph)} {{ ?s <urn:says> ?o }} }}")
    found = {row["s"]: row["o"] for row in rows}
    return [found[f"urn:{number}"] for number in range(len(texts))]


@given(st.lists(TEXTS, min_size=1, max_size=30))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bj_12_strings_come_back_as_they_were(store: Store, texts: list[str]) -> None:
    assert given_back(store, texts) == texts


def test_bj_12_each_awkward_thing_by_itself(store: Store) -> None:
    texts = [*NASTY, "".join(NASTY), 'a "quoted" \\ and\na second line \U0001f680', ""]
    assert given_back(store, texts) == texts


def test_bj_12_what_no_document_can_hold_becomes_a_mark(store: Store) -> None:
    assert given_back(store, ["a\0b", "a\ud800b"]) == ["a\ufffdb", "a\ufffdb"]


@given(st.text())
def test_bj_12_a_string_ends_where_it_should(text: str) -> None:
    written = string(text)
    inner, end = written[1:-1], 0
    assert written[0] == written[-1] == '"'
    assert not set(inner) & {"\n", "\r", "\t", "\0"}
    while end < len(inner):  # every quote has a backslash of its own before it
        assert inner[end] != '"'
        end += 2 if inner[end] == "\\" else 1
    assert end == len(inner)


@pytest.mark.parametrize("bad", [*'<>"{}|^`\\', " ", "\n", "\t", "\0", "\x7f", "\x85", "\ud800"])
def test_bj_12_uris_that_would_end_early_are_refused(bad: str) -> None:
    assert not is_uri(f"http://example.com/{bad}x")
    with pytest.raises(ValueError, match="is no URI"):
        uri(f"http://example.com/{bad}x")


@pytest.mark.parametrize("bad", ["", "a", "/a", "a/b:c", "1a:b", "http:"])
def test_what_is_no_absolute_uri(bad: str) -> None:
    assert not is_uri(bad)


def test_uris_and_times_as_they_are_written() -> None:
    assert uris(["urn:a", "http://é.example/#x?y=1&z=(2)"]) == "<urn:a>, <http://é.example/#x?y=1&z=(2)>"
    at = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    assert time(at) == '"2026-03-29T00:30:00.123Z"^^xsd:dateTime'
    assert time(datetime(2026, 1, 1, tzinfo=UTC)) == '"2026-01-01T00:00:00.000Z"^^xsd:dateTime'


@given(st.text(), st.integers(4, 40))
def test_bj_6_one_line_is_one_line_and_short(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert len(line) <= longest
    assert line.isprintable() or not line
    assert line == " ".join(line.split())
