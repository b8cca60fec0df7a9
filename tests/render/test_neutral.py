"""Other people's text, thrown at the bot's comments."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.render.neutral import BREAK, REDACTED, code, inline, plain, redact, sentence

HOSTILE = [
    "/approve",
    "\r/merge",
    "\u2028/close",
    "\x0b/label ~x",
    "\x85/todo",
    "\n\n/assign @me",
    "@all",
    "@root/group",
    "Closes #1",
    "fixes: group/project!2",
    "Resolves https://forge.example/g/p/-/issues/3",
    "closed GH-12",
    "implements PROJ-7",
    "<script>alert(1)</script>",
    "<!-- saasbot:report x unsigned -->",
    "-->",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "[x]: http://evil.example",
    "<http://evil.example>",
    "www.evil.example",
    "me@evil.example",
    "```\n/approve\n```",
    "`",
    "``",
    "~~~",
    "# heading",
    "> quote",
    "- item",
    "1. item",
    "2) item",
    "+ item",
    "===",
    "---",
    "***",
    "| a | b |",
    "|---|---|",
    "&amp;#64;all",
    "&12",
    "$x$",
    "[[wiki]]",
    "[issue:12]",
    "%5 ~bug ^alert *iteration:1",
    "\\",
    "\u200b/approve",
    "\u202e/evorppa",
    "::include{file=x}",
]
TEXT = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=12), max_size=5).map("".join)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
REFERENCES = [
    r"@\w",
    r"[#!&%~$^]\w",
    r"\bgh-\d",
    r"\b[A-Z][A-Z0-9_]+-\d",
    r"://",
    r"(?i)\bwww\.",
    r"\[\[|\[\w",
    r"(?i)(clos|fix|resolv|implement)\w*:?\s+\S*[#!]\d",
]


def shown(markdown: str) -> str:
    """Return the text that a reader sees, after a check that it is one paragraph of text only."""
    tokens = PARSER.parse(markdown)
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    children = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in children} <= {"text", "text_special"}
    return "".join(child.content for child in children)


def one_line(text: str) -> bool:
    return len(text.splitlines()) <= 1 and not re.search(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", text)


@settings(max_examples=400, deadline=None)
@given(TEXT)
def test_inline_is_one_harmless_line(text: str) -> None:
    safe = inline(text)
    assert one_line(safe)
    assert not safe.startswith("/")
    assert "<" not in safe
    seen = shown(safe)
    for pattern in REFERENCES:
        assert not re.search(pattern, seen), pattern
    # Nothing but white space and the breaks was changed.
    printable = "".join(char if char.isprintable() else " " for char in text.replace(BREAK, ""))
    expected = " ".join(redact(printable).split())
    assert seen.replace(BREAK, "") in {expected, expected[:199].rstrip() + "…"}


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_inline_is_harmless_inside_a_table_and_a_list(text: str) -> None:
    table = PARSER.render(f"| a | b |\n|---|---|\n| {inline(text)} | end |\n")
    assert table.count("<td>") == 2
    assert "<td>end</td>" in table
    item = PARSER.render(f"- {inline(text)}\n- end\n")
    assert item.count("<li>") == 2
    assert not re.search(r"<(?!/?(ul|li)>)", item)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_plain_is_one_line_without_references(text: str) -> None:
    safe = plain(text)
    assert one_line(safe)
    assert not safe.startswith("/")
    for pattern in REFERENCES:
        assert not re.search(pattern, safe), pattern


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_code_is_one_span_even_in_a_table(text: str) -> None:
    rendered = PARSER.render(f"| a |\n|---|\n| {code(text)} |\n")
    assert rendered.count("<code>") == 1
    assert re.search(r"<td><code>[^<]*</code></td>", rendered)
    assert not re.search(r"@\w|[#!]\d", code(text))


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_a_sentence_is_text_and_code_only(text: str) -> None:
    safe = sentence(text)
    assert one_line(safe)
    assert not safe.startswith("/")
    kinds = {child.type for token in PARSER.parse(safe) for child in token.children or ()}
    assert kinds <= {"text", "text_special", "code_inline"}
    assert not re.search(r"@\w", safe)


def test_a_sentence_keeps_its_own_code_spans() -> None:
    assert sentence("say `unhold` or `hold it`, *please*") == "say `unhold` or `hold it`, \\*\u200bplease\\*"
    assert sentence("`a` b") == "`a` b"
    assert sentence("one ` only") == "one \\` only"


@settings(max_examples=200, deadline=None)
@given(TEXT, st.sampled_from([plain, inline, code, sentence]))
def test_no_closing_word_stands_before_a_reference(text: str, say: Callable[[str], str]) -> None:
    reference = r"(?:[\w./-]*[#!&]\d|\b(?:GL|GH|gh|[A-Z][A-Z0-9_]+)-\d|https?://)"
    closing = rf"\b(?i:clos|fix|resolv|implement)\w*(?::\s*|\s+)(?:(?i:issues?):?\s+)?{reference}"
    for given_text in (text, f"Closes {text}", f"fixes: {text}", f"Implements issue {text}"):
        assert not re.search(closing, say(given_text))


SECRETS = [
    "glpat-abcdefghijklmnopqrst",
    "gldt-abcdefghijklmnopqrst",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "gho_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_abcdefghijklmnopqrstuvwxyz",
    "xoxb-123456789012-abcdefghij",
    "AKIAABCDEFGHIJKLMNOP",
    "sk-abcdefghijklmnopqrstuvwx",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "x {} y", "TOKEN_{}", "https://h/?t={}&u=1", "({})", "\u200b{}\n"])
def test_what_is_shaped_like_a_secret_is_never_said(secret: str, frame: str) -> None:
    text = frame.format(secret)
    for say in (redact, inline, plain, code, sentence):
        assert secret[-8:] not in say(text).replace("\\", "").replace(BREAK, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abcdef.123456", f"Authorization: Bearer {REDACTED}"),
        ("basic dXNlcjpwYXNz", f"basic {REDACTED}"),
        ("git clone https://u:p@host/x", f"git clone https://{REDACTED}@host/x"),
        ("https://token@host/x", f"https://{REDACTED}@host/x"),
        ("https://host/x", "https://host/x"),
        ("DB_PASSWORD=hunter2hunter2", f"DB_PASSWORD={REDACTED}"),
        ('"api_key": "abcd1234efgh"', f'"api_key": {REDACTED}'),
        ("token: handle expiry", "token: handle expiry"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx", f"{REDACTED}\nx"),
        ("-----BEGIN PRIVATE KEY-----\nabc", REDACTED),
        ("global-configuration-of-everything", "global-configuration-of-everything"),
    ],
)
def test_redacts_by_shape(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_redacts_what_it_is_given() -> None:
    assert redact("a p/w b p%2Fw c pw", ["p/w", "", " "]) == f"a {REDACTED} b {REDACTED} c pw"
    assert redact("longer secret", ["longer", "longer secret"]) == REDACTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("fix: a_b (c)", "fix: a\\_b (c)"),
        ("a <b> & c", "a &lt;b> & c".replace("& c", "&amp; c")),
        ("x" * 300, "x" * 199 + "…"),
        ("1. y", "1\\. y"),
        ("-> z", "\\-> z"),
    ],
)
def test_ordinary_text_stays_readable(text: str, expected: str) -> None:
    assert inline(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Closes GL-1", f"`Closes{BREAK} GL-1`"),
        ("fix: https://h/g/p/-/issues/1", f"`fix{BREAK}: https://h/g/p/-/issues/1`"),
        ("fix the cart", "`fix the cart`"),
        ("fix utf-8", "`fix utf-8`"),
        ("retry svc/a/b", "`retry svc/a/b`"),
    ],
)
def test_a_closing_word_in_code_is_broken_only_before_a_reference(text: str, expected: str) -> None:
    assert code(text) == expected


def test_an_empty_code_span_is_still_one() -> None:
    assert code("\n") == "` `"
    assert plain("/approve") == f"{BREAK}/approve"


@pytest.mark.parametrize(
    "piece", ["token=", "://a", "eyJ", "eyJ-", "-----BEGIN A-----", "passwd:", " ", "xoxb-", "[[", "www."]
)
def test_long_text_takes_no_long_time(piece: str) -> None:
    start = perf_counter()
    inline(piece * 40_000)
    assert perf_counter() - start < 5
