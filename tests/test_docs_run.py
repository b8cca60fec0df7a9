"""The shell blocks of the tutorial and of the README are run as a reader would run them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from docs.blocks import Block, missing, pattern, run, shell_blocks

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def is_make(block: Block) -> bool:
    """Whether a block does nothing but call targets of the Makefile, which tests must not do from within tests."""
    return all(line.startswith("make ") for line in block.commands.splitlines())


def as_run(page: Path) -> list[Block]:
    """The blocks of a page as a test may run them: `make demo` without making an environment, no other target."""
    blocks = [
        replace(block, commands="saasbot demo\n") if block.commands == "make demo\n" else block
        for block in shell_blocks(page)
    ]
    return [block for block in blocks if not is_make(block)]


def follow(page: Path, folder: Path) -> None:
    """Run all blocks of a page; each ends with its exit code and prints what is shown."""
    blocks = as_run(page)
    done = run(blocks, folder)
    for block, ran in zip(blocks, done, strict=False):
        told = f"{block.commands}\n--- printed ---\n{ran.out}\n--- errors ---\n{ran.err}"
        assert ran.code == block.exits, told
        assert missing(block, ran.out) == [], told
    assert len(done) == len(blocks)


@pytest.mark.parametrize("page", ["docs/tutorial.md", "README.md", "docs/operations.md"])
def test_the_page_can_be_followed(page: str, tmp_path: Path) -> None:
    follow(ROOT / page, tmp_path)


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]), ids=lambda p: p.name)
def test_make_targets_exist(page: Path) -> None:
    calls = {line.split()[1] for block in shell_blocks(page) if is_make(block) for line in block.commands.splitlines()}
    assert {target for target in calls if f"\n{target}:" not in MAKEFILE} == set()


def test_a_shown_line_stands_for_other_shas_and_times() -> None:
    shown = pattern("  x  8f14e45 since 2026-01-05T10:10:00Z: opened !1 ...")
    assert shown.search("  x    0123456 since 2031-12-05T00:00:00Z: opened !1 file:///somewhere")
    assert not shown.search("  x  8f14e45 since 2026-01-05T10:10:00Z: opened !2 ")


def test_what_is_not_printed_is_missing() -> None:
    block = Block("", 0, ("first", "", "second", "first"))
    assert missing(block, "first\nsecond") == ["first"]
    assert missing(block, "second\nfirst") == ["second", "first"]


def test_a_block_that_breaks_ends_the_page(tmp_path: Path) -> None:
    blocks = [
        Block("x=1\n", 0, ()),
        Block("(exit 3)\n", 3, ()),
        Block("echo $x\nfalse\necho y\n", 0, ()),
        Block("", 0, ()),
    ]
    done = run(blocks, tmp_path)
    assert [(ran.code, ran.out) for ran in done] == [(0, ""), (3, ""), (1, "1\n")]
