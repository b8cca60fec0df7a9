"""Byte-exact edits: what changes, what is refused, and that two other parsers agree."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bot.render.yaml_edit import Edited, ScalarEdit, Unsafe, edit, ref_edits
from bot.render.yaml_scalars import DEEPEST, locate, reads_back, written

OLD, NEW = "1" * 39 + "a", "2" * 39 + "b"
REF = ("resourceTemplates", 0, "targets", 0, "ref")
SHA = st.text("0123456789abcdef", min_size=40, max_size=40) | st.sampled_from(
    ["1" * 40, "0" * 40, "1" * 37 + "e99", "12e3" + "4" * 36, "e" * 40, "0" * 39 + "7", NEW]
)


@dataclass(frozen=True)
class Styled:
    """A hand-styled file: pieces of text with a `ref` between each two, and how each `ref` is quoted."""

    pieces: tuple[str, ...]
    quotes: tuple[str, ...]
    pointers: tuple[tuple[str | int, ...], ...]
    encode: Callable[[str], bytes]

    def text(self, old: list[str], new: list[str]) -> bytes:
        """Write `new` in place of `old`, which stood there as a person wrote it: plain even where it is a number."""
        slots = [
            f"{quote}{before}{quote}" if before == after else written(after, quote)
            for before, after, quote in zip(old, new, self.quotes, strict=True)
        ]
        return self.encode("".join(a + b for a, b in zip(self.pieces, [*slots, ""], strict=True)))


BLOCK = """{pad}- name: {name}
{pad}  namespace: {{$ref: /services/x/namespaces/stage.yml}}  # where é goes
{pad}  ref:{gap}§{comment}
{pad}  parameters: {{<<: *shared, B: "yes"}}
"""
FLOW = "{pad}- {{name: {name}, ref:{gap}§, namespace: {{$ref: /n.yml}}}}{comment}\n"
INDENTED_FLOW = "{pad}- {{\n{pad}    ref:{gap}§ ,\n{pad}    name: '{name}'\n{pad}  }}\n"
KEPT_ANCHOR = "{pad}- name: {name}\n{pad}  ref: &kept{name}{gap}§{comment}\n{pad}  disable: no\n"


@st.composite
def styled(draw: st.DrawFn) -> Styled:
    pad = draw(st.sampled_from(["", "  ", "      "]))
    text, quotes, pointers = (
        draw(st.sampled_from(["", "# déjà vu — \U0001f600\n", "%YAML 1.2\n---\n", "---\n\n"])),
        [],
        [],
    )
    text += "$schema: /saas-file-1.json\n'name': \"x\"\nparameters: &shared {A: &one 1, C: *one}\nresourceTemplates:\n"
    for number in range(draw(st.integers(1, 2))):
        text += f"- &t{number}\n  name: x{number}\n\n  # the targets\n  targets:\n"
        for index in range(draw(st.integers(1, 4))):
            shape = draw(st.sampled_from([BLOCK, FLOW, INDENTED_FLOW, KEPT_ANCHOR]))
            text += shape.format(
                pad="  " + pad,
                name=f"n{number}{index}",
                gap=draw(st.sampled_from([" ", "   ", " "])),
                comment=draw(st.sampled_from(["", "  # ref: main", " # 'quoted'"])),
            )
            quotes.append(draw(st.sampled_from(["", "'", '"'])))
            pointers.append(("resourceTemplates", number, "targets", index, "ref"))
    text += draw(st.sampled_from(["tail: |\n  ref: §main\n", "# bye", "last: {a: [1,\n  2]}"])).replace("§", "")
    newline, bom = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    encode = lambda styled_text: bom + styled_text.replace("\n", newline).encode()  # noqa: E731
    return Styled(tuple(text.split("§")), tuple(quotes), tuple(pointers), encode)


def ruamel(source: bytes) -> Any:
    return YAML(typ="safe", pure=True).load(io.BytesIO(source))


@settings(max_examples=int(os.environ.get("SAASBOT_EXAMPLES", "80")), deadline=None)
@given(styled(), st.data())
def test_every_edit_touches_exactly_its_scalar(file: Styled, data: st.DataObject) -> None:
    old = [data.draw(SHA | st.sampled_from(["main", "v1.2", "release/x", "0123456"])) for _ in file.pointers]
    new = [data.draw(SHA | st.just(ref)) for ref in old]
    edits = [ScalarEdit(*three) for three in zip(file.pointers, old, new, strict=True)]
    moved = [wish for wish in edits if wish.old != wish.new]
    source = file.text(old, old)

    result = edit(source, edits)

    assert result == Edited(file.text(old, new), ())
    assert ref_edits(source, result.content) == tuple(moved)
    expected = ruamel(source)
    # PyYAML reads YAML 1.1: it must see a string too.
    seen = yaml.load(result.content, Loader=yaml.CSafeLoader)["resourceTemplates"]
    for wish in moved:
        _, template, _, target, _ = wish.pointer
        expected["resourceTemplates"][template]["targets"][target]["ref"] = wish.new
        assert seen[template]["targets"][target]["ref"] == wish.new
    assert repr(ruamel(result.content)) == repr(expected)


@settings(max_examples=150, deadline=None)
@given(st.text(min_size=1, max_size=40), st.sampled_from(["", "'", '"']), st.booleans())
def test_any_text_reads_back_or_is_refused(new: str, quote: str, flow: bool) -> None:
    source = (f"a: [{quote}x{quote}, 1]\n" if flow else f"a:\n- {quote}x{quote}\n").encode()
    result = edit(source, [ScalarEdit(("a", 0), "x", new)])
    if result.unsafe:
        assert result.content == source
    else:
        assert ruamel(result.content)["a"][0] == new


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text(" \n-?:&*!|>'\"[]{}#,ab<\t", max_size=60).map(str.encode))
def test_nothing_breaks_on_any_bytes(source: bytes) -> None:
    result = edit(source, [ScalarEdit(("a",), "b", "c"), ScalarEdit((0,), "b", "c"), ScalarEdit((), "b", "c")])
    assert result.unsafe or result.content != source
    assert ref_edits(source, source + b" ") is None


REFUSED = {
    "a tag": ("a: !!str b\n", "the value has a tag"),
    "a used anchor": ("a: &x b\nc: *x\n", "the value has the anchor `&x`, which is used elsewhere"),
    "an anchor on a line of its own": ("a: &x\n  b\n", "the value stands apart from its anchor"),
    "an alias": ("x: &x b\na: *x\n", "its value comes from an alias"),
    "a literal block": ("a: |-\n  b\n", "the value is a block scalar"),
    "a folded block": ("a: >-\n  b\n", "the value is a block scalar"),
    "several lines": ("a: 'b\n  c'\n", "the value spans several lines"),
    "nothing": ("a:\nc: d\n", "the value is empty"),
    "a list": ("a: [b]\n", "the value is not a scalar"),
    "another value": ("a: d\n", "the value in the file is another one by now"),
    "no such key": ("b: a\n", "there is no such value in the file"),
    "duplicate keys": ("a: b\na: b\n", "the file does not parse as one mapping without duplicate keys"),
    "two documents": ("a: b\n---\nc: d\n", "the file does not parse as one mapping without duplicate keys"),
    "a list of all": ("- a: b\n", "the file does not parse as one mapping without duplicate keys"),
    "broken": ("a: b\n c: [\n", "the file does not parse as one mapping without duplicate keys"),
    "NUL": ("a: b\0\n", "the file has NUL bytes"),
    "a control character": ("a: b\nc: \x7f\n%", "the file does not parse as one mapping without duplicate keys"),
    "deep nesting": ("- " * (DEEPEST // 2) + "a\n", "the file does not parse as one mapping without duplicate keys"),
    "very deep nesting": ("? - " * 50_000 + "a\n", "the file does not parse as one mapping without duplicate keys"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_by_name(case: str) -> None:
    text, reason = REFUSED[case]
    source = text.encode()
    assert edit(source, [ScalarEdit(("a",), "b", "z")]) == Edited(source, (Unsafe(("a",), reason),))


def test_refuses_a_value_that_no_parser_places() -> None:
    source = b"a: b\x7f\n"
    assert edit(source, [ScalarEdit(("a",), "b\x7f", "z")]).unsafe[0].reason.startswith("its position in the file")


def test_refuses_what_arrives_by_merge_and_what_is_merged_elsewhere() -> None:
    source = b"a: &m {r: v, s: x}\nb: {<<: *m}\nc: {<<: [*m, {t: y}], r: own}\nd: {<<: 1, e: z}\n"
    edits = [
        ScalarEdit(("a", "r"), "v", "w"),
        ScalarEdit(("b", "r"), "v", "w"),
        ScalarEdit(("c", "r"), "own", "w"),
        ScalarEdit(("d", "e"), "z", "w"),
    ]
    result = edit(source, edits)
    assert result.content == source.replace(b"own", b"w").replace(b"e: z", b"e: w")
    assert [(unsafe.pointer, unsafe.reason[:30]) for unsafe in result.unsafe] == [
        (("a", "r"), "the result would not read back"),
        (("b", "r"), "its value arrives by a merge k"),
    ]


def test_an_anchored_mapping_may_be_edited_where_every_merge_of_it_has_its_own_value() -> None:
    source = b"a: &m {r: v}\nb: {<<: *m, r: own}\n"
    assert edit(source, [ScalarEdit(("a", "r"), "v", "w")]) == Edited(source.replace(b"r: v", b"r: w"), ())


def test_an_alias_on_the_way_is_refused() -> None:
    source = b"m: &m [{r: v}]\na: *m\n"
    assert edit(source, [ScalarEdit(("a", 0, "r"), "v", "w")]).unsafe == (
        Unsafe(("a", 0, "r"), "its value comes from an alias"),
    )


def test_the_same_edit_twice_is_one_and_two_different_ones_are_not() -> None:
    source = b"a: b\n"
    assert edit(source, [ScalarEdit(("a",), "b", "c")] * 2) == Edited(b"a: c\n", ())
    result = edit(source, [ScalarEdit(("a",), "b", "c"), ScalarEdit(("a",), "b", "d")])
    assert result == Edited(b"a: c\n", (Unsafe(("a",), "another edit sets the same value"),))
    assert edit(source, []) == Edited(source, ())


def test_utf_16_is_refused() -> None:
    source = "a: b\n".encode("utf-16")
    assert edit(source, [ScalarEdit(("a",), "b", "c")]).unsafe == (Unsafe(("a",), "the file is not UTF-8"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%FOO bar\n---\na: b\n", "%FOO bar\n---\na: c\n"),
        ("x: [::a]\na: b\n", "x: [::a]\na: c\n"),
        ("a: b\nx: é\u2028é\nz: 1", "a: c\nx: é\u2028é\nz: 1"),
    ],
)
def test_ruamel_takes_over_where_pyyaml_does_not_serve(text: str, expected: str) -> None:
    assert edit(text.encode(), [ScalarEdit(("a",), "b", "c")]) == Edited(expected.encode(), ())


def test_marks_that_do_not_enclose_the_scalar_are_not_trusted() -> None:
    # U+2028 breaks a line in YAML 1.1 and does not in YAML 1.2.
    source = "a: é\u2028 b\n".encode()
    assert edit(source, [ScalarEdit(("a",), "é\u2028 b", "c")]).content == source


@pytest.mark.parametrize(
    "new", ["0123456", "12e3456", "1" * 37 + "e99", "yes", "1:30", "0x12", "2020-01-01", "---", "~"]
)
def test_text_that_is_something_else_when_plain_gets_quotes(new: str) -> None:
    assert not reads_back(new)
    assert edit(b"a: b # c\n", [ScalarEdit(("a",), "b", new)]) == Edited(f"a: '{new}' # c\n".encode(), ())


def test_a_number_as_written_is_the_old_value() -> None:
    assert edit(b"a: 0123456\n", [ScalarEdit(("a",), "0123456", "main")]) == Edited(b"a: main\n", ())


def test_complex_keys_and_nested_skips_keep_the_count() -> None:
    text = "? [x, {y: z}]\n: *q\n? &q k\n: 1\na: [[1, [2]], b]\n"
    found = locate(text, [("a", 1), ("a", 9), ("k",)])
    assert {pointer: place.value for pointer, place in found.items() if hasattr(place, "value")} == {
        ("a", 1): "b",
        ("k",): "1",
    }


def target_file(ref: str, more: str = "") -> bytes:
    return f"resourceTemplates:\n- targets:\n  - ref: {ref}{more}\n    name: a\n- 1\n".encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (target_file(OLD), target_file(NEW, " # mine")),
        (target_file(OLD), target_file("main")),
        (target_file(OLD), target_file(NEW).replace(b"name: a", b"name: b")),
        (target_file(OLD), target_file(NEW) + b"\n"),
        (target_file(OLD), target_file(f"'{NEW}'")),
        (target_file(OLD), b"- 1\n"),
        (b"\xff", target_file(NEW)),
        (b"x: &r main\n" + target_file("*r"), b"x: &r main\n" + target_file(NEW)),
        (b"resourceTemplates: []\n", target_file(NEW)),
        (target_file(OLD), target_file(OLD) + b"# mine\n"),
    ],
)
def test_what_the_bot_could_not_have_made_is_a_persons(old: bytes, new: bytes) -> None:
    assert ref_edits(old, new) is None


def test_what_the_bot_could_have_made_is_the_bots() -> None:
    assert ref_edits(target_file("main"), target_file(NEW)) == (ScalarEdit(REF, "main", NEW),)
    assert ref_edits(target_file("'main'"), target_file(f"'{NEW}'")) == (ScalarEdit(REF, "main", NEW),)
    assert ref_edits(b"x", b"x") == ()
