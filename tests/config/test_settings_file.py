"""`saasbot.yml` as settings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from config_world import SCHEMAS, VALID

from bot.config.schema import Schemas
from bot.config.settings_file import settings
from bot.model.servers import SecretRef
from bot.settings import (
    BatchBy,
    BotSettings,
    CommandSettings,
    ForgeSettings,
    Merge,
    PromotionSettings,
    QueueSettings,
    Regenerate,
    RunSettings,
    ServeSettings,
    Settings,
    StateSettings,
    Update,
)

FULL = b"""\
$schema: /settings-1.json
branch: trunk
forge: {provider: gitlab, url: https://gitlab.example.com, project: org/config, token: {file: /run/secrets/t},
        user: saasbot, ca: certs/internal.pem, sign: true}
state: {url: "s3://bucket/state.json", endpoint: "https://s3.example.com", region: eu-north-1, ca: certs/s3.pem}
dataDir: ./data/
bot: {name: robot, email: robot@example.com}
promotions: {batchBy: app, maxBatch: 3, regenerate: behind, update: always, merge: when_approved, maxOpen: 5}
runs: {maxStarts: 7, maxInFlight: 8}
pipelines: {allowCommand: true}
commands: {prefix: /bot, overrideGroup: leads, freezeGroup: sre, poll: false}
groups: {leads: [alice], sre: []}
report: {key: {file: /run/secrets/key}}
dashboard: {title: Deployments, heartbeat: 1h}
queue: {url: "rediss://localhost", prefix: team-a, password: {env: REDIS_PASSWORD}, ca: certs/redis.pem}
compat: {pipeline: deploy}
serve: {webhookSecret: {env: HOOKS}, token: {file: /run/secrets/serve}}
"""


def test_the_defaults() -> None:
    read, found = settings(VALID["saasbot.yml"].encode(), Schemas(SCHEMAS))
    assert found == ()
    forge = ForgeSettings("local", {"path": "../forge", "members": {"alice": "owner", "bob": "developer"}})
    assert read == Settings("main", forge, StateSettings("file:../state.json"))


def test_every_key() -> None:
    read, found = settings(FULL, Schemas(SCHEMAS))
    assert found == ()
    options = {
        "url": "https://gitlab.example.com",
        "project": "org/config",
        "token": {"file": "/run/secrets/t"},
        "user": "saasbot",
        "ca": "certs/internal.pem",
        "sign": True,
    }
    assert read == Settings(
        branch="trunk",
        forge=ForgeSettings("gitlab", options),
        state=StateSettings("s3://bucket/state.json", "https://s3.example.com", "eu-north-1", "certs/s3.pem"),
        data_dir="data",
        bot=BotSettings("robot", "robot@example.com"),
        promotions=PromotionSettings(BatchBy.APP, 3, Regenerate.BEHIND, Update.ALWAYS, Merge.WHEN_APPROVED, 5),
        runs=RunSettings(7, 8),
        allow_command=True,
        commands=CommandSettings("/bot", "leads", "sre", poll=False),
        groups={"leads": ("alice",), "sre": ()},
        report_key=SecretRef(file="/run/secrets/key"),
        queue=QueueSettings("rediss://localhost", "team-a", SecretRef(env="REDIS_PASSWORD"), "certs/redis.pem"),
        dashboard_title="Deployments",
        heartbeat=timedelta(hours=1),
        compat_pipeline="deploy",
        serve=ServeSettings(SecretRef(env="HOOKS"), SecretRef(file="/run/secrets/serve")),
    )


def test_the_compat_pipeline_may_be_a_reference() -> None:
    read, _ = settings(FULL.replace(b"pipeline: deploy", b"pipeline: {$ref: /p.yml}"), Schemas(SCHEMAS))
    assert read is not None
    assert read.compat_pipeline == "/p.yml"


APP = b"forge: {provider: github, project: org/config, app: {id: 12, installation: 34, key: {env: APP_KEY}}}"


def test_a_forge_may_be_an_app() -> None:
    content = VALID["saasbot.yml"].encode()
    line = next(line for line in content.splitlines() if line.startswith(b"forge:"))
    read, found = settings(content.replace(line, APP), Schemas(SCHEMAS))
    assert (read is not None, found) == (True, ())
    for wrong in (b"id: 12, ", b"34"):
        read, found = settings(content.replace(line, APP.replace(wrong, b"")), Schemas(SCHEMAS))
        assert (read, [item.line for item in found]) == (None, [3])


@pytest.mark.parametrize("prefix", ["/close", "/Approve", "/target_branch"])
def test_a_prefix_that_gitlab_swallows_is_refused(prefix: str) -> None:
    read, found = settings(FULL.replace(b"/bot", prefix.encode()), Schemas(SCHEMAS))
    assert read is None
    assert [(item.line, item.column, item.rule) for item in found] == [(11, 20, "alias-collision")]


def test_several_faults_at_once() -> None:
    content = FULL.replace(b"branch: trunk", b"branch: trunk\nbranch: b").replace(b"queue:", b"branch: c\nqueue:")
    read, found = settings(content, Schemas(SCHEMAS))
    assert read is None
    assert [item.line for item in found] == [3, 16]


@pytest.mark.parametrize(
    ("value", "rule"),
    [("59s", "bad-value"), ("9999d9999d", "bad-duration"), ("soon", "bad-duration"), ("[1h]", "wrong-type")],
)
def test_a_heartbeat_is_a_duration_and_none_that_is_told_all_the_time(value: str, rule: str) -> None:
    read, found = settings(FULL.replace(b"heartbeat: 1h", f"heartbeat: {value}".encode()), Schemas(SCHEMAS))
    assert read is None
    assert [(item.line, item.rule) for item in found] == [(14, rule)]


@pytest.mark.parametrize("url", ["file:../state.json", "git:refs/saasbot/state"])
def test_what_is_for_object_stores_is_refused_elsewhere(url: str) -> None:
    text = VALID["saasbot.yml"].replace("file:../state.json", f'{url}", region: x, endpoint: "https://s3.example.com')
    read, found = settings(text.encode(), Schemas(SCHEMAS))
    assert read is None
    assert [finding.rule for finding in found] == ["bad-value", "bad-value"]
    assert {finding.message.partition(" ")[0] for finding in found} == {"`endpoint`", "`region`"}
    assert all("object stores" in finding.message for finding in found)
