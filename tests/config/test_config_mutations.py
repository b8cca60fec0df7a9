"""No traceback on any input: a valid repository, changed at random, gives findings and a model."""

from __future__ import annotations

import os
import random
import re

from config_world import SCHEMAS, VALID, MemoryCache, MemoryTree
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compat_files import COMPAT

from bot.config.load import load
from bot.config.rules import RULES
from bot.config.settings_file import best_settings, read_settings
from bot.config.validate import validate

VALUES = (
    "", "~", "[]", "{}", "- x", "0", "-1", "1e999", ".nan", "99999999999999999999", "true", "*a", "&a x", "!!set {a}",
    "{1: 2}", "{? [a] : b}", "{<<: 1}", "{$ref: /x.yml}", "{$ref: 1}", "{$ref: /../x.yml}", "'", '"', "|", "/", "\0",
    "2026-01-01", "0 0 30 2 *", "1h", "\u2028", "{$ref: /instances/shell.yml}", "[[[[[]]]]]", "x: y", "[{}]", "[~]",
)  # fmt: skip

MUTATIONS = int(os.environ.get("SAASBOT_MUTATIONS", "800"))
"""A fifth of it is how many repositories are changed here; each is read twice."""

FILES = {**VALID, **COMPAT}
PATHS = sorted(FILES)


def flip(text: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(text))
    return text[:place] + bytes([rng.randrange(256)]) + text[place + 1 :]


def drop(text: bytes, rng: random.Random) -> bytes:
    kept = text.splitlines(keepends=True)
    del kept[rng.randrange(len(kept))]
    return b"".join(kept)


def repeat(text: bytes, rng: random.Random) -> bytes:
    kept = text.splitlines(keepends=True)
    kept.insert(rng.randrange(len(kept)), rng.choice(kept))
    return b"".join(kept)


def indent(text: bytes, rng: random.Random) -> bytes:
    kept = text.splitlines(keepends=True)
    place = rng.randrange(len(kept))
    kept[place] = kept[place][1:] if rng.random() < 0.5 else b"  " + kept[place]
    return b"".join(kept)


def replace(text: bytes, rng: random.Random) -> bytes:
    places = list(re.finditer(rb"(?<=[:,\[-] )[^\s,{}\[\]]+", text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(VALUES).encode() + text[place.end() :]


def replace_rest(text: bytes, rng: random.Random) -> bytes:
    places = list(re.finditer(rb"(?m)(?<=: ).+$", text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(VALUES).encode() + text[place.end() :]


def rename(text: bytes, rng: random.Random) -> bytes:
    places = list(re.finditer(rb"[A-Za-z$]+(?=:)", text))
    if not places:
        return text
    place, other = rng.choice(places), rng.choice(places)
    return text[: place.start()] + other.group() + text[place.end() :]


CHANGES = (flip, drop, repeat, indent, replace, replace_rest, rename)


def mutated(rng: random.Random) -> dict[str, bytes]:
    files = {path: text.encode() for path, text in FILES.items()}
    for _ in range(rng.randint(1, 4)):
        path = rng.choice(PATHS)
        if rng.random() < 0.03:
            files.pop(path, None)
        elif files.get(path):
            files[path] = rng.choice(CHANGES)(files[path], rng)
    return files


@given(st.integers(0, 2**32))
@settings(max_examples=MUTATIONS // 5, deadline=None)
def test_a_changed_repository_gives_findings_and_a_model(seed: int) -> None:
    tree = MemoryTree(mutated(random.Random(seed)))  # noqa: S311 - a seed must give the same files
    cache = MemoryCache()
    found = validate(tree, cache, SCHEMAS)
    assert {item.rule for item in found} <= RULES.keys()
    assert all(item.line >= 1 and item.column >= 1 for item in found)
    given_settings, _ = read_settings(tree, SCHEMAS)
    result = load(tree, given_settings or best_settings(tree), SCHEMAS, cache)
    assert set(result.findings) <= set(found)
    desired = result.desired
    assert not set(desired.targets) & set(desired.invalid_targets)
    assert not {target.file for target in desired.targets.values()} & set(desired.invalid)
    assert all(target.pipeline.file not in desired.invalid for target in desired.targets.values())
