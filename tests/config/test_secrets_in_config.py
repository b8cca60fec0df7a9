"""A secret that is written into the config is found, and shown in no format of `validate`."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from config_world import VALID, edited, findings
from worlds import planted

from bot.config.rules import RULES
from bot.model.findings import Finding
from bot.render.findings import Format, render

VALUE = planted.token("literal")
SHAPED = "glpat-" + "planted-secret-0123456789"
NAMED = "ghp_" + "planted_secret_0123456789"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nplanted-secret-0123456789\n-----END RSA PRIVATE KEY-----"
SETTINGS, CI, DEPLOY = "saasbot.yml", "instances/ci.yml", "pipelines/deploy.yml"
SAAS, APP, TRIGGER = "services/orders/saas.yml", "services/orders/app.yml", "triggers/nightly.yml"
SERVER = "provider: gitlab, project: a/b"
LOCAL = "provider: local, path: ../forge, members: {alice: owner, bob: developer}"
GITLAB = "$schema: /instance-1.json\nname: shell\nprovider: gitlab\nurl: https://gitlab.example.com\n"

LITERALS = [
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: {VALUE}")], "wrong-type", id="token"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: [{VALUE}]")], "wrong-type", id="list"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: {{{VALUE}}}")], "unknown-key", id="key"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: {{env: {VALUE}}}")], "bad-value", id="env"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: {{value: {VALUE}}}")], "unknown-key", id="val"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: *{VALUE}")], "syntax", id="alias"),
    pytest.param([(CI, "provider: jenkins", f'provider: jenkins\ntoken: "{VALUE}')], "syntax", id="unclosed"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: !{VALUE} [")], "syntax", id="tag"),
    pytest.param([(SETTINGS, LOCAL, f"{SERVER}, token: {VALUE}")], "wrong-type", id="forge.token"),
    pytest.param([(SETTINGS, LOCAL, f"{SERVER}, app: {{id: 1, key: {VALUE}}}")], "wrong-type", id="forge.app.key"),
    pytest.param([(SETTINGS, "commands:", f"report: {{key: {VALUE}}}\ncommands:")], "wrong-type", id="report.key"),
    pytest.param(
        [
            ("instances/shell.yml", VALID["instances/shell.yml"], GITLAB),
            (DEPLOY, "{command: [./deploy.sh]}", f"{{project: a/b, trigger: {VALUE}}}"),
        ],
        "bad-with",
        id="with.trigger",
    ),
]

URL = f"https://bot:{VALUE}@example.com/a"
IN_CONFIG = [
    pytest.param([(CI, "https://ci.example.com", URL)], id="instance.url"),
    pytest.param([(CI, "https://ci.example.com", f"https://example.com?private_token={VALUE}")], id="query"),
    pytest.param([(CI, "https://ci.example.com", f"https://ci.example.com\nca: {SHAPED}")], id="shaped"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: {{file: {SHAPED}}}")], id="token.file"),
    pytest.param([(CI, "provider: jenkins", f"provider: jenkins\ntoken: {{env: {NAMED}}}")], id="token.env"),
    pytest.param([(SETTINGS, LOCAL, f"{SERVER}, url: '{URL}'")], id="forge.url"),
    pytest.param([(SETTINGS, "file:../state.json", f"s3://id:{VALUE}@bucket/state.json")], id="state.url"),
    pytest.param([(SETTINGS, "commands:", f"queue: {{url: 'redis://:{VALUE}@queue:6379/0'}}\ncommands:")], id="queue"),
    pytest.param([(SAAS, "https://git.example.com/orders", URL)], id="template url"),
    pytest.param([(APP, "https://git.example.com/orders", URL)], id="code component"),
    pytest.param([(DEPLOY, "[./deploy.sh]", f"[curl, '{URL}']")], id="with.command"),
    pytest.param([("instances/registry.yml", "https://registry.example.com", URL)], id="image instance"),
    pytest.param([(TRIGGER, "name: nightly", f"name: {SHAPED}")], id="a trigger's name"),
]  # fmt: skip


def shown(found: tuple[Finding, ...]) -> Mapping[str, str]:
    """The findings in each format."""
    return {fmt.value: render(found, fmt.value, RULES) for fmt in Format}


def assert_hidden(found: tuple[Finding, ...]) -> None:
    """No format, and no finding before it is formatted, shows what was written."""
    texts = {**shown(found), "raw": repr(found)}
    assert {name: text for name, text in texts.items() if "planted" in text} == {}
    inside = base64.b64encode(VALUE.encode()).decode()[:12]
    assert [name for name, text in texts.items() if inside in text] == []
    assert len(texts) == 7


@pytest.mark.parametrize(("edits", "rule"), LITERALS)
def test_a_literal_where_a_place_belongs_is_an_error_that_hides_it(
    edits: list[tuple[str, str, str]], rule: str
) -> None:
    found = findings(edited(*edits))
    assert rule in {each.rule for each in found if each.severity == "error"}
    assert_hidden(found)


@pytest.mark.parametrize("edits", IN_CONFIG)
def test_a_secret_anywhere_in_the_config_is_an_error_that_hides_it(edits: list[tuple[str, str, str]]) -> None:
    found = findings(edited(*edits))
    assert "secret-in-config" in {each.rule for each in found if each.severity == "error"}
    assert_hidden(found)


def test_a_key_in_pem_is_found_and_hidden() -> None:
    block = PEM.replace("\n", "\n    ")
    found = findings(edited((CI, "provider: jenkins", f"provider: jenkins\nca: |\n    {block}")))
    assert {each.rule for each in found} == {"secret-in-config"}
    assert_hidden(found)


@pytest.mark.parametrize(
    "url",
    [
        "https://acme@dev.azure.example.com/acme/_git/orders",
        "ssh://git@git.example.com/orders",
        "git@git.example.com:orders",
        "https://git.example.com:8443/orders@v2?page=2",
        "https://bot:$PASSWORD@git.example.com/orders",
        "https://git.example.com/orders?token={token}",
    ],
)
def test_a_name_alone_or_a_placeholder_is_no_secret(url: str) -> None:
    files = edited((SAAS, "https://git.example.com/orders", url), (APP, "https://git.example.com/orders", url))
    assert [each for each in findings(files) if each.rule == "secret-in-config"] == []
    assert findings(edited((DEPLOY, "[./deploy.sh]", f"[./deploy.sh, '{url}', 'gh-pages-of-the-service']"))) == ()


def test_whatever_is_shaped_like_a_secret_is_shown_by_no_format() -> None:
    """Also where a rule about something else quotes it."""
    found = findings(edited((SAAS, "soak: 24h", f"soak: {SHAPED}")))
    assert {each.rule for each in found} == {"bad-duration"}
    assert {name: text for name, text in shown(found).items() if "planted" in text} == {}
