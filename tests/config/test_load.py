"""What a repository asks for, and how far an error reaches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from config_world import SCHEMAS, SHA, VALID, MemoryCache, MemoryTree, edited

from bot.config.load import Loaded, load
from bot.config.settings_file import read_settings
from bot.model.desired import Freeze, Interval, Promotion, Recurring
from bot.model.servers import OnNewer, SecretRef

SAAS = "services/orders/saas.yml"
STAGE = "orders/web/stage"
PRODUCTION = "orders/web/orders-production"

BILLING = """\
$schema: /saas-file-1.json
name: billing
app: {$ref: /services/billing/app.yml}
resourceTemplates:
- name: web
  url: https://git.example.com/billing
  path: /template.yaml
  targets:
  - {name: stage, namespace: {$ref: /services/orders/stage.yml}, ref: main, pipeline: {$ref: /pipelines/deploy.yml}}
"""
BILLING_APP = "$schema: /app-1.json\nname: billing\nowners: [bob]\n"


def loaded(files: Mapping[str, str | bytes], cache: MemoryCache | None = None) -> Loaded:
    tree = MemoryTree(files, SHA)
    settings, findings = read_settings(tree, SCHEMAS)
    assert settings is not None, findings
    return load(tree, settings, SCHEMAS, cache or MemoryCache())


def two_services(*edits: tuple[str, str, str]) -> dict[str, str]:
    more = {**VALID, "services/billing/saas.yml": BILLING, "services/billing/app.yml": BILLING_APP}
    return edited(*edits, base=more)


def test_targets_have_merged_parameters_and_everything_they_refer_to() -> None:
    desired = loaded(VALID).desired
    stage, production = desired.targets[STAGE], desired.targets[PRODUCTION]
    assert (desired.sha, desired.invalid, desired.invalid_targets) == (SHA, {}, {})
    assert stage.parameters == {"LOG_LEVEL": "debug", "REGION": "eu"}
    assert stage.pointer == ("resourceTemplates", 0, "targets", 0, "ref")
    assert (stage.file, stage.url, stage.path) == (SAAS, "https://git.example.com/orders", "/openshift/template.yaml")
    assert stage.namespace.app == stage.app.name == "orders"
    assert stage.upstream is not None
    assert (stage.upstream.instance.name, stage.upstream.job) == ("ci", "orders-build")
    assert [(i.instance.name, i.repository, i.tag) for i in stage.images] == [("registry", "orders/web", "{sha7}")]
    assert stage.pipeline.options == {"command": ["./deploy.sh"]}
    assert stage.promotion == Promotion(publish=("orders-stage-ok",))
    assert production.pinned
    assert production.parameters["REPLICAS"] == 4
    assert production.pipeline.on_newer is OnNewer.CANCEL
    assert production.pipeline.timeout == timedelta(days=1, hours=12)
    window = Recurring("0 9 * * 1-4", timedelta(hours=8), "Europe/Prague")
    expected = Promotion(True, (), ("orders-stage-ok",), timedelta(hours=24), (window,))
    assert production.promotion == expected


def test_apps_and_freezes_are_read() -> None:
    desired = loaded(VALID).desired
    (component,) = desired.apps["orders"].components
    assert component.blocked == {"8f14e45fceea167a5a36dedd4bea2543ce3dc40e"}
    start, end = datetime(2026, 12, 23, 12, tzinfo=UTC), datetime(2027, 1, 3, 7, tzinfo=UTC)
    windows = (Interval(start, end), Recurring("0 16 * * 5", timedelta(hours=64), "Europe/Prague"))
    scope = (frozenset({"production"}), frozenset({"orders"}), frozenset({STAGE}))
    expected = Freeze(
        "year-end", "release-team", "nobody deploys over the holidays", windows, *scope, "freezes/year-end.yml"
    )
    assert desired.freezes == (expected,)


def test_an_instance_has_its_token_its_certificates_and_its_rate_limit() -> None:
    edits = (
        ("pipelines/careful.yml", "/instances/ci.yml", "/instances/registry.yml"),
        ("instances/registry.yml", "rateLimit", "ca: certs/internal.pem\nrateLimit"),
    )
    instance = loaded(edited(*edits)).desired.targets[PRODUCTION].pipeline.instance
    assert (instance.token, instance.rate_limit) == (SecretRef(env="REGISTRY_TOKEN"), "20/m")
    assert instance.ca == "certs/internal.pem"


@pytest.mark.parametrize("written", ["0123456", "12e3456", "1.10", "true", "0x1F"])
def test_refs_tags_and_versions_are_read_as_written(written: str) -> None:
    desired = loaded(
        edited(
            (SAAS, "ref: main", f"ref: {written}"),
            (SAAS, '"{sha7}"', written),
            ("services/orders/app.yml", "hotfixVersions: []", f"hotfixVersions:\n  - {written}"),
        )
    ).desired
    target = desired.targets[STAGE]
    assert (target.ref, target.images[0].tag) == (written, written)
    assert desired.apps["orders"].components[0].hotfix == {written}


def test_merge_keys_and_aliases_are_honoured() -> None:
    edit = (SAAS, "    ref: main\n", "    <<: &defaults {ref: main, parameters: {A: b}}\n")
    assert loaded(edited(edit)).desired.targets[STAGE].parameters["A"] == "b"


@pytest.mark.parametrize(
    ("edit", "held"),
    [
        ((SAAS, "    ref: main\n", "    ref: main\n    typo: 1\n"), {STAGE, PRODUCTION}),
        (("services/orders/app.yml", "name: orders", "nam: orders"), {STAGE, PRODUCTION, "billing/web/stage"}),
        (("services/billing/app.yml", "name", "nam"), {"billing/web/stage"}),
        (("services/orders/stage.yml", "cluster", "clutser"), {STAGE, PRODUCTION, "billing/web/stage"}),
        (("services/orders/production.yml", "cluster", "clutser"), {PRODUCTION}),
        (("pipelines/careful.yml", "retries: 2", "retries: -2"), {PRODUCTION}),
        (("instances/shell.yml", "provider: command", "provider: x"), {STAGE, PRODUCTION, "billing/web/stage"}),
        (("instances/registry.yml", "rateLimit", "ratelimit"), {STAGE, PRODUCTION}),
        (("freezes/year-end.yml", "owner", "onwer"), set()),
    ],
)
def test_an_error_holds_the_targets_of_its_file_and_of_those_it_reaches(
    edit: tuple[str, str, str], held: set[str]
) -> None:
    desired = loaded(two_services(edit)).desired
    assert set(desired.invalid_targets) == held
    assert set(desired.targets) == {STAGE, PRODUCTION, "billing/web/stage"} - held
    assert edit[0] in desired.invalid
    assert all(desired.invalid_targets.values())


def test_a_broken_namespace_that_names_a_target_makes_its_saas_file_invalid() -> None:
    edit = ("services/orders/production.yml", "cluster: production-1", "cluster: [")
    desired = loaded(two_services(edit)).desired
    assert set(desired.invalid) == {"services/orders/production.yml", SAAS}
    assert set(desired.targets) == {"billing/web/stage"}


def test_a_saas_file_that_cannot_be_read_holds_those_who_wait_for_it() -> None:
    production = BILLING.replace("ref: main", f"ref: {SHA}, promotion: {{subscribe: [orders-stage-ok]}}")
    files = two_services((SAAS, "name: orders", "name: [")) | {"services/billing/saas.yml": production}
    result = loaded(files)
    assert [item.rule for item in result.findings] == ["syntax"]
    assert set(result.desired.invalid_targets) == {"billing/web/stage"}


def test_a_held_publisher_holds_its_subscribers_along_the_chain() -> None:
    chain = BILLING.replace("ref: main", f"ref: {SHA}, promotion: {{subscribe: [orders-stage-ok], publish: [b]}}")
    idle = f"""\
  - {{name: idle, namespace: {{$ref: /services/orders/stage.yml}}, ref: {SHA}, disable: true,
     pipeline: {{$ref: /pipelines/deploy.yml}}, promotion: {{subscribe: [orders-stage-ok]}}}}
  - {{name: last, namespace: {{$ref: /services/orders/stage.yml}}, ref: {SHA},
     pipeline: {{$ref: /pipelines/deploy.yml}}, promotion: {{subscribe: [b]}}}}
