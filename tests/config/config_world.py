"""A small valid config repository in memory, with real fakes for the two ports that the config floor asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bot.config.tree import blob_id
from bot.config.validate import validate
from bot.model.findings import Finding
from bot.ports import SourceFile

SCHEMAS: Mapping[str, bytes] = {
    path.stem: path.read_bytes() for path in (Path(__file__).parents[2] / "schemas").glob("*.json")
}

SHA = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"

VALID: Mapping[str, str] = {
    "saasbot.yml": """\
$schema: /settings-1.json
branch: main
forge: {provider: local, path: ../forge, members: {alice: owner, bob: developer}}
state: {url: "file:../state.json"}
commands: {prefix: /saasbot}
""",
    "instances/shell.yml": "$schema: /instance-1.json\nname: shell\nprovider: command\n",
    "instances/registry.yml": """\
$schema: /instance-1.json
name: registry
provider: registry
url: https://registry.example.com
token: {env: REGISTRY_TOKEN}
rateLimit: 20/m
""",
    "instances/ci.yml": "$schema: /instance-1.json\nname: ci\nprovider: jenkins\nurl: https://ci.example.com\n",
    "pipelines/deploy.yml": """\
$schema: /pipeline-1.json
name: deploy
instance: {$ref: /instances/shell.yml}
with: {command: [./deploy.sh]}
timeout: 1h
retries: 0
""",
    "pipelines/careful.yml": """\
$schema: /pipeline-1.json
name: careful
instance: {$ref: /instances/ci.yml}
with: {job: deploy}
timeout: 1d12h
retries: 2
onNewer: cancel
""",
    "services/orders/app.yml": """\
$schema: /app-1.json
name: orders
owners: [alice]
codeComponents:
- url: https://git.example.com/orders
  blockedVersions: [8f14e45fceea167a5a36dedd4bea2543ce3dc40e]
  hotfixVersions: []
""",
    "services/orders/stage.yml": """\
$schema: /namespace-1.json
name: orders-stage
cluster: stage-1
environment: stage
app: {$ref: /services/orders/app.yml}
""",
    "services/orders/production.yml": """\
$schema: /namespace-1.json
name: orders-production
cluster: production-1
environment: production
app: {$ref: /services/orders/app.yml}
""",
    "services/orders/saas.yml": f"""\
$schema: /saas-file-1.json
name: orders
app: {{$ref: /services/orders/app.yml}}
pipeline: {{$ref: /pipelines/deploy.yml}}
parameters: {{LOG_LEVEL: info, REGION: eu}}
resourceTemplates:
- name: web
  url: https://git.example.com/orders
  path: /openshift/template.yaml
  parameters:
    LOG_LEVEL: debug
  targets:
  - name: stage
    namespace: {{$ref: /services/orders/stage.yml}}
    ref: main
    upstream: {{instance: {{$ref: /instances/ci.yml}}, name: orders-build}}
    images: [{{instance: {{$ref: /instances/registry.yml}}, repository: orders/web, tag: "{{sha7}}"}}]
    promotion: {{publish: [orders-stage-ok]}}
  - namespace:
      $ref: /services/orders/production.yml
    ref: {SHA}
    pipeline: {{$ref: /pipelines/careful.yml}}
    parameters: {{REPLICAS: 4}}
    promotion:
      auto: true
      subscribe:
      - orders-stage-ok
      soak: 24h
      windows:
      - {{cron: "0 9 * * 1-4", duration: 8h, timezone: Europe/Prague}}
""",
    "freezes/year-end.yml": """\
$schema: /freeze-1.json
name: year-end
owner: release-team
reason: nobody deploys over the holidays
scope: {environments: [production], apps: [orders], targets: [orders/web/stage]}
windows:
- {from: 2026-12-23T12:00:00Z, to: 2027-01-03T08:00:00+01:00}
- {cron: "0 16 * * 5", duration: 64h, timezone: Europe/Prague}
""",
    "triggers/nightly.yml": """\
$schema: /trigger-1.json
name: nightly
owners: [alice]
instance: {$ref: /instances/ci.yml}
on: {schedule: {cron: "0 6 * * 1", timezone: UTC}, command: true}
healthCheck: {attempts: 60, interval: 60s}
retry: {attempts: 3, interval: 60s}
batch: {size: 5, pause: 10m, wait: none}
timeout: 6h
with: {job: nightly}
stages:
- name: first
  jobs:
  - {name: sync, schedule: "0 0 0 * * *"}
""",
    ".gitlab-ci.yml": "stages: [test]\n",
    "charts/template.yaml": "{{- if .Values.on }}\nkind: Deployment\n{{- end }}\n",
    "foreign.yml": "$schema: /aws/account-1.yml\nname: x\n",
}


class MemoryTree:
    """A tree in memory; it counts the files that were read. `blobs=False`: a working tree whose blobs are not known."""

    def __init__(self, files: Mapping[str, str | bytes], sha: str | None = None, *, blobs: bool = True) -> None:
        self.contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        self._sha = sha
        self._blobs = blobs
        self.reads = 0

    @property
    def sha(self) -> str | None:
        return self._sha

    def files(self) -> Sequence[SourceFile]:
        return [
            SourceFile(path, blob_id(content) if self._blobs else "") for path, content in sorted(self.contents.items())
        ]

    def read(self, files: Sequence[SourceFile]) -> Iterable[bytes]:
        self.reads += len(files)
        return [self.contents[file.path] for file in files]


class MemoryCache:
    """A cache in memory."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.data.get(name)

    def put(self, name: str, data: bytes) -> None:
        self.data[name] = data


def edited(*edits: tuple[str, str, str], base: Mapping[str, str] = VALID) -> dict[str, str]:
    """Return the repository with each (path, old text, new text) applied once; an empty old text replaces the file."""
    files = dict(base)
    for path, old, new in edits:
        if old:
            assert old in files[path], (path, old)
            files[path] = files[path].replace(old, new, 1)
        else:
            files[path] = new
    return files


def findings(files: Mapping[str, str | bytes]) -> tuple[Finding, ...]:
    """Validate a repository with an empty cache."""
    return validate(MemoryTree(files), MemoryCache(), SCHEMAS)


def lines(found: Iterable[Finding]) -> list[str]:
    """Return findings as `file:line:column severity rule`."""
    return [f"{item.file}:{item.line}:{item.column} {item.severity.value} {item.rule}" for item in found]
