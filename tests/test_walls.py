"""The house rules that no other tool holds: sizes, names, purity, broad excepts; floors are import-linter's."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "bot").rglob("*.py"))
PURE = ("core", "formats", "render", "model", "config")

LONGEST_FUNCTION = 60  # lines, docstring included
SHORT_FUNCTION = 30  # nine functions of ten stay under this
LONGEST_FILE = 400  # lines; about 300 is the aim
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

PURE_LIBRARIES = {
    "core": {"cronsim", "deepdiff", "markdown_it", "msgspec"},
    "formats": {"cronsim"},
    "render": {"jinja2", "markupsafe", "msgspec", "ruamel", "yaml", "yaml_rs"},
    "model": set[str](),
    "config": {"cronsim", "jsonschema_rs", "msgspec", "yaml", "yaml_rs"},
}
CLOCKS = {"now", "utcnow", "today"}
KINDS = ("forge", "pipelines", "sources", "state", "queue", "notify")
PARTS = {"run_folder": "command", "supervisor": "command"}  # files that do not bear their provider's name


def name(path: Path) -> str:
    """The path as people read it in a failure."""
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    """The parsed module, once a process."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a module with its length in lines, decorators left out."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name(path)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def imported(path: Path) -> Iterator[str]:
    """The full name of every imported module, also of imports inside functions; relative imports do not exist here."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def provider(module: str) -> str:
    """Which provider a module of `bot.providers.<kind>` is part of: the files of one share their first word."""
    stem = module.split(".")[3]
    return PARTS.get(stem, stem.split("_")[0])


def pure_sources() -> list[tuple[str, Path]]:
    """The modules of the pure floors, each with its floor."""
    return [(floor, path) for floor in PURE for path in sorted((ROOT / "bot" / floor).rglob("*.py"))]


def test_no_function_is_long() -> None:
    """A function that does not fit one screen has a second thing in it."""
    assert [(where, lines) for path in SOURCES for where, lines in functions(path) if lines > LONGEST_FUNCTION] == []


def test_nine_functions_of_ten_are_short() -> None:
    lengths = [lines for path in SOURCES for _, lines in functions(path)]
    assert sum(lines < SHORT_FUNCTION for lines in lengths) >= 0.9 * len(lengths)


def test_no_file_is_long() -> None:
    sizes = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: lines for path, lines in sizes.items() if lines > LONGEST_FILE} == {}


def test_modules_are_called_by_what_they_are() -> None:
    parts = {part for path in SOURCES for part in (*path.relative_to(ROOT).parent.parts, path.stem)}
    assert parts & FORBIDDEN_NAMES == set()


@pytest.mark.parametrize(("floor", "path"), pure_sources(), ids=lambda value: getattr(value, "stem", value))
def test_pure_floors_use_only_libraries_allowed_by_name(floor: str, path: Path) -> None:
    vendors = {module.split(".")[0] for module in imported(path)} - set(sys.stdlib_module_names) - {"bot"}
    assert vendors - PURE_LIBRARIES[floor] == set()
    assert [
        module for module in imported(path) if module.startswith("urllib") and "parse" not in module.split(".")
    ] == []


@pytest.mark.parametrize(("floor", "path"), pure_sources(), ids=lambda value: getattr(value, "stem", value))
def test_pure_floors_read_no_clock_and_open_nothing(floor: str, path: Path) -> None:
    """`now` is a field of the context; bytes come in as values."""
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    clocks = [call.lineno for call in calls if isinstance(call, ast.Attribute) and call.attr in CLOCKS]
    opens = [call.lineno for call in calls if isinstance(call, ast.Name) and call.id in {"open", "input", "print"}]
    assert (floor, clocks, opens) == (floor, [], [])


def test_providers_do_not_import_each_other() -> None:
    """What two of them share stands beside their folders."""
    crossings = [
        f"{name(path)} imports {module}"
        for kind in KINDS
        for path in sorted((ROOT / "bot" / "providers" / kind).glob("*.py"))
        for module in imported(path)
        if module.startswith(f"bot.providers.{kind}.")
        and provider(module) != provider(f"bot.providers.{kind}.{path.stem}")
    ]
    assert crossings == []


def broad(handler: ast.ExceptHandler) -> bool:
    """Whether an `except` catches everything."""
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(item is None or (isinstance(item, ast.Name) and item.id.endswith("Exception")) for item in names)


def test_everything_is_caught_in_one_place_only() -> None:
    places = [
        f"{name(path)}:{node.lineno}"
        for path in SOURCES
        if path != ROOT / "bot" / "__main__.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and broad(node)
    ]
    assert places == []


def test_no_dry_run_flag_below_the_command_line() -> None:
    """`plan` is the same line stopped before `act`; read-only ports do the rest."""
    below = [path for path in SOURCES if "cli" not in path.relative_to(ROOT).as_posix().split("/")[1]]
    names = [
        f"{name(path)}:{node.lineno}"
        for path in below
        for node in ast.walk(tree(path))
        if isinstance(node, ast.arg) and node.arg == "dry_run"
    ]
    assert names == []


def test_every_module_says_what_it_is() -> None:
    assert [name(path) for path in SOURCES if not ast.get_docstring(tree(path))] == []


def test_requirements_pin_every_dependency_and_name_no_index() -> None:
    """Each requirement is `name==version` with hashes; where they are fetched from is the machine's business."""
    text = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    pinned = {line.split("==")[0].split("[")[0] for line in text.splitlines() if "==" in line}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = [
        *project["dependencies"],
        *(entry for extra in project["optional-dependencies"].values() for entry in extra),
    ]
    wanted = {entry.split(">")[0].strip().lower().replace(".", "-") for entry in entries}
    assert wanted <= pinned
    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")
