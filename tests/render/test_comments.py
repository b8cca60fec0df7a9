"""What the bot says on merge requests: complete, the same twice, and harmless whatever it quotes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.model.observed import Title
from bot.model.plan import Gate, Held
from bot.model.rounds import JobReport, Result, SetReport
from bot.model.runs import Reason, Run, RunStatus
from bot.model.state import Answer, Edit, Flag, Hold, Veto
from bot.render import marker
from bot.render.comments import (
    LARGEST,
    LARGEST_TEXT,
    STICKY,
    ChangeView,
    DashboardView,
    DeployedLine,
    MergeRequestLine,
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
    dashboard,
    help_section,
    promotion_report,
    sticky,
    title_and_description,
)
from bot.render.neutral import BREAK
from bot.render.releases import ReleaseLine, ReleaseView, release_report, release_texts
from bot.render.rounds import sets_markdown
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
        answers=(Section(text, (text, text), sets(text)),),
    )


def sets(text: str) -> tuple[SetReport, ...]:
    """Sets of rounds with a text wherever somebody else's text can stand."""
    run = Run(text, 1, "", "", text, status=RunStatus.FAILED, url=text, text=text)
    jobs = (JobReport(text, "failed", text, run), JobReport(text, "not_started", text))
    over = SetReport(text, text, text, 1, 0, text, Result.ERROR, text, NOW, NOW, jobs, jobs[0], (text, text))
    return over, replace(over, result=Result.RUNNING, ended_at=None, not_started=())


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


SECRETS = (
    "glpat-abcdefghijklmnopqrst",
    "ghp_abcdefghijklmnopqrst12",
    "AKIAABCDEFGHIJKLMNOP",
    "xoxb-123456789012-abcdef",
)
HOSTILE = st.sampled_from(
    [
        "/approve",
        "x\n/merge",
        "x\r/close",
        "x\x0b/label ~a",
        "x\x0c/todo",
        "x\x85/assign me",
        "x\u2028/unlabel",
        "x\u2029/title y",
        "\n\n   /merge",
        "\n- /merge",
        "\n1. /merge",
        "\n> /merge",
        "\n```\n/merge\n```\n",
        "@all",
        "@group/sub",
        "cc @some-body.else",
        "`@all`",
        "Closes #1",
        "fixes: !2",
        "Resolves GL-1",
        "`closes GH-7`",
        "fix owner/repo#3",
        "implements https://gitlab.example/g/p/-/issues/4",
        "`Fixes https://github.com/o/r/issues/5`",
        "<b>",
        "</summary></details>",
        "<img src=x onerror=y>",
        "<!-- saasbot:report e30= unsigned -->",
        "<!--",
        "-->",
        "&lt;b&gt;",
        "`",
        "``` x",
        "~~~",
        "|",
        "\n|---|",
        "[a](b)",
        "[a]: https://evil.example",
        "![a](https://evil.example/a.png)",
        "<https://evil.example>",
        "https://evil.example/a",
        "www.evil.example",
        "me@evil.example",
        "https://u:p4ssw0rd@h/x",
        "\\",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "https://h/x?a=(b)",
        "https://h/?q=\u00e9",
        "javascript:alert(1)",
        "\u200b/approve",
        "",
        *SECRETS,
    ]
)
TEXT = st.lists(HOSTILE | st.text(max_size=10), max_size=3).map("".join)

TEMPLATES: dict[str, Callable[[str], tuple[str, ...]]] = {
    "promotion_report.md.j2": lambda text: (
        promotion_report(full(text)),
        promotion_report(replace(full(text), prefix=text)),
    ),
    "change_report.md.j2": lambda text: (
        change_report(ChangeView(full(text).starts, full(text).held, (text,), full(text).answers, text or "/saasbot")),
    ),
    "answer.md.j2": lambda text: tuple(
        answer(Answer("1", 1, text, text, ok=ok, text=words))
        for ok in (True, False)
        for words in (text, f"\n{text}\n  {text}", f"{text}\n  {text}")
    ),
    "closing.md.j2": lambda text: (closing_comment(text, text), closing_comment("other", text)),
    "description.md.j2": lambda text: (title_and_description(edits(text), text).description,),
    "dashboard.md.j2": lambda text: (
        dashboard(
            DashboardView(
                attention=full(text).held,
                flags=((text, Flag(text, NOW)),),
                waiting=full(text).held,
                runs=full(text).runs,
                rounds=sets(text),
                merge_requests=(MergeRequestLine(text, 1, text),),
                deployed=(DeployedLine(text, text, NOW), DeployedLine(text, text, None)),
                prefix=text,
            )
        ),
    ),
    "commit.txt.j2": lambda text: (
        title_and_description(edits(text), text).commit_message,
        title_and_description(edits(text)[:1], text).commit_message,
        title_and_description(edits(text)[:1], text, rollback=True).commit_message,
    ),
    "rounds.md.j2": lambda text: (sets_markdown(sets(text)), sets_markdown(())),
    "release_report.md.j2": lambda text: (
        release_report(
            ReleaseView(
                text,
                (ReleaseLine(text, text, text, text),),
                text,
                full(text).held,
                full(text).hold,
                full(text).answers,
                text or "/saasbot",
                (text,),
            )
        ),
    ),
    "release_description.md.j2": lambda text: (
        release_texts(text, text, edits(text), finished=False).description,
        release_texts(text, text, edits(text), finished=True).description,
    ),
    "release_commit.txt.j2": lambda text: (release_texts(text, text, edits(text), finished=True).message,),
    "lists.md.j2": lambda _: (),
}
"""By template: everything that it makes of a text; the pieces in `lists` are in the others."""

