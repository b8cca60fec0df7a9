"""Files written for app-interface in one repository with our pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from config_world import SCHEMAS, SHA, VALID, MemoryCache, MemoryTree, edited, findings, lines

from bot.config.load import Loaded, load
from bot.config.settings_file import read_settings

SAAS = "legacy/saas.yml"

COMPAT: Mapping[str, str] = {
    "legacy/app.yml": """\
$schema: /app-sre/app-1.yml
name: legacy
description: an old one
serviceOwners:
- {name: Alice, email: alice@example.com}
codeComponents:
- {name: web, resource: upstream, url: https://git.example.com/legacy, blockedVersions: [0123456]}
""",
    "legacy/cluster.yml": "$schema: /openshift/cluster-1.yml\nname: stage-1\n",
    "legacy/environment.yml": "$schema: /app-sre/environment-1.yml\nname: legacy-env\n",
    "legacy/namespace.yml": """\
$schema: /openshift/namespace-1.yml
name: legacy-stage
cluster: {$ref: /legacy/cluster.yml}
environment: {$ref: /legacy/environment.yml}
app: {$ref: /legacy/app.yml}
""",
    "legacy/provider.yml": "$schema: /app-sre/pipelines-provider-1.yml\nname: tekton\n",
    SAAS: f"""\
$schema: /app-sre/saas-file-2.yml
name: legacy
app: {{$ref: /legacy/app.yml}}
pipelinesProvider: {{$ref: /legacy/provider.yml}}
managedResourceTypes: [Deployment]
resourceTemplates:
- name: web
  url: https://git.example.com/legacy
  path: /template.yaml
  targets:
  - namespaceSelector: {{jsonPathSelectors: {{}}}}
    ref: main
  - namespace: {{$ref: /legacy/namespace.yml}}
    ref: 0123456
    promotion: {{publish: [legacy-ok]}}
  - name: later
    namespace: {{$ref: /legacy/namespace.yml}}
    ref: {SHA}
    promotion:
      subscribe: [legacy-ok]
      soakDays: 2
""",
}

SETTINGS = VALID["saasbot.yml"] + "compat: {pipeline: deploy}\n"
REPOSITORY = {**VALID, **COMPAT, "saasbot.yml": SETTINGS}


def loaded(files: Mapping[str, str]) -> Loaded:
    tree = MemoryTree(files)
    settings, _ = read_settings(tree, SCHEMAS)
    assert settings is not None
    return load(tree, settings, SCHEMAS, MemoryCache())


def test_what_has_no_meaning_here_is_a_warning_with_a_position() -> None:
    assert lines(findings(REPOSITORY)) == ["legacy/saas.yml:11:5 warning compat-ignored"]


def test_targets_are_read_as_ours() -> None:
    targets = loaded(REPOSITORY).desired.targets
    target = targets["legacy/web/legacy-stage"]
    assert (target.ref, target.pipeline.name, target.app.owners) == ("0123456", "deploy", ("Alice",))
    assert (target.namespace.cluster, target.namespace.environment) == ("stage-1", "legacy-env")
    assert target.pointer == ("resourceTemplates", 0, "targets", 1, "ref")
    assert target.app.components[0].blocked == {"0123456"}
    assert targets["legacy/web/later"].promotion.soak == timedelta(days=2)


def test_the_pipeline_may_be_named_by_its_path() -> None:
    files = edited(("saasbot.yml", "pipeline: deploy", "pipeline: {$ref: /pipelines/careful.yml}"), base=REPOSITORY)
    assert loaded(files).desired.targets["legacy/web/later"].pipeline.name == "careful"


def test_a_missing_pipeline_is_an_error() -> None:
    found = lines(findings({**VALID, **COMPAT}))
    assert found == ["legacy/saas.yml:1:1 error compat-pipeline", "legacy/saas.yml:11:5 warning compat-ignored"]


def test_positions_of_moved_targets_are_those_of_the_source() -> None:
    files = edited((SAAS, "    ref: 0123456\n", ""), (SAAS, "soakDays: 2", "soakDays: soon"), base=REPOSITORY)
    assert lines(findings(files)) == [
        "legacy/saas.yml:11:5 warning compat-ignored",
        "legacy/saas.yml:13:5 error missing-key",
        "legacy/saas.yml:20:17 error bad-duration",
    ]


def test_checks_across_files_point_into_the_source() -> None:
    files = edited((SAAS, "subscribe: [legacy-ok]", "subscribe: [legacy-ko]"), base=REPOSITORY)
    assert lines(findings(files))[1:] == ["legacy/saas.yml:20:19 error channel-not-published"]


def test_references_to_named_files_are_checked() -> None:
    files = edited(("legacy/namespace.yml", "/legacy/cluster.yml", "/legacy/clustr.yml"), base=REPOSITORY)
    assert lines(findings(files))[0] == "legacy/namespace.yml:3:17 error dangling-ref"


def test_an_environment_of_a_namespace_counts_for_freezes() -> None:
    files = edited(("freezes/year-end.yml", "[production]", "[legacy-env]"), base=REPOSITORY)
    assert lines(findings(files)) == ["legacy/saas.yml:11:5 warning compat-ignored"]
