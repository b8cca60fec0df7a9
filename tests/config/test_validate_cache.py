"""What is remembered between runs: verdicts of whole trees and summaries of files."""

from __future__ import annotations

import json

from config_world import SCHEMAS, VALID, MemoryCache, MemoryTree, edited, findings, lines

from bot.config.load import load
from bot.config.settings_file import read_settings
from bot.config.validate import validate

SAAS = "services/orders/saas.yml"


def test_a_known_tree_is_not_read_again() -> None:
    cache = MemoryCache()
    validate(MemoryTree(VALID), cache, SCHEMAS)
    again = MemoryTree(VALID)
    assert validate(again, cache, SCHEMAS) == ()
    assert again.reads == 0


def test_findings_come_back_from_the_cache_as_they_were() -> None:
    cache = MemoryCache()
    files = edited((SAAS, "    ref: main\n", ""))
    first = validate(MemoryTree(files), cache, SCHEMAS)
    assert first
    assert validate(MemoryTree(files), cache, SCHEMAS) == first


def test_only_changed_files_are_read() -> None:
    cache = MemoryCache()
    validate(MemoryTree(VALID), cache, SCHEMAS)
    changed = MemoryTree(edited(("services/orders/app.yml", "[alice]", "[alice, bob]")))
    assert validate(changed, cache, SCHEMAS) == ()
    assert changed.reads == 2  # the app and the settings


def test_blobs_that_are_not_known_are_told_by_content() -> None:
    cache = MemoryCache()
    validate(MemoryTree(VALID), cache, SCHEMAS)
    dirty = MemoryTree(VALID, blobs=False)
    before = dict(cache.data)
    assert validate(dirty, cache, SCHEMAS) == ()
    settings, _ = read_settings(dirty, SCHEMAS)
    assert settings is not None
    assert load(dirty, settings, SCHEMAS, cache).findings == ()
    summaries = [name for name in cache.data if name.startswith("summaries")]
    assert [cache.data[name] for name in summaries] == [before[name] for name in summaries]


def test_a_warm_load_gives_what_a_cold_one_gives() -> None:
    cache = MemoryCache()
    tree = MemoryTree(VALID)
    settings, _ = read_settings(tree, SCHEMAS)
    assert settings is not None
    cold = load(tree, settings, SCHEMAS, cache)
    assert load(tree, settings, SCHEMAS, cache) == cold


def test_a_broken_cache_is_as_good_as_none() -> None:
    cache = MemoryCache()
    files = edited((SAAS, "    ref: main\n", ""))
    first = validate(MemoryTree(files), cache, SCHEMAS)
    for name in cache.data:
        cache.data[name] = b"\x93garbage"
    assert validate(MemoryTree(files), cache, SCHEMAS) == first
    for name in cache.data:
        cache.data[name] = json.dumps([["too", "short"]]).encode()
    assert validate(MemoryTree(files), cache, SCHEMAS) == first


def test_other_schemas_mean_another_verdict() -> None:
    cache = MemoryCache()
    validate(MemoryTree(VALID), cache, SCHEMAS)
    schema = json.loads(SCHEMAS["app-1"])
    schema["required"].append("slack")
    changed = {**SCHEMAS, "app-1": json.dumps(schema).encode()}
    found = validate(MemoryTree(VALID), cache, changed)
    assert lines(found) == ["services/orders/app.yml:1:1 error missing-key"]
    assert found[0].hint == "add `slack`"


def test_data_files_are_checked_though_the_settings_are_wrong() -> None:
    files = edited(("saasbot.yml", "branch: main\n", "dataDir: .\n"), ("instances/ci.yml", "url", "ulr"))
    assert {item.file for item in findings(files)} == {"saasbot.yml", "instances/ci.yml"}


def test_missing_and_unreadable_settings_are_findings() -> None:
    without = {path: text for path, text in VALID.items() if path != "saasbot.yml"}
    assert lines(findings(without)) == ["saasbot.yml:1:1 error missing-settings"]
    assert lines(findings({**VALID, "saasbot.yml": "a: [\n"})) == ["saasbot.yml:1:4 error syntax"]
    assert lines(findings({**VALID, "saasbot.yml": "dataDir: ../..\n"}))[0].startswith("saasbot.yml:1:1 error missing")
