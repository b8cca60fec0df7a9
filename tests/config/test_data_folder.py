"""A `dataDir` that does not exist must be said, and must never look like a repository without targets."""

from __future__ import annotations

import pytest
from config_world import SCHEMAS, VALID, MemoryCache, MemoryTree, findings

from bot.config.load import load
from bot.config.settings_file import read_settings
from bot.config.tree import is_yaml
from bot.errors import InvalidConfiguration

NOWHERE = {**VALID, "saasbot.yml": VALID["saasbot.yml"] + "dataDir: nowhere\n"}
MOVED = {
    **{(path if path == "saasbot.yml" else f"data/{path}"): text for path, text in VALID.items()},
    "saasbot.yml": VALID["saasbot.yml"] + "dataDir: data\n",
}


def test_it_is_a_finding() -> None:
    assert [finding.rule for finding in findings(NOWHERE)] == ["missing-data"]


def test_it_stops_a_pass() -> None:
    settings, _ = read_settings(MemoryTree(MOVED), SCHEMAS)
    assert settings is not None
    with pytest.raises(InvalidConfiguration, match="dataDir"):
        load(MemoryTree(VALID), settings, SCHEMAS, MemoryCache())


def test_one_that_is_there_is_read() -> None:
    settings, found = read_settings(MemoryTree(MOVED), SCHEMAS)
    assert (settings is not None and settings.data_dir, found) == ("data", ())


def test_a_name_that_is_no_text_is_left_alone() -> None:
    assert not is_yaml("\udcff.yml")
