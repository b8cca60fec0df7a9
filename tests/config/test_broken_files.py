"""Pairs: a broken file beside the findings that it gets, with line, column and rule."""

from __future__ import annotations

import pytest
from config_world import SHA, VALID, edited, findings, lines

from bot.config.rules import RULES

SETTINGS = "saasbot.yml"
SAAS = "services/orders/saas.yml"
APP = "services/orders/app.yml"
STAGE = "services/orders/stage.yml"
DEPLOY = "pipelines/deploy.yml"
FREEZE = "freezes/year-end.yml"
TRIGGER = "triggers/nightly.yml"

BOMB = """\
owners: [alice]
a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e]
"""

Edit = tuple[str, str, str]

CASES = [
    pytest.param(
        [(APP, "owners: [alice]", "owners: [alice")],
        ["services/orders/app.yml:4:15 error syntax"],
        id="a flow list that is not closed",
    ),
    pytest.param(
        [(APP, "owners: [alice]", "\towners: [alice]")],
        ["services/orders/app.yml:2:7 error syntax"],
        id="a tab for indentation",
    ),
    pytest.param(
        [(APP, "owners: [alice]", "owners: [alice]\nname: again")],
        ["services/orders/app.yml:4:1 error duplicate-key"],
        id="a key twice",
    ),
    pytest.param(
        [(SAAS, "    ref: main\n", "    ref: main\n    ref: main\n    name: x\n")],
        ["services/orders/saas.yml:16:5 error duplicate-key", "services/orders/saas.yml:17:5 error duplicate-key"],
        id="two keys twice",
    ),
    pytest.param(
        [(APP, "owners: [alice]", "owners: [alice]\n---\nx: 1")],
        ["services/orders/app.yml:4:1 error second-document"],
        id="a second document",
    ),
    pytest.param(
        [(APP, "owners: [alice]", "owners: [al\x00ice]")],
        ["services/orders/app.yml:3:12 error nul-byte"],
        id="a NUL byte",
    ),
    pytest.param(
        [(APP, "owners: [alice]", "owners: [alice]\n<<: 3")],
        ["services/orders/app.yml:4:5 error bad-merge"],
        id="a merge of a number",
    ),
    pytest.param(
        [(APP, "/app-1.json", "/app-9.json")],
        ["services/orders/app.yml:1:10 error unknown-kind"],
        id="an unknown version",
    ),
    pytest.param(
        [(APP, "/app-1.json", "/app-01.json")],
        ["services/orders/app.yml:1:10 error unknown-kind"],
        id="a version with a leading zero",
    ),
    pytest.param(
        [(SAAS, "    ref: main\n", "    ref: main\n    parametres: {}\n")],
        ["services/orders/saas.yml:16:5 error unknown-key"],
        id="an unknown key with a neighbour",
    ),
    pytest.param(
        [
            (
                SAAS,
                "    promotion: {publish: [orders-stage-ok]}",
                "    promotion: {publish: [orders-stage-ok], xyzzy: 1}",
            )
        ],
        ["services/orders/saas.yml:18:45 error unknown-key"],
        id="an unknown key in flow style",
    ),
    pytest.param(
        [(SAAS, "    ref: main\n", "")], ["services/orders/saas.yml:13:5 error missing-key"], id="a target without ref"
    ),
    pytest.param([(APP, "name: orders\n", "")], ["services/orders/app.yml:1:1 error missing-key"], id="missing name"),
    pytest.param(
        [(APP, "owners: [alice]\n", "")], ["services/orders/app.yml:1:1 error missing-key"], id="missing owners"
    ),
    pytest.param(
        [(APP, "owners: [alice]", "owners: []")], ["services/orders/app.yml:3:9 error missing-owner"], id="empty owners"
    ),
    pytest.param(
        [(SAAS, "    ref: main", "    ref: [main]")],
        ["services/orders/saas.yml:15:10 error wrong-type"],
        id="a list for a ref",
    ),
    pytest.param(
        [(SAAS, "    ref: main", "    ref: main\n    disable: yes")],
        ["services/orders/saas.yml:16:14 error wrong-type"],
        id="yes is a string in YAML 1.2",
    ),
    pytest.param([("instances/ci.yml", "jenkins", "jenkin")], ["instances/ci.yml:3:11 error bad-value"], id="enum"),
    pytest.param(
        [("instances/ci.yml", "url: https://ci.example.com\n", "")],
        ["instances/ci.yml:1:1 error missing-key"],
        id="an instance without url",
    ),
    pytest.param(
        [(APP, "name: orders", "name: or/ders")], ["services/orders/app.yml:2:7 error bad-value"], id="pattern"
    ),
    pytest.param(
        [(SAAS, "pipeline: {$ref: /pipelines/deploy.yml}\n", "")],
        ["services/orders/saas.yml:12:5 error missing-key"],
        id="no pipeline",
    ),
    pytest.param(
        [(DEPLOY, "timeout: 1h", "timeout: 1 hour")],
        ["pipelines/deploy.yml:5:10 error bad-duration"],
        id="a duration in words",
    ),
    pytest.param(
        [(DEPLOY, "timeout: 1h", "timeout: 60")],
        ["pipelines/deploy.yml:5:10 error wrong-type"],
        id="a duration without unit",
    ),
    pytest.param(
        [(DEPLOY, "timeout: 1h", "timeout: 999999d")],
        ["pipelines/deploy.yml:5:10 error bad-duration"],
        id="a duration of millennia",
    ),
    pytest.param([(SAAS, "soak: 24h", "soak: 1w")], ["services/orders/saas.yml:28:13 error bad-duration"], id="soak"),
    pytest.param([(SAAS, '"0 9 * * 1-4"', '"0 9 * *"')], ["services/orders/saas.yml:30:16 error bad-cron"], id="cron"),
    pytest.param(
        [(SAAS, '"0 9 * * 1-4"', '"0 99 * * 1"')], ["services/orders/saas.yml:30:16 error bad-cron"], id="cron2"
    ),
    pytest.param(
        [(SAAS, '"0 9 * * 1-4"', '"0 9 30 2 *"')],
        ["services/orders/saas.yml:30:16 error unreachable-window"],
        id="cron never",
    ),
    pytest.param(
        [(SAAS, "Europe/Prague", "Europe/Praha")], ["services/orders/saas.yml:30:55 error bad-timezone"], id="tz"
    ),
    pytest.param([(SAAS, "8h", "0h")], ["services/orders/saas.yml:30:41 error unreachable-window"], id="zero window"),
    pytest.param(
        [(FREEZE, "2027-01-03T08:00:00+01:00", "2026-12-03T08:00:00+01:00")],
        ["freezes/year-end.yml:7:36 error unreachable-window"],
        id="interval",
    ),
    pytest.param(
        [(FREEZE, "2027-01-03T08:00:00+01:00", "2027-01-33T08:00:00Z")],
        ["freezes/year-end.yml:7:36 error bad-time"],
        id="moment",
    ),
    pytest.param(
        [(FREEZE, "- {from: 2026-12-23T12:00:00Z,", '- {cron: "0 0 * * *", from: 2026-12-23T12:00:00Z,')],
        ["freezes/year-end.yml:7:4 error unknown-key"],
        id="mixed window",
    ),
    pytest.param(
        [(FREEZE, ", to: 2027-01-03T08:00:00+01:00", "")],
        ["freezes/year-end.yml:7:3 error missing-key"],
        id="from only",
    ),
    pytest.param(
        [(FREEZE, "owner: release-team", 'owner: ""')],
        ["freezes/year-end.yml:3:8 error missing-owner"],
        id="freeze owner",
    ),
    pytest.param(
        [(FREEZE, "apps: [orders]", "apps: [order]")], ["freezes/year-end.yml:5:44 warning unknown-scope"], id="scope"
    ),
    pytest.param(
        [(SAAS, SHA, "main")], ["services/orders/saas.yml:21:10 error subscriber-not-pinned"], id="not pinned"
    ),
    pytest.param(
        [(SAAS, SHA, "8f14e45")], ["services/orders/saas.yml:21:10 error subscriber-not-pinned"], id="short sha"
    ),
    pytest.param(
        [(SAAS, SHA, "0123456")], ["services/orders/saas.yml:21:10 error subscriber-not-pinned"], id="numeric sha"
    ),
    pytest.param(
        [(SAAS, "/services/orders/stage.yml", "/services/orders/stge.yml")],
        ["services/orders/saas.yml:14:23 error dangling-ref"],
        id="dangling",
    ),
    pytest.param(
        [(STAGE, "/services/orders/app.yml", "/zzz.yml")],
        ["services/orders/stage.yml:5:13 error dangling-ref"],
        id="dangling2",
    ),
    pytest.param(
        [(SAAS, "app: {$ref: /services/orders/app.yml}", "app: {$ref: /pipelines/deploy.yml}")],
        ["services/orders/saas.yml:3:13 error mistyped-ref"],
        id="mistyped",
    ),
    pytest.param(
        [("instances/ci.yml", "provider: jenkins", "provider: registry")],
        ["services/orders/saas.yml:16:33 error wrong-instance"],
        id="upstream at a registry",
    ),
    pytest.param(
        [("instances/registry.yml", "provider: registry", "provider: gitlab")],
        ["services/orders/saas.yml:17:32 error wrong-instance"],
        id="image at no registry",
    ),
    pytest.param(
        [(SAAS, 'tag: "{sha7}"', 'tag: "{branch}"')],
        ["services/orders/saas.yml:17:87 error bad-tag"],
        id="tag",
    ),
    pytest.param(
        [(SAAS, "    ref: main\n", f"    ref: {'8f14e45fceea167a5a36dedd4bea2543ce3dc40d'}\n")],
        ["services/orders/saas.yml:16:5 warning unused-upstream"],
        id="upstream of a pin",
    ),
    pytest.param(
        [(SAAS, "app: {$ref: /services/orders/app.yml}", "app: {$ref: /.gitlab-ci.yml}")],
        ["services/orders/saas.yml:3:13 error mistyped-ref"],
        id="mistyped foreign",
    ),
    pytest.param(
        [(SAAS, "app: {$ref: /services/orders/app.yml}", "app: {$ref: /../app.yml}")],
        ["services/orders/saas.yml:3:13 error ref-outside"],
        id="outside",
    ),
    pytest.param(
        [(SAAS, "app: {$ref: /services/orders/app.yml}", "app: {$ref: services/orders/app.yml}")],
        ["services/orders/saas.yml:3:13 error ref-outside"],
        id="relative",
    ),
    pytest.param(
        [(SAAS, "  - name: stage\n", "  - name: orders-production\n")],
        [
            "freezes/year-end.yml:5:63 warning unknown-scope",
            "services/orders/saas.yml:13:11 error duplicate-id",
            "services/orders/saas.yml:19:5 error duplicate-id",
        ],
        id="dup id",
    ),
    pytest.param(
        [(SAAS, "      - orders-stage-ok\n", "      - orders-stage-ko\n")],
        ["services/orders/saas.yml:27:9 error channel-not-published"],
        id="unpublished",
    ),
    pytest.param(
        [(SAAS, "      auto: true\n", "      auto: true\n      publish: [orders-stage-ok]\n")],
        ["services/orders/saas.yml:28:9 error promotion-cycle"],
        id="cycle",
    ),
    pytest.param(
        [(SAAS, "    ref: main\n", "    ref: main\n    disable: true\n")],
        ["services/orders/saas.yml:28:9 error disabled-publisher"],
        id="disabled",
    ),
    pytest.param(
        [(DEPLOY, "with: {command: [./deploy.sh]}", "with: {command: ./deploy.sh}")],
        ["pipelines/deploy.yml:4:17 error bad-with"],
        id="with",
    ),
    pytest.param(
        [(DEPLOY, "with: {command: [./deploy.sh]}", "with: {cmd: []}")],
        ["pipelines/deploy.yml:4:7 error bad-with"],
        id="with2",
    ),
    pytest.param(
        [(DEPLOY, "with: {command: [./deploy.sh]}", "with: [x]")],
        ["pipelines/deploy.yml:4:7 error bad-with", "pipelines/deploy.yml:4:7 error wrong-type"],
        id="with3",
    ),
    pytest.param(
        [(SETTINGS, "prefix: /saasbot", "prefix: /close")], ["saasbot.yml:5:20 error alias-collision"], id="alias"
    ),
    pytest.param(
        [(SETTINGS, "branch: main", "branch: main\ndataDir: ../x")], ["saasbot.yml:3:10 error bad-value"], id="datadir"
    ),
    pytest.param(
        [(SETTINGS, "branch: main", "brunch: main")],
        ["saasbot.yml:1:1 error missing-key", "saasbot.yml:2:1 error unknown-key"],
        id="set key",
    ),
    pytest.param(
        [(SETTINGS, "branch: main", "branch: main\npromotions: {batchBy: files, maxBatch: 0}")],
        ["saasbot.yml:3:23 error bad-value", "saasbot.yml:3:40 error bad-value"],
        id="set enum",
    ),
    pytest.param(
        [(SETTINGS, "/settings-1.json", "/app-1.json")], ["saasbot.yml:1:10 error misplaced-settings"], id="set kind"
    ),
    pytest.param(
        [(SAAS, "REPLICAS: 4", "IMAGE_TAG: 12e3456")], ["services/orders/saas.yml:23:29 error bad-value"], id="inf"
    ),
    pytest.param(
        [(SAAS, "REPLICAS: 4", "N: 99999999999999999999")], ["services/orders/saas.yml:23:21 error bad-value"], id="int"
    ),
    pytest.param([(SAAS, "REPLICAS: 4", "1: x")], ["services/orders/saas.yml:23:18 error wrong-type"], id="intkey"),
    pytest.param(
        [(TRIGGER, '"0 0 0 * * *"', '"0 0 0 * * * *"')], ["triggers/nightly.yml:14:28 error bad-cron"], id="trig cron"
    ),
    pytest.param([(TRIGGER, "pause: 10m", "pause: 10")], ["triggers/nightly.yml:8:25 error wrong-type"], id="trig dur"),
    pytest.param(
        [(TRIGGER, "timezone: UTC", "timezone: ../UTC")], ["triggers/nightly.yml:5:46 error bad-timezone"], id="trig tz"
    ),
    pytest.param(
        [(APP, "owners: [alice]", "ownres: [alice]"), (STAGE, "cluster: stage-1", "cluster: 1")],
        [
            "services/orders/app.yml:1:1 error missing-key",
            "services/orders/app.yml:3:1 error unknown-key",
            "services/orders/stage.yml:3:10 error wrong-type",
        ],
        id="two errors",
    ),
    pytest.param(
        [("instances/registry.yml", "{env: REGISTRY_TOKEN}", "{env: A, file: b}")],
        ["instances/registry.yml:5:8 error bad-value"],
        id="token",
    ),
    pytest.param(
        [(APP, "owners: [alice]", "owners: [alice]\n5: x")],
        ["services/orders/app.yml:4:1 error wrong-type"],
        id="int root key",
    ),
    pytest.param([(APP, "owners: [alice]\n", BOMB)], [f"{APP}:5:9 error alias-bomb"], id="an alias bomb"),
    pytest.param(
        [(FREEZE, VALID[FREEZE][VALID[FREEZE].index("windows:") :], "windows: []\n")],
        [f"{FREEZE}:6:10 error unreachable-window"],
        id="a freeze without windows",
    ),
    pytest.param(
        [(SAAS, "      - orders-stage-ok\n", "      - orders-stage-ok\n      - 1\n")],
        [f"{SAAS}:28:9 error wrong-type"],
        id="a channel that is a number",
    ),
    pytest.param(
        [(SAAS, "      auto: true\n", "      auto: true\n      promotionData: [{channel: x, data: [{a: .inf}]}]\n")],
        [f"{SAAS}:26:47 error bad-value"],
        id="promotion data that JSON has no word for",
    ),
    pytest.param(
        [(SAAS, ', tag: "{sha7}"', ""), (SAAS, "  targets:\n", "  targets:\n  - text\n")],
        [f"{SAAS}:13:5 error wrong-type", f"{SAAS}:18:14 error missing-key"],
        id="a target that is a text and an image without tag",
    ),
    pytest.param(
        [(SAAS, "  targets:\n", "  targets: &t\n"), (SAAS, "- name: web\n", "- &web\n  name: web\n")],
        [],
        id="anchors that nobody uses",
    ),
    pytest.param(
        [(SAAS, "/services/orders/stage.yml", "/x/.././services//orders/stage.yml")],
        [],
        id="a path with detours that stays inside",
    ),
    pytest.param(
        [(APP, "owners: [alice]\n", f"name: again\n{BOMB}")], [f"{APP}:6:9 error alias-bomb"], id="a bomb twice"
    ),
    pytest.param([(SETTINGS, "", "- 1\n")], [f"{SETTINGS}:1:1 error wrong-type"], id="settings that are a list"),
    pytest.param(
        [("sub/saasbot.yml", "", VALID[SETTINGS])],
        ["sub/saasbot.yml:1:10 warning misplaced-settings"],
        id="settings in a folder",
    ),
    pytest.param(
        [("services/orders/app2.yml", "", VALID[APP])],
        [f"{APP}:2:7 error duplicate-name", "services/orders/app2.yml:2:7 error duplicate-name"],
        id="a copy of an app",
    ),
    pytest.param(
        [(SAAS, "    ref: main\n", "    ref: main\n    <<: [{path: x}, {path: y}]\n")],
        [f"{SAAS}:16:11 error unknown-key"],
        id="a merged key is reported where it is merged",
    ),
]