"""
    files = two_services((SAAS, "    ref: main\n", "    ref: main\n    typo: 1\n"))
    files["services/billing/saas.yml"] = (chain + idle).replace("git.example.com/billing", "git.example.com/orders")
    desired = loaded(files).desired
    assert set(desired.invalid_targets) == {STAGE, PRODUCTION, "billing/web/stage", "billing/web/last"}
    assert set(desired.targets) == {"billing/web/idle"}


def test_a_warning_holds_nothing() -> None:
    result = loaded(edited(("freezes/year-end.yml", "apps: [orders]", "apps: [nobody]")))
    assert [item.severity.value for item in result.findings] == ["warning"]
    assert len(result.desired.targets) == 2
    assert len(result.desired.freezes) == 1


def test_a_cross_file_error_makes_the_files_it_points_at_invalid() -> None:
    copy = {"services/orders/copy.yml": VALID["services/orders/app.yml"]}
    desired = loaded({**VALID, **copy}).desired
    assert set(desired.invalid) == {"services/orders/app.yml", "services/orders/copy.yml"}
    assert desired.targets == {}


def test_a_reference_may_lead_back_to_its_own_file() -> None:
    edit = ("services/orders/stage.yml", "/services/orders/app.yml", "/services/orders/stage.yml")
    result = loaded(edited(edit))
    assert [item.rule for item in result.findings] == ["mistyped-ref"]
    assert set(result.desired.invalid_targets) == {STAGE, PRODUCTION}


def test_data_may_live_in_a_folder() -> None:
    moved = {(path if path == "saasbot.yml" else f"data/{path}"): text for path, text in VALID.items()}
    moved["saasbot.yml"] += "dataDir: ./data/\n"
    moved["elsewhere/app.yml"] = "$schema: /app-1.json\n"
    result = loaded(moved)
    assert result.findings == ()
    assert result.desired.targets[STAGE].file == f"data/{SAAS}"


def test_files_of_others_are_left_alone() -> None:
    others: dict[str, str | bytes] = {
        "broken.yml": "a: [\n",
        "numbers.yml": "$schema: 5\n",
        "list.yml": "- $schema: /app-1.json\n",
        "twice.yml": "$schema: /other-1.yml\na: 1\na: 2\n",
        "many.yaml": "$schema: /other-1.yml\n---\n$schema: /other-1.yml\n",
        "comment.yml": "# $schema: /app-1.json\n",
        "latin.yml": b"# \xff $schema\na: 1\n",
        "app.json": '{"$schema": "/app-1.json"}',
    }
    assert loaded({**VALID, **others}).findings == ()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("$schema: /app-1.json\na: [\n", "syntax"),
        ('"$schema": /other.yml\na: [\n', "syntax"),
        ("{$schema: /app-1.json, a: 1, a: 2}\n", "duplicate-key"),
        ("a: 1\n---\n$schema: /app-1.json\n", "second-document"),
        ("$schema: /app-sre/app-1.yml\na: 1\na: 2\n", "duplicate-key"),
        ("$schema: /app-1.json\n...\nmore\n", "second-document"),
        ("\ufeff$schema: /app-1.json\nb: [\n", "syntax"),
    ],
)
def test_a_file_that_does_not_parse_counts_as_data_by_its_schema_line(text: str, rule: str) -> None:
    assert [item.rule for item in loaded({**VALID, "x.yml": text}).findings] == [rule]


def test_a_channel_of_another_code_repository_does_not_fit() -> None:
    other = BILLING.replace("ref: main", f"ref: {SHA}, promotion: {{subscribe: [orders-stage-ok]}}")
    result = loaded({**two_services(), "services/billing/saas.yml": other})
    assert [item.rule for item in result.findings] == ["url-mismatch"]
    assert set(result.desired.targets) == {STAGE, PRODUCTION}


def test_a_circle_over_two_files_is_found_in_both() -> None:
    other = BILLING.replace("ref: main", f"ref: {SHA}, promotion: {{subscribe: [a, a-side], publish: [b, a-side]}}")
    edits = (
        (SAAS, "      - orders-stage-ok\n", "      - b\n      publish: [a]\n"),
        (SAAS, "https://git.example.com/orders", "https://git.example.com/billing"),
    )
    files = two_services(*edits) | {"services/billing/saas.yml": other}
    found = [(item.file, item.rule) for item in loaded(files).findings]
    assert found == [("services/billing/saas.yml", "promotion-cycle")] * 2 + [(SAAS, "promotion-cycle")]


def test_aliases_do_not_share_objects() -> None:
    edit = (SAAS, "parameters: {REPLICAS: 4}", "parameters: {A: &a {x: [1]}, B: *a}")
    parameters = loaded(edited(edit)).desired.targets[PRODUCTION].parameters
    assert parameters["A"] == parameters["B"]
    assert parameters["A"] is not parameters["B"]


def test_dangling_references_get_advice_only_so_often() -> None:
    targets = "".join(
        f"  - {{name: t{number}, namespace: {{$ref: /services/orders/stge{number}.yml}}, ref: main}}\n"
        for number in range(30)
    )
    result = loaded({**VALID, SAAS: VALID[SAAS] + targets})
    hints = [item.hint for item in result.findings]
    assert hints.count("did you mean `/services/orders/stage.yml`?") == 20
    assert len(hints) == 30


def test_three_targets_with_one_id_are_each_named_once() -> None:
    twice = "".join("  - {name: stage, namespace: {$ref: /services/orders/stage.yml}, ref: main}\n" for _ in range(2))
    result = loaded({**VALID, SAAS: VALID[SAAS] + twice})
    assert [item.rule for item in result.findings] == ["duplicate-id"] * 3


def test_channels_that_meet_again_are_no_circle() -> None:
    def target(name: str, subscribe: str, publish: str) -> str:
        promotion = f"promotion: {{subscribe: [{subscribe}], publish: [{publish}]}}"
        return f"  - {{name: {name}, namespace: {{$ref: /services/orders/stage.yml}}, ref: {SHA}, {promotion}}}\n"

    ok = "orders-stage-ok"
    diamond = target("l", ok, "left, right") + target("m", "left", "last") + target("r", "right", "last")
    result = loaded({**VALID, SAAS: VALID[SAAS] + diamond})
    assert result.findings == ()
    assert len(result.desired.targets) == 5
