"""The documentation is held against the program: links lead somewhere, pages are reached, generated pages are fresh."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from bot.cli import saasbot
from bot.core.gates import NEVER_OVERRIDDEN, REF_GATES
from bot.core.phrases import USAGE
from bot.model.plan import Gate

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
ADRS = sorted((DOCS / "adr").glob("*.md"))
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?<![/@\w-])saasbot ((?:[a-z]+ ?)+)")
README_LINES = 150
ADR_LINES = 60


def name(path: Path) -> str:
    """The path as people read it in a failure."""
    return path.relative_to(ROOT).as_posix()


def anchor(heading: str) -> str:
    """A heading's anchor, as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """All anchors of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    return headings | set(re.findall(r'<a id="([^"]+)">', text))


def links(page: Path) -> list[tuple[Path, str]]:
    """The local links of a page: file and anchor."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    local = [link.partition("#") for link in LINK.findall(text) if "://" not in link]
    return [((page.parent / path).resolve() if path else page, fragment) for path, _, fragment in local]


def commands(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Every command by its words, groups included."""
    found: dict[str, click.Command] = {}
    with click.Context(group) as context:
        for word in group.list_commands(context):
            command = group.get_command(context, word)
            assert command is not None
            found[prefix + word] = command
            if isinstance(command, click.Group):
                found |= commands(command, f"{prefix}{word} ")
    return found


COMMANDS = commands(saasbot)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        f"{path}#{fragment}"
        for path, fragment in links(page)
        if not path.exists() or (fragment and fragment not in anchors(path))
    ]
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            waiting += [path for path, _ in links(page)]
    assert {name(page) for page in PAGES} - {name(page) for page in reached} == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


def test_generated_pages_are_fresh() -> None:
    """`make docs` writes them again."""
    command = [sys.executable, "-m", "tests.docs.generate", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_command_has_help_and_stands_in_the_list(words: str) -> None:
    command = COMMANDS[words]
    assert command.help, words
    assert all(part.help for part in command.params if isinstance(part, click.Option)), words
    assert command.hidden or f"# saasbot {words}\n" in (DOCS / "commands.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pages_name_only_commands_that_exist(page: Path) -> None:
    """In code, `saasbot WORDS` begins with a command."""
    text = page.read_text(encoding="utf-8")
    code = [body for _, body in FENCE.findall(text)] + re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    called = {found.strip() for part in code for found in CALL.findall(part)}
    assert {call for call in called if call.split()[0] not in COMMANDS} == set()


def first_cells(page: str) -> set[str]:
    """What stands as code in the first column of a page's tables."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return {
        code
        for line in text.splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`([^`]+)`", line.split("|")[1])
    }


@pytest.mark.parametrize("page", ["architecture.md", "gates.md"])
def test_every_gate_is_explained(page: str) -> None:
    assert {gate.value for gate in Gate} - first_cells(page) == set()


def test_gates_say_rightly_who_can_be_overridden() -> None:
    text = (DOCS / "gates.md").read_text(encoding="utf-8")
    said = {found[1]: found[2] for found in re.finditer(r"^\| `(\w+)` \|.*\| (yes|no) \|$", text, re.MULTILINE)}
    assert said == {gate.value: "no" if gate in NEVER_OVERRIDDEN else "yes" for gate in REF_GATES}


def test_every_comment_command_is_explained() -> None:
    words = {code.split()[0] for code in first_cells("merge-requests.md")}
    assert set(USAGE) - words == set()


@pytest.mark.parametrize("page", ADRS, ids=name)
def test_decisions_keep_to_their_form(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= ADR_LINES
    assert lines[0].startswith(f"# {page.name[:4]}: ")
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## Context", "## Decision", "## Consequences", "## Considered"]


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(page.name[:4]) for page in ADRS] == list(range(len(ADRS)))


def test_changelog_fragments_are_read() -> None:
    """A fragment whose kind towncrier does not know would be lost without a word."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    kinds = {kind["directory"] for kind in project["tool"]["towncrier"]["type"]}
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if not path.name.startswith(".")]
    assert [path.name for path in fragments if path.name.split(".")[-2:-1] == [] or path.suffixes[-2:-1] == []] == []
    assert {path.suffixes[-2].lstrip(".") for path in fragments} <= kinds
    assert all(path.read_text(encoding="utf-8").strip() for path in fragments)
