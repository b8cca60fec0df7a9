"""What holds for all tests: worlds are importable, in CI a skip is a failure, and no planted secret is let out."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from worlds import planted

if TYPE_CHECKING:
    from worlds.triple_stores import Store

# Where byte code is never kept, every `saasbot` that a test starts would compile all its modules anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

REQUIRED = bool(os.environ.get("SAASBOT_REQUIRE_SERVICES"))


@pytest.fixture(scope="session")
def oxigraph() -> Iterator[Store]:
    """The quicker of two real triple stores; every test takes a graph of its own (`Store.fresh`)."""
    from worlds import triple_stores  # noqa: PLC0415 - tests without a store do not wait for its imports

    with triple_stores.oxigraph() as store:
        yield store


@pytest.fixture(scope="session")
def virtuoso() -> Iterator[Store]:
    """The other triple store, which takes seconds to start."""
    from worlds import triple_stores  # noqa: PLC0415 - as above

    with triple_stores.virtuoso() as store:
        yield store


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where every service is required, and a leak into one everywhere."""
    report = yield
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr[-1]}"  # type: ignore[index] # of a skip it is a tuple
    if planted.found.used and call.when != "setup" and report.passed:
        hits = leaked(item, report)
        if hits:
            report.outcome = "failed"
            report.longrepr = "\n".join(["a planted secret was let out:", *hits])
    return report


def leaked(item: pytest.Item, report: pytest.TestReport) -> list[str]:
    """Where the test, in this phase, let a planted secret out: in files, in what it printed or told a fake."""
    for name in ("capstdout", "capstderr", "caplog"):
        planted.printed(name, getattr(report, name))
    texts, planted.found.texts = planted.found.texts, []
    hits = [f"{where}: {planted.in_text(text)}" for where, text in texts]
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if folder is None or report.when != "call":
        return hits
    planted.found.folders.add(folder.name)
    return hits + planted.leaks(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """With the last test of a module, look through the folders that its fixtures shared."""
    yield
    if nextitem is not None and nextitem.path == item.path:
        return
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined] # where its fixture has it from
    shared = [entry for entry in planted.new_folders(factory.getbasetemp()) if planted.found.used]
    hits = [hit for folder in shared for hit in planted.leaks(folder)]
    planted.found.used = False
    planted.found.on_purpose.clear()
    if hits:
        pytest.fail("\n".join(["a planted secret was let out:", *hits]), pytrace=False)