@pytest.mark.parametrize(("edits", "expected"), CASES)
def test_a_broken_file_gets_its_findings(edits: list[Edit], expected: list[str]) -> None:
    assert lines(findings(edited(*edits))) == expected


@pytest.mark.parametrize(("edits", "expected"), CASES)
def test_every_finding_has_words_and_a_documented_rule(edits: list[Edit], expected: list[str]) -> None:
    found = findings(edited(*edits))
    assert len(found) == len(expected)
    assert {item.rule for item in found} <= RULES.keys()
    assert all(item.message and "\n" not in item.message and len(item.message) < 500 for item in found)


def test_a_valid_repository_has_no_findings() -> None:
    assert findings(VALID) == ()


def test_an_unknown_key_gets_a_suggestion() -> None:
    (found,) = findings(edited((SAAS, "    ref: main\n", "    ref: main\n    parametres: {}\n")))
    assert found.hint == "did you mean `parameters`?"


def test_a_dangling_reference_gets_a_suggestion() -> None:
    (found,) = findings(edited((SAAS, "/services/orders/stage.yml", "/services/orders/stge.yml")))
    assert found.hint == "did you mean `/services/orders/stage.yml`?"


def test_a_secret_in_the_wrong_place_is_not_shown() -> None:
    (found,) = findings(edited(("instances/registry.yml", "{env: REGISTRY_TOKEN}", "glpat-hunter2")))
    assert "hunter2" not in found.message + found.hint
