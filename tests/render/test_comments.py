"""What the bot says on merge requests: complete, the same twice, and harmless whatever it quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.model.observed import Title
from bot.model.plan import Gate, Held
from bot.model.state import Answer, Edit, Hold, Reason, RunStatus, Veto
from bot.render import marker
from bot.render.comments import (
    STICKY,
    ChangeView,
    PromotionChange,
    PromotionView,
    RefusedEdit,
    RunLine,
    Section,
    StartLine,
    answer,
    change_report,
    closing_comment,
    compare_link,
    help_section,
    promotion_report,
    sticky,
    title_and_description,
)
from bot.render.words import utc

A, B = "a" * 40, "b" * 40
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
TARGET = "orders/orders/production"
URL = "https://github.com/my/orders.git"
CHANGE = PromotionChange(TARGET, URL, A, B, (Title(B, "Speed up the cart"),))


def full(text: str) -> PromotionView:
    """Put a text wherever somebody else's text can stand."""
    return PromotionView(
        changes=(PromotionChange(text, text, text, B, (Title(B, text), Title(text, text)), text), CHANGE),
        held=(Held(f"target:{text}", Gate.SOAK, text, NOW), Held(text, Gate.FREEZE, text)),
        runs=(RunLine(text, text, RunStatus.FAILED, text, text), RunLine(TARGET, B, RunStatus.PENDING)),
        starts=(StartLine(text, (Reason(text, text), Reason("promotion", text))),),
        unsafe=(RefusedEdit(text, text),),
        hold=Hold(text, NOW, text),
        vetoes=(Veto(text, text, text, NOW),),
        notices=(text,),
        answers=(Section(text, (text, text)),),
    )


def test_a_promotion_report_says_everything() -> None:
    text = promotion_report(full("x/y/z"))
    for part in (
        "> **Note:** x/y/z",
        "> **On hold** since 2026-01-02T03:04:05Z by `x/y/z`: x/y/z",
        "### Promotes 2 targets",
        f"| `{TARGET}` | `aaaaaaa` | `bbbbbbb` | [compare](https://github.com/my/orders/compare/{A}...{B}) |",
        "- `bbbbbbb` Speed up the cart",
        "- `x/y/z`: `soak` – x/y/z (until 2026-01-02T03:04:05Z)",
        "- `x/y/z`: x/y/z; please change this one by hand",
        "- `x/y/z` at `x/y/z` by `x/y/z`, 2026-01-02T03:04:05Z",
        "**A merge starts**\n\n- `x/y/z`: `x/y/z` x/y/z; `promotion` x/y/z\n",
        f"- `{TARGET}` at `bbbbbbb`: pending\n",
        '- `/saasbot override <gate> reason="..."`',
    ):
        assert part in text
    assert text == promotion_report(full("x/y/z"))
    assert "\n\n\n" not in text


def test_a_small_report_has_no_empty_sections() -> None:
    text = promotion_report(PromotionView((PromotionChange(TARGET, "/srv/git/orders", "main", B),), prefix="/bot"))
    assert "### Promotes 1 target\n" in text
    assert f"| `{TARGET}` | `main` | `bbbbbbb` | `/srv/git/orders` |" in text
    assert "**A merge starts**\n\n- nothing\n" in text
    assert "- `/bot help`" in text
    for absent in ("Held back", "Not edited", "Vetoed", "**Runs**", "Commits", "On hold", "Note"):
        assert absent not in text


def test_after_a_merge_the_runs_stand_alone() -> None:
    text = promotion_report(PromotionView((CHANGE,), runs=(RunLine(TARGET, B, RunStatus.SUCCEEDED, "exit 0"),)))
    assert f"**Runs**\n\n- `{TARGET}` at `bbbbbbb`: succeeded – exit 0\n" in text
    assert "A merge starts" not in text


def test_a_large_report_is_cut_and_says_so() -> None:
    titles = tuple(Title(f"{number:040x}", f"commit {number}") for number in range(30))
    changes = tuple(PromotionChange(f"a/b/{n}", URL, A, f"{n:040x}", titles) for n in range(150))
    held = tuple(Held(f"target:{n}", Gate.SOAK, "x") for n in range(60))
    text = promotion_report(PromotionView((*changes, changes[0]), held=held))
    assert "… and 51 more targets" in text
    assert "- … and 10 more held back" in text
    assert text.count("<details>") == 11
    assert "commit 19" in text
    assert "commit 20" not in text
    assert len(text) < 60_000


def test_a_change_report_is_the_plan() -> None:
    view = ChangeView(
        starts=(StartLine(TARGET, (Reason("config_change", "LOG_LEVEL: info -> debug"),)),),
        held=(Held(f"target:{TARGET}", Gate.WINDOW, "closed", NOW),),
        notices=("the branch conflicts",),
        answers=(Section("`status`", ("all well",)),),
    )
    text = change_report(view)
    assert f"- `{TARGET}`: `config_change` LOG\\_LEVEL: info -> debug\n" in text
    assert f"- `{TARGET}`: `window` – closed (until 2026-01-02T03:04:05Z)\n" in text
    assert "> the branch conflicts\n" in text
    assert "**`status`**\n\n- all well\n" in text
    assert "these targets run**\n\n- nothing" in change_report(ChangeView())


def acted_on(comment: str) -> Iterator[tuple[str, str]]:
    """List what a reader of Markdown would act on: HTML, links, images."""
    tokens = MarkdownIt("commonmark").enable("table").parse(comment)
    for token in (*tokens, *(child for each in tokens for child in each.children or ())):
        if token.type in ("html_block", "html_inline"):
            yield "html", token.content
        elif token.type in ("link_open", "image"):
            yield "href", str(token.attrs.get("href", "none"))


