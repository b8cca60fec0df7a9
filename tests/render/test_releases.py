"""What is said on the merge request of a release; everything that came from elsewhere is neutralised."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.model.plan import Gate, Held
from bot.model.state import Edit, Hold
from bot.render.comments import Section
from bot.render.releases import ReleaseLine, ReleaseView, release_report, release_texts

EVIL = "/close @everybody <img src=x> closes #1"


def edits(count: int) -> list[Edit]:
    """So many components."""
    return [Edit(f"job:apim/c{n}", "release.json", "1.2.0-SNAPSHOT", "1.2.0") for n in range(count)]


def test_the_texts_say_what_is_released_and_what_is_left() -> None:
    some = release_texts("APIM", "1.2.0-SNAPSHOT", edits(2), finished=False)
    assert some.title == "Release 1.2.0 of APIM: 2 components so far"
    assert "- `apim/c0`: `1.2.0-SNAPSHOT` → `1.2.0`\n" in some.description
    assert "start the trigger again" in some.description
    assert some.message.splitlines()[2] == "apim/c0: 1.2.0-SNAPSHOT -> 1.2.0"
    whole = release_texts("APIM", "1.2.0-SNAPSHOT", edits(150), finished=True)
    assert whole.title == "Release 1.2.0 of APIM"
    assert "… and 50 more components" in whole.description


def test_words_of_others_are_neutral() -> None:
    texts = release_texts(EVIL, "1.2.0-SNAPSHOT", [Edit(f"job:apim/{EVIL}", "f", EVIL, EVIL)], finished=True)
    line = ReleaseLine(EVIL, EVIL, EVIL, "javascript:alert(1)")
    held = (Held("trigger:apim", Gate.VETOED, EVIL),)
    view = ReleaseView(EVIL, (line,), EVIL, held, None, (Section(EVIL, (EVIL,)),), notices=(EVIL,))
    for text in (texts.title, texts.description, texts.message, release_report(view)):
        assert not any(each.startswith("/") for each in text.splitlines())
        assert "javascript" not in text
    assert "@everybody" not in texts.title


def test_the_report_says_who_holds_it_and_counts_the_rest() -> None:
    lines = tuple(ReleaseLine(f"c{n}", "1-SNAPSHOT", "1", "https://ci.example.com/1") for n in range(150))
    hold = Hold("bob", datetime(2026, 1, 1, tzinfo=UTC), "wait")
    text = release_report(ReleaseView("apim", lines, hold=hold))
    assert "> **On hold** since 2026-01-01T00:00:00Z by `bob`: wait" in text
    assert "… and 50 more components." in text
    assert "([run](https://ci.example.com/1))" in text
    assert "On hold" not in release_report(ReleaseView("apim", ()))
