"""No traceback on any input: files of the example, mutated by the thousand, are validated and planned."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from worlds.world import PROD, World

from bot.config.load import load
from bot.config.schema import Schemas
from bot.config.settings_file import settings as read_settings
from bot.core.context import Context
from bot.core.decide import deliberate
from bot.core.statefile import decode, encode
from bot.errors import SaasbotError
from bot.model.observed import Observed
from bot.model.state import State
from bot.ports import SourceFile
from bot.providers.resources import example, schemas
from bot.reconcile import plan as plan_of
from bot.render.findings import render
from bot.settings import Settings

MUTATIONS = int(os.environ.get("SAASBOT_MUTATIONS", "800"))
"""How many mutated repositories the suite tries."""

FRAGMENTS = (
    b":", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"<<: *a\n", b"!!binary ", b"|\n", b">-\n", b"\t", b"\0",
    b"\xff", b"\xef\xbb\xbf", b"\r\n", b"---\n", b"...\n", b"%YAML 1.1\n", b"? ", b"# ", b'"', b"'", b"null", b"~",
    b"1e999", b".inf", b"0x7f", b"2026-01-01", b"$ref: /saasbot.yml", b"{$ref: ../../etc/passwd}", b"$schema: x\n",
    b"9" * 400, b"[" * 200, b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"true", b"-1", b"name: orders\n",
)  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """A config tree in memory; its blobs are not named, so that nothing is taken from a cache."""

    contents: dict[str, bytes]
    sha: str | None = None

    def files(self) -> Sequence[SourceFile]:
        return [SourceFile(path, "") for path in sorted(self.contents)]

    def read(self, files: Sequence[SourceFile]) -> Iterable[bytes]:
        return (self.contents[file.path] for file in files)


@dataclass
class Forgetful:
    """A cache that forgets."""

    misses: int = field(default=0)

    def get(self, name: str) -> None:
        del name
        self.misses += 1

    def put(self, name: str, data: bytes) -> None:
        """Drop it."""


def files() -> dict[str, bytes]:
    root = example()
    found = sorted(path for pattern in ("*.yml", "*.json") for path in Path(str(root)).rglob(pattern))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def mutated(content: bytes, chance: random.Random) -> bytes:
    """One to four small accidents."""
    for _ in range(chance.randint(1, 4)):
        at, end = sorted((chance.randint(0, len(content)), chance.randint(0, len(content))))
        lines = content.splitlines(keepends=True)
        match chance.randint(0, 6):
            case 0:
                content = content[:at] + chance.choice(FRAGMENTS) + content[at:]
            case 1:
                content = content[:at] + content[min(end, at + 30) :]
            case 2:
                content = content[:at]
            case 3 if lines:
                number = chance.randrange(len(lines))
                content = b"".join(lines[:number] + lines[number + 1 :])
            case 4 if lines:
                number = chance.randrange(len(lines))
                content = b"".join((*lines[:number], lines[number], *lines[number:]))
            case 5 if lines:
                number = chance.randrange(len(lines))
                lines[number] = lines[number].split(b":")[0] + b": " + chance.choice(FRAGMENTS) + b"\n"
                content = b"".join(lines)
            case _:
                if content:
                    at = min(at, len(content) - 1)
                    content = content[:at] + bytes((chance.randrange(256),)) + content[at + 1 :]
    return content


def settings() -> Settings:
    found, findings = read_settings(files()["saasbot.yml"], Schemas(schemas()))
    assert found is not None
    assert not findings
    return found


def adopted(known: Settings, contents: dict[str, bytes]) -> Context:
    """What was there before the accident."""
    desired = load(Memory(contents), known, schemas(), Forgetful()).desired
    urls = {target.url: {target.ref: "a" * 40} for target in desired.targets.values()}
    observed = Observed("b" * 40, "saasbot", "c" * 32, refs=urls)
    context = Context(known, desired, observed, None, datetime(2026, 1, 5, tzinfo=UTC))
    plan, _ = deliberate(context)
    assert plan.record is not None
    return replace(context, state=plan.record)


@pytest.mark.parametrize("part", range(4))
def test_a_mutated_repository_ends_in_findings_and_a_plan(part: int) -> None:
    chance = random.Random(f"{part} 20260105")  # noqa: S311 - no secret, the same accidents each time
    known, original = settings(), files()
    before = adopted(known, original)
    everything = schemas()
    outcomes = {"valid": 0, "invalid": 0}
    for number in range(MUTATIONS // 4):
        contents = dict(original)
        for path in chance.sample(sorted(original), chance.randint(1, 2)):
            contents[path] = mutated(contents[path], chance)
        try:
            loaded = load(Memory(contents), known, everything, Forgetful())
            if number % 20 == 0:
                for fmt in ("text", "json", "github", "codequality", "sarif", "junit"):
                    render(loaded.findings, fmt, {})
            outcomes["invalid" if loaded.desired.invalid else "valid"] += 1
            context = replace(before, desired=loaded.desired)
            plan, _ = deliberate(context)
        except SaasbotError:
            continue
        except Exception as error:
            raise AssertionError({path: new for path, new in contents.items() if new != original[path]}) from error
        held = {each.subject.removeprefix("target:") for each in plan.held if each.gate == "invalid"}
        for target in before.desired.targets.values():
            missing = target.id not in loaded.desired.targets and target.id not in held
            assert not (missing and target.file in loaded.desired.invalid), (target.id, contents[target.file])
        removed = {each.id for each in (plan.record or State()).targets.values() if each.removed_at is not None}
        assert not any(before.desired.targets[each].file in loaded.desired.invalid for each in removed), removed
    assert min(outcomes.values()) > 0, outcomes


def test_mutated_settings_end_in_findings() -> None:
    chance = random.Random("settings 20260105")  # noqa: S311 - as above
    original, known = files()["saasbot.yml"], Schemas(schemas())
    accepted = 0
    for _ in range(MUTATIONS):
        content = mutated(original, chance)
        try:
            found, findings = read_settings(content, known)
        except SaasbotError:
            continue
        except Exception as error:
            raise AssertionError(content) from error
        accepted += found is not None
        assert found is not None or findings
    assert 0 < accepted < MUTATIONS


def test_a_mutated_statefile_is_refused_or_read() -> None:
    chance = random.Random("state 20260105")  # noqa: S311 - as above
    state = adopted(settings(), files()).state
    assert isinstance(state, State)
    original = encode(state)
    for _ in range(MUTATIONS):
        content = mutated(original, chance)
        try:
            found = decode(content, "the statefile")
        except SaasbotError:
            continue
        except Exception as error:
            raise AssertionError(content) from error
        assert isinstance(found, State)


ODD: tuple[Any, ...] = (
    None,
    -1,
    0,
    10**30,
    1.5,
    True,
    "",
    "x",
    "/",
    "x:y",
    [],
    [None],
    {},
    {"x": 1},
    "2026-01-05T00:00:00",
)


def with_odd_value(document: Any, chance: random.Random) -> None:
    """Put an odd value somewhere in a document, take an entry out, or call it by another name."""
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(document[key], dict | list) and chance.random() < 0.85:
            document = document[key]
            continue
        if isinstance(document, dict) and chance.random() < 0.2:
            value = document.pop(key)
            if chance.random() < 0.5:
                document["elsewhere"] = value
            return
        document[key] = copy.deepcopy(chance.choice(ODD))
        return


def test_a_statefile_with_odd_values_is_refused_or_planned_with(plain: World) -> None:
    plain.promoted()
    plain.comment("alice", "/saasbot hold")
    plain.comment("bob", "/saasbot status")
    plain.say("alice", f"pin {PROD}")
    plain.say("alice", 'freeze environment:stage 4h reason="x"')
    plain.say("alice", f'block {plain.folders.service("svc")} {"a" * 40} reason="x"')
    plain.say("alice", f'override soak {PROD} reason="x"')
    plain.commit()
    job = plain.job()
    context, _ = plan_of(job, job.ports.config.tree(job.ports.config.fetch("main")))
    assert context.state is not None
    original, chance = json.loads(encode(context.state)), random.Random("odd 20260105")  # noqa: S311 - as above
    planned = 0
    for _ in range(MUTATIONS):
        document = json.loads(json.dumps(original))
        for _ in range(chance.randint(1, 3)):
            with_odd_value(document, chance)
        try:
            state = decode(json.dumps(document).encode(), "the statefile")
            deliberate(replace(context, state=state))
        except SaasbotError:
            continue
        except Exception as error:
            raise AssertionError(
                {key: found for key, found in document.items() if found != original.get(key)}
            ) from error
        planned += 1
    assert planned > MUTATIONS // 20
