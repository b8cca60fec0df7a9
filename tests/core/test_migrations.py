"""A statefile of each older version, as it was written then, is read as this release understands it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.core.migrations import MIGRATIONS, migrated
from bot.core.statefile import decode, encode, next_serial
from bot.core.upkeep import salvage
from bot.errors import WrongUsage
from bot.model.runs import Reason, Run, RunStatus
from bot.model.servers import Instance
from bot.model.state import VERSION, Edit, Hold, MergeRequestState, Publication, State, TargetState

AT = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
OLD, NEW = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d", "45c48cce2e2d7fbdea1afc51c7c6ad26d25bb4f5"

VERSION_1 = """\
{"version":1,"lineage":"c0ffee","serial":41,"time":"2026-01-05T10:00:00Z","targets":{"orders/orders/production":{
"id":"orders/orders/production","file":"services/orders/saas.yml","ref":"8f14e45fceea167a5a36dedd4bea2543ce3dc40d",
"sha":"8f14e45fceea167a5a36dedd4bea2543ce3dc40d","config":"{}","config_hash":"1:abc","run_number":3,"run":{
"key":"0123456789abcdef0123456789abcdef","number":3,"sha":"8f14e45fceea167a5a36dedd4bea2543ce3dc40d",
"config_hash":"1:abc","pipeline":"deploy","action":"deploy","attempt":1,"reasons":[{"kind":"promotion","text":"moved"}],
"status":"running","intent_at":"2026-01-05T10:00:00Z","started_at":null,"finished_at":null,"handle":"h1","url":"",
"text":"","config_sha":"","previous":"","timeout":"PT3600S","instance":{"name":"shell","provider":"command","url":"",
"token":null,"rate_limit":"","file":"","ca":""}},"deployed_sha":"","deployed_at":null,"adopted":false,"deleted":false,
"removed_at":null,"publishers":{},"publish":["orders-ok"]}},"channels":{"orders-stage-ok":[{
"target":"orders/orders/stage","sha":"45c48cce2e2d7fbdea1afc51c7c6ad26d25bb4f5","config_hash":"1:def",
"first_at":"2026-01-05T10:00:00Z","finished_at":"2026-01-05T10:00:00Z","run_key":"k"}]},"triggers":{},
"merge_requests":{"saasbot/services/orders/saas.yml":{"branch":"saasbot/services/orders/saas.yml","iid":7,
"batch":"services/orders/saas.yml","part":1,"edits":[{"target":"orders/orders/production",
"file":"services/orders/saas.yml","old":"8f14e45fceea167a5a36dedd4bea2543ce3dc40d",
"new":"45c48cce2e2d7fbdea1afc51c7c6ad26d25bb4f5"}],"base":"b","head":"h","hold":{"by":"bob",
"at":"2026-01-05T10:00:00Z","reason":"fair"},"opened_at":"2026-01-05T10:00:00Z","changed_at":"2026-01-05T10:00:00Z",
"asked":"","merged":false,"forgiven":"","auto_merge":""}},"vetoes":[],"cursors":{"notes:7":12},"failed_contents":[],
"splits":[],"requests":{},"run_requests":{},"pins":{},"blocks":[],"overrides":[],"freezes":[],"answers":{},
"questions":{}}
"""

PRODUCTION = TargetState(
    id="orders/orders/production",
    file="services/orders/saas.yml",
    ref=OLD,
    sha=OLD,
    config="{}",
    config_hash="1:abc",
    run_number=3,
    run=Run(
        key="0123456789abcdef0123456789abcdef",
        number=3,
        sha=OLD,
        config_hash="1:abc",
        pipeline="deploy",
        reasons=(Reason("promotion", "moved"),),
        status=RunStatus.RUNNING,
        intent_at=AT,
        handle="h1",
        timeout=timedelta(hours=1),
        instance=Instance("shell", "command"),
    ),
    publish=("orders-ok",),
    sources=None,
)
OPEN = MergeRequestState(
    branch="saasbot/services/orders/saas.yml",
    iid=7,
    batch="services/orders/saas.yml",
    part=1,
    edits=(Edit(PRODUCTION.id, PRODUCTION.file, OLD, NEW),),
    base="b",
    head="h",
    hold=Hold("bob", AT, "fair"),
    opened_at=AT,
    changed_at=AT,
)
FROM_1 = State(
    lineage="c0ffee",
    serial=41,
    time=AT,
    targets={PRODUCTION.id: PRODUCTION},
    channels={"orders-stage-ok": (Publication("orders/orders/stage", NEW, "1:def", AT, AT, "k"),)},
    merge_requests={OPEN.branch: OPEN},
    cursors={"notes:7": 12},
)

DOCUMENTS = {1: (VERSION_1, FROM_1)}
"""By version: a document as a release wrote it, and the state that it means now."""


def test_every_version_can_be_migrated_and_is_tried_here() -> None:
    assert set(MIGRATIONS) == set(DOCUMENTS) == set(range(1, VERSION))


@pytest.mark.parametrize("version", DOCUMENTS)
def test_an_older_document_means_the_same_now(version: int) -> None:
    document, meant = DOCUMENTS[version]
    found = decode(document.encode(), "state.json")
    assert found == meant
    assert found.version == VERSION
    written = encode(next_serial(found))
    assert json.loads(written)["version"] == VERSION
    assert decode(written, "state.json") == next_serial(meant)


@pytest.mark.parametrize("version", DOCUMENTS)
def test_a_damaged_older_document_is_salvaged_as_what_it_means_now(version: int) -> None:
    document, meant = DOCUMENTS[version]
    assert salvage(document.encode()) == (meant, ())
    broken: dict[str, Any] = {**json.loads(document), "cursors": {"notes:7": "twelve"}, "vetoes": 5}
    found, lost = salvage(json.dumps(broken).encode())
    assert (found.targets, found.merge_requests, found.vetoes) == (meant.targets, meant.merge_requests, ())
    assert sorted(each.split(":")[0] for each in lost) == ["cursors", "vetoes"]


def test_text_that_no_program_reads_is_given_up_alone() -> None:
    broken = VERSION_1.encode().replace(b'"triggers":{}', b'"triggers":{"a":"\xff"}')
    found, lost = salvage(broken)
    assert found.targets == FROM_1.targets
    assert [each.split(":")[0] for each in lost] == ["triggers"]


@pytest.mark.parametrize("version", [VERSION + 1, 0, -1, True, None, "1", 1.0])
def test_a_newer_or_an_unknown_version_is_refused(version: object) -> None:
    document = {**json.loads(VERSION_1), "version": version}
    with pytest.raises(WrongUsage, match=r"this program reads versions 1 to \d+") as refused:
        decode(json.dumps(document).encode(), "state.json")
    assert refused.value.hint == "use the release that wrote it, or a newer one"
    with pytest.raises(WrongUsage, match="this program reads versions"):
        salvage(json.dumps(document).encode())


def test_a_document_of_this_version_is_left_as_it_is() -> None:
    document = {"version": VERSION, "anything": 1}
    assert migrated(document) is document