HOSTILE = st.sampled_from(
    [
        "/approve",
        "x\n/merge",
        "x\r/close",
        "x\u2028/label ~a",
        "@all",
        "Closes #1",
        "<b>",
        "`",
        "``` x",
        "|",
        "[a](b)",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "https://h/x?a=(b)",
        "https://h/?q=\u00e9",
        "glpat-abcdefghijklmnopqrst",
        "",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(HOSTILE | st.text(max_size=10), max_size=3).map("".join))
def test_no_comment_does_anything_but_talk(text: str) -> None:
    given_answer = Answer("1", 1, text, text, ok=False, text=text)
    edits = (Edit(text, "f", text, B), Edit("a/b/c", "f", A, B))
    view = full(text)
    said = [
        promotion_report(view),
        change_report(ChangeView(view.starts, view.held, view.notices, view.answers)),
        answer(given_answer),
        closing_comment(text, text),
        title_and_description(edits, text).description,
    ]
    for comment in said:
        assert not any(
            line.lstrip().startswith(("/", "@")) for line in re.split(r"[\r\n\v\f\x85\u2028\u2029]", comment)
        )
        assert not re.search(r"@\w|[#!]\d|glpat-", comment)
        for kind, content in acted_on(comment):
            assert kind != "html" or re.fullmatch(r"(<details><summary>[^<]*</summary>|</details>)\s*", content)
            assert kind != "href" or re.match(r"https://", content)
    presented = title_and_description(edits[:1], text)
    assert len(presented.title.splitlines()) == 1
    assert len(presented.commit_message.splitlines()) == 3


def test_titles() -> None:
    one = title_and_description((Edit(TARGET, "f", A, B),), "file")
    assert one.title == f"Promote {TARGET} to bbbbbbb"
    assert one.commit_message == f"Promote {TARGET} to bbbbbbb\n\n{TARGET}: aaaaaaa -> bbbbbbb\n"
    many = title_and_description(tuple(Edit(f"a/b/{n}", "f", A, B) for n in range(101)), "all")
    assert many.title == "Promote 101 targets (batch all)"
    assert "and 1 more targets" in many.description


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("done", "on the base already"),
        ("withdrawn", "nothing in here is wanted"),
        ("ignored", "on command"),
        ("invalid", "is invalid now"),
        ("other", "Closed: because"),
    ],
)
def test_closing_comments(kind: str, said: str) -> None:
    assert said in closing_comment(kind, "because")
    assert closing_comment("other") == "Closed\n"


def test_answers() -> None:
    yes = Answer("1", 1, "bob", "hold", ok=True, text="held; `unhold` lets it go")
    assert answer(yes) == "`bob`, done: held; `unhold` lets it go\n"
    no = Answer("1", 1, "bob", "promote", ok=False, text="`promote` is for the owners (ana)")
    assert answer(no) == "`bob`, I did not do that: `promote` is for the owners (ana)\n"
    assert help_section("/bot", ["hold [reason]"]) == Section("Commands", ("`/bot hold [reason]`",))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/my/x", f"https://github.com/my/x/compare/{A}...{B}"),
        ("https://gitlab.example:8443/g/sub/x.git/", f"https://gitlab.example:8443/g/sub/x/-/compare/{A}...{B}"),
        ("https://user:secret@host/x", ""),
        ("git@github.com:my/x.git", ""),
        ("/srv/git/x", ""),
        ("https://host/x)[y](z", ""),
    ],
)
def test_compare_links(url: str, expected: str) -> None:
    assert compare_link(url, A, B) == expected
    assert compare_link(url, "main", B) == ""


def test_run_links_are_addresses_without_secrets() -> None:
    def run(url: str) -> str:
        return promotion_report(PromotionView((CHANGE,), runs=(RunLine(TARGET, B, RunStatus.RUNNING, url=url),)))

    assert "running ([log](https://ci.example/job/1))" in run("https://ci.example/job/1")
    for bad in (
        "https://u:p@ci.example/1",
        "javascript:alert(1)",
        "https://ci/1) [x](y",
        "https://ci/glpat-" + "a" * 20,
    ):
        assert "[log]" not in run(bad)


@pytest.mark.parametrize("key", [None, b"key"])
def test_a_sticky_comment_is_written_only_when_its_content_changed(key: bytes | None) -> None:
    first = sticky("body\n", {"holds": []}, None, NOW, key)
    assert first is not None
    assert "This content last changed at 2026-01-02T03:04:05Z" in first
    data = marker.read(first, STICKY, key)
    assert data is not None
    assert data["holds"] == []
    assert data["changed_at"] == utc(NOW)

    later = NOW + timedelta(days=1)
    assert sticky("body\n", {"holds": []}, first, later, key) is None
    assert sticky("body\n", {"holds": []}, first.replace("\n", "\r\n"), later, key) is None
    for again in (
        sticky("other\n", {"holds": []}, first, later, key),
        sticky("body\n", {"holds": [1]}, first, later, key),
        sticky("body\n", {"holds": []}, "no marker", later, key),
    ):
        assert again is not None
        assert "2026-01-03T03:04:05Z" in again


def test_the_commands_render_as_a_list() -> None:
    html = MarkdownIt("commonmark").enable("table").render(promotion_report(PromotionView((CHANGE,))))
    assert html.count("<tr>") == 2
    assert "<li><code>/saasbot help</code>" in html
