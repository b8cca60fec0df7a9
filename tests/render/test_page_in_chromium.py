"""The status page in a real browser: on a phone and a desk, by day and by night, and with hostile words in it.

The pages stand in frames of a page of the test's own, which looks at them with a script and writes down what it saw.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from page_values import everything, hostile, many

from bot.model.overview import Overview
from bot.render.page import status_page

CHROMIUM = shutil.which("chromium") or ""
PHONE, DESK = 390, 1280
PAGES: Mapping[str, Callable[[], Overview]] = {
    "everything": everything,
    "hostile": hostile,
    "many": partial(many, 200, 20),
}
DARK, LIGHT = 0, 1

LOOK = """
function rgb(element, what) { return getComputedStyle(element)[what].match(/[0-9.]+/g).slice(0, 3).map(Number); }
function seen(frame) {
  const page = frame.contentDocument, root = page.documentElement;
  const shown = [...page.querySelectorAll("main *")].filter(e => !e.closest(".hidden, thead"));
  const wide = shown.filter(e => e.getBoundingClientRect().right > root.clientWidth + 1);
  const small = [...page.querySelectorAll("summary")].filter(e => e.getBoundingClientRect().height < 24);
  page.querySelectorAll("details").forEach(each => { each.open = true; });
  return {
    name: frame.title, width: frame.width | 0, title: page.title, scrolls: root.scrollWidth > root.clientWidth,
    wide: wide.length, small: small.length, scripts: page.scripts.length, images: page.images.length,
    handlers: [...page.querySelectorAll("*")].filter(e => e.onclick || e.onerror).length,
    links: [...page.links].map(e => e.getAttribute("href")).filter(e => !/^(https?:|#)/.test(e)).length,
    page: rgb(page.body, "backgroundColor"), text: rgb(page.body, "color"),
    card: rgb(page.querySelector(".card"), "backgroundColor"),
    tags: [...page.querySelectorAll(".tag")].map(e => [rgb(e, "color"), rgb(e, "backgroundColor")]),
    columns: getComputedStyle(page.querySelector("td")).display, after: root.scrollWidth > root.clientWidth,
  };
}
onload = () => {
  document.getElementById("seen").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(seen));
};
"""


def frames() -> str:
    """The test's own page: each of the pages at either width."""
    pages = {name: escape(status_page(make())) for name, make in PAGES.items()}
    found = [
        f'<iframe title="{name}" width="{width}" height="800" srcdoc="{page}"></iframe>'
        for name, page in pages.items()
        for width in (PHONE, DESK)
    ]
    return f'<!doctype html><meta charset="utf-8">{"".join(found)}<pre id="seen"></pre><script>{LOOK}</script>'


@pytest.fixture(scope="module", params=[LIGHT, DARK], ids=["light", "dark"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a browser makes of all pages, at either width, with one of its two schemes of colours."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    folder = tmp_path_factory.mktemp("chromium")
    (folder / "frames.html").write_text(frames(), encoding="utf-8")
    return looked_at(folder, request.param)


def looked_at(folder: Path, scheme: int) -> list[dict[str, Any]]:
    """Open the frames in a browser of the test's own, and read what it wrote down."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += [f"--user-data-dir={folder / 'profile'}", f"--blink-settings=preferredColorScheme={scheme}"]
    ended = subprocess.run(
        (CHROMIUM, *options, "--dump-dom", (folder / "frames.html").as_uri()),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )
    found = re.search(r'<pre id="seen">(.*?)</pre>', ended.stdout, re.DOTALL)
    assert found is not None, ended.stderr
    looked: list[dict[str, Any]] = json.loads(unescape(found[1]))
    assert {(each["name"], each["width"]) for each in looked} == {(name, w) for name in PAGES for w in (PHONE, DESK)}
    return [{**each, "dark": scheme == DARK} for each in looked]


def luminance(colour: list[float]) -> float:
    """The relative luminance of WCAG 2."""
    parts = (value / 255 for value in colour)
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_it_fits_a_phone_and_a_desk_and_can_be_read_in_either_scheme(seen: list[dict[str, Any]]) -> None:
    for each in seen:
        assert (each["scrolls"], each["after"]) == (False, False), each
        assert (each["wide"], each["small"]) == (0, 0), each
        assert each["columns"] == ("block" if each["width"] == PHONE else "table-cell")
        assert (luminance(each["page"]) < 0.2) is each["dark"]
        assert contrast(each["text"], each["page"]) > 7
        assert contrast(each["text"], each["card"]) > 7
        assert min(contrast(*tag) for tag in each["tags"]) > 4.5
    assert {each["title"] for each in seen if each["name"] == "everything"} == {"6 things need a person · saasbot"}


def test_nobodys_words_become_anything_but_words(seen: list[dict[str, Any]]) -> None:
    for each in seen:
        assert (each["scripts"], each["images"], each["handlers"], each["links"]) == (0, 0, 0, 0), each
