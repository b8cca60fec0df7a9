"""The status page: what it says, that nobody can make it say anything else, and that it stays small."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser

import pytest
from page_values import BAD_URLS, NOW, RUN_URL, SHA, ago, everything, hostile, later, many, record, row, run

from bot.model.overview import Overview, Row
from bot.model.plan import Gate
from bot.model.runs import RunStatus
from bot.render.page import MOST, status_page

HOUR = timedelta(hours=1)
VOID = {"meta", "link", "br", "col", "rect", "circle", "path"}


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, its links, and its text by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.section = "header"
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        self.said = {section: " ".join(words) for section, words in self.words.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.section = found.get("id") or self.section if tag == "section" else self.section
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.setdefault(self.section, []).extend(data.split())

    @property
    def links(self) -> set[str]:
        """The addresses of all links that leave the page."""
        found = (attrs["href"] or "" for tag, attrs in self.tags if tag == "a")
        return {each for each in found if not each.startswith("#")}


def read(found: Overview) -> Page:
    page = Page(status_page(found))
    assert page.open == [], "every element is closed"
    return page


def overview(*rows: Row, **fields: object) -> Overview:
    return Overview(rows, (), (), NOW, SHA, **fields)  # type: ignore[arg-type] # fields as they come


def test_it_says_what_runs_what_is_promoted_what_is_held_and_what_a_person_must_do() -> None:
    page = read(everything())
    assert page.said["header"].startswith("6 things need a person · saasbot saasbot 6 things need a person")
    assert (
        "Last sign of life 2026-01-14 11:53 UTC (7m ago) Heartbeat every 1h 2 actions for the next pass"
        in page.said["header"]
    )
    person = page.said["person"]
    assert "payments/payments/production failed run 7 of 8f14e45 failed: helm: release payments failed" in person
    assert "attention failed: look at the run, then retry since 2026-01-14 10:00 UTC (2h ago)" in person
    assert "merge request saasbot/web human commit bob has pushed" in person
    assert "trigger release-2.14 error round 12: install-x86 failed since" in person
    assert "search/index/production invalid ref is empty" in person
    assert "!41 Promote orders/orders/production to 8f14e45 CI success approved" in page.said["promotions"]
    assert "!43 Promote 4 targets (batch web) conflicts" in page.said["promotions"]
    assert "!44 Roll back search CI running draft" in page.said["promotions"]
    assert "payments/payments/stage running run 7 of 8f14e45: step 3 of 5 since" in page.said["running"]
    assert "self-managed-lp-interop running round 12: 2 of 3 jobs are over" in page.said["running"]
    assert "soak 8f14e45 has soaked 3h12m of 24h" in page.said["waiting"]
    assert "until 2026-01-15 08:48 UTC (in 20h48m)" in page.said["waiting"]
    assert "human commit" not in page.said["waiting"]
    assert "never-ran no round yet" in page.said["triggers"]
    assert "gone no longer in the config timeout" in page.said["triggers"]
    assert "5 SaaS files payments 1 needs a person 1 waits 1 runs" in page.said["targets"]
    assert "web 8 fine" in page.said["targets"]
    assert page.links == {RUN_URL, *(f"https://git.example.com/config/-/merge_requests/{iid}" for iid in (41, 43, 44))}


def test_files_with_trouble_come_first_and_only_they_are_unfolded() -> None:
    page = read(everything())
    unfolded = ["open" in attrs for tag, attrs in page.tags if tag == "details"]
    assert unfolded == [True, True, True, False, False], "payments, search, orders; web and old are fine"


def test_what_holds_many_in_the_same_words_is_said_once() -> None:
    until = later(hours=3)
    held = [row(f"a/a/{number}", held=[(Gate.FREEZE, "year-end", until)]) for number in range(5)]
    held += [
        row(f"b/b/{number}", held=[(Gate.UNREACHABLE, "ci.example.com does not answer", None)]) for number in range(4)
    ]
    held += [
        row(f"c/c/{number}", run(RunStatus.FAILED), held=[(Gate.FAILED, "run 7 failed", None)]) for number in range(4)
    ]
    page = read(overview(*held))
    assert "5 wait" in page.said["header"]
    assert page.said["waiting"].endswith(
        "other work 5 subjects a/a/0 , a/a/1 , a/a/2 , a/a/3 , a/a/4 freeze year-end until 2026-01-14 15:00 UTC (in 3h)"
    )
    assert "4 subjects b/b/0 , b/b/1 , b/b/2 , b/b/3 unreachable ci.example.com" in page.said["person"]
    assert page.said["person"].count("failed run 7 failed") == 4, "each leads to a run of its own"
    assert page.said["header"].startswith("5 things need a person")


def test_many_files_that_are_fine_are_folded_together_where_others_are_not() -> None:
    fine = [row(f"file-{number}/a/a") for number in range(13)]
    text = "13 SaaS files where all is fine"
    assert text not in read(overview(*fine)).said["targets"]
    assert text in read(overview(*fine, row("x/x/x", held=[(Gate.SOAK, "", None)]))).said["targets"]


def test_a_quiet_world_is_quiet() -> None:
    page = read(overview(row("web/web/prod", run(RunStatus.SUCCEEDED))))
    assert page.said["header"].startswith("All is well")
    assert (page.said["person"], page.said["running"]) == (
        "Needs a person Nothing waits for anybody.",
        "Running No run is in flight.",
    )
    assert "triggers" not in page.said
    assert "No statefile yet 0 actions for the next pass" in page.said["header"]


def test_there_may_be_no_target_and_no_commit() -> None:
    page = read(Overview((), (), (), NOW, None))
    assert "The config has no targets." in page.said["targets"]
    assert "Config of the working tree" in page.said["header"]
    assert not [tag for tag, _ in page.tags if tag == "rect"]


@pytest.mark.parametrize(
    ("written", "every", "silent"),
    [(ago(hours=3), HOUR, True), (ago(hours=2), HOUR, False), (ago(days=9), None, False), (None, HOUR, False)],
)
def test_a_bot_that_has_stopped_is_the_first_thing_it_says(written: object, every: object, silent: bool) -> None:
    page = read(overview(row("a/a/a"), written_at=written, heartbeat=every))
    assert page.said["person"].startswith("Needs a person bot saasbot silent no sign of life") is silent


@pytest.mark.parametrize("url", BAD_URLS)
def test_nobody_can_make_it_run_load_or_open_anything(url: str) -> None:
    text = status_page(hostile(url))
    page = Page(text)
    assert page.open == []
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "object", "form", "base"})
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name in ("style", "src")]
    assert page.links == set()
    assert "49" not in page.said["person"], "a template in a name is a name"
    assert "<script>alert(1)</script>" in page.said["person"], "it is shown as it was written"
    for bad in ("hunter2", "\x1b", "\u202e", "user:pass"):
        assert bad not in text


def test_it_loads_nothing() -> None:
    page = read(everything())
    assert [(attrs["href"] or "")[:5] for tag, attrs in page.tags if tag == "link"] == ["data:"]
    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "url(" not in status_page(everything())


@pytest.mark.parametrize("text", ["a `b` c", "one ` tick", "`", "``", "<b>`<i>`"])
def test_code_spans_are_code_where_they_are_closed(text: str) -> None:
    page = read(overview(row("a/a/a", held=[(Gate.FAILED, text, None)])))
    words = text.replace("`", "") if text.count("`") % 2 == 0 else text
    assert words.replace(" ", "") in page.said["person"].replace(" ", "")


def test_two_thousand_targets_are_a_page_that_can_be_read() -> None:
    text = status_page(many())
    page = Page(text)
    assert len(text) < 2_000_000
    assert page.said["header"].startswith("21 things need a person")
    assert f"and {400 - MOST} more, which are in the tables below" in page.said["waiting"]
    assert sum("open" in attrs for tag, attrs in page.tags if tag == "details") == 6
    assert sum(tag == "tr" for tag, _ in page.tags) == 2000 + 200


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (ago(seconds=59), "now"),
        (later(minutes=5), "in 5m"),
        (ago(hours=1, minutes=1), "1h1m ago"),
        (ago(days=3, minutes=9), "3d ago"),
    ],
)
def test_times_are_told_as_people_count_them(at: object, words: str) -> None:
    page = read(overview(Row("a/a/a", None, record("a/a/a", deployed_at=at), ())))
    assert f"1f0e3da {words}" in page.said["targets"]


def test_targets_that_were_adopted_or_never_ran_say_so() -> None:
    adopted = record("a/a/b", adopted=True, deployed_sha="", deployed_at=None)
    page = read(
        overview(
            row("a/a/a"), Row("a/a/b", row("a/a/b").target, adopted, ()), Row("a/a/c", row("a/a/c").target, None, ())
        )
    )
    assert "8f14e45 adopted" in page.said["targets"]
    assert "a/c production 8f14e45 –" in page.said["targets"]