LINE_ENDS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
LINE_MARKS = re.compile(r"(?:\s|[>*+-]|\d+[.)])*")
REFERENCE = r"(?:[\w./-]*[#!&]\d|\b(?:GL|GH|gh|[A-Z][A-Z0-9_]+)-\d|https?://)"
CLOSING = re.compile(rf"\b(?i:clos|fix|resolv|implement)\w*(?::\s*|\s+)(?:(?i:issues?):?\s+)?{REFERENCE}")
OWN_HTML = re.compile(r"(<details><summary>[^<]*</summary>|</details>)\s*")
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def edits(text: str) -> tuple[Edit, ...]:
    """Edits with a text wherever one can stand."""
    return Edit(text, text, text, text), Edit("a/b/c", "f", A, B)


def read(comment: str) -> Iterator[tuple[str, str]]:
    """List what a reader of Markdown sees: words, HTML, and where links and images go."""
    tokens = PARSER.parse(comment)
    for token in (*tokens, *(child for each in tokens for child in each.children or ())):
        if token.type in ("html_block", "html_inline"):
            yield "html", token.content
        elif token.type in ("link_open", "image"):
            yield "link", str(token.attrs.get("href", "an image"))
        elif token.type in ("text", "text_special"):
            yield "words", token.content
        elif token.type in ("fence", "code_block"):
            yield "block", token.type


def check_source(said: str) -> None:
    """What forges look for in the text as it is stored."""
    assert not any(line.lstrip().startswith("/") for line in LINE_ENDS.split(said))
    assert not re.search(r"@\w|[#!]\d", said), "a mention or a reference"
    assert not CLOSING.search(said)
    assert "<!--" not in said
    bare = said.replace("\\", "").replace(BREAK, "")
    assert not any(secret[-8:] in bare for secret in (*SECRETS, "p4ssw0rd"))


def check_rendered(said: str, links: set[str]) -> None:
    """What forges look for in what a reader sees."""
    assert not any(LINE_MARKS.sub("", line, count=1).startswith("/") for line in LINE_ENDS.split(said))
    for kind, content in read(said):
        assert kind != "block", content
        assert kind != "html" or OWN_HTML.fullmatch(content), content
        assert kind != "link" or content in links, content
        assert kind != "words" or not re.search(r"@\w|[#!&~%$^]\w|://|\b(?i:www)\.|\b[A-Z][A-Z0-9_]+-\d", content), (
            content
        )
    html = "".join(content for kind, content in read(said) if kind == "html")
    assert html.count("<details>") == html.count("</details>")


def test_every_template_meets_hostile_text() -> None:
    names = {each.name for each in files("bot.render").joinpath("templates").iterdir()}
    assert names - {"page.html.j2", "page.css"} == TEMPLATES.keys(), "give a new template a case"


@settings(max_examples=int(os.environ.get("SAASBOT_EXAMPLES", "30")), deadline=None)
@given(TEXT)
def test_no_comment_does_anything_but_talk(text: str) -> None:
    page = {text} if re.fullmatch(r"https?://[\w.:/~%?=#-]+", text, re.ASCII) else set()
    links = page | {compare_link(URL, A, B)}
    for template, cases in TEMPLATES.items():
        for said in cases(text):
            check_source(said)
            if template.endswith(".md.j2"):
                check_rendered(said, links)
    for presented in (title_and_description(edits(text)[:1], text), title_and_description(edits(text), text)):
        assert len(LINE_ENDS.split(presented.title)) == 1
        assert len(LINE_ENDS.split(presented.commit_message)) in {4, 5}
        check_source(presented.title)


@settings(max_examples=30, deadline=None)
@given(TEXT)
def test_a_marker_cannot_be_forged(text: str) -> None:
    whole = sticky(promotion_report(full(text)), {"text": text}, None, NOW, b"key")
    assert whole is not None
    assert whole.count("<!--") == 1
    assert (marker.read(whole, STICKY, b"key") or {})["text"] == text


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


def test_no_comment_is_longer_than_a_forge_takes() -> None:
    long = "*_`@x#1 " * 400
    name = "service/with/a-name-of-some-length-" + "x" * 60
    titles = tuple(Title(A, long) for _ in range(30))
    changes = tuple(
        PromotionChange(f"{name}{n}", "https://github.com/acme/some-service", A, f"{n:040x}", titles)
        for n in range(200)
    )
    held = tuple(Held(f"target:{name}{n}", Gate.SOAK, long) for n in range(200))
    sections = tuple(Section(long, (long,) * 200) for _ in range(20))
    runs = tuple(RunLine(name, B, RunStatus.FAILED, long) for _ in range(200))
    view = PromotionView(changes, held=held, runs=runs, answers=sections)
    boards = DashboardView(
        attention=held, waiting=held, runs=runs, deployed=tuple(DeployedLine(name, B, NOW) for _ in range(999))
    )
    for text in (
        promotion_report(view),
        dashboard(boards),
        change_report(ChangeView(held=held, answers=sections)),
        answer(Answer("1", 1, "ana", "explain", ok=True, text="\n".join([long] * 900))),
    ):
        assert len(text) <= LARGEST_TEXT
        whole = sticky(text, {"lineage": "x"}, None, NOW, b"key", beside=lambda fits: {"full": fits({"rest": A})})
        assert whole is not None
        assert len(whole) <= LARGEST
    assert "more" in promotion_report(view)
    small = promotion_report(PromotionView(changes[:3]))
    assert small.count("| `service/") == 3, "nothing is left out where there is room"
