"""app-interface's files, read as ours."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.compat import KINDS, NAMED, NAMED_BY_REFERENCE, Translated, translate

SCHEMAS = Path(__file__).parents[2] / "schemas"
SHA = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"
PATH = "services/orders/cicd/deploy.yml"


def ref(path: str) -> dict[str, str]:
    return {"$ref": path}


def read(document: dict[str, Any], path: str = PATH) -> Translated:
    translated = translate(document, path)
    assert translated is not None
    return translated


def errors(document: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """Where a translated document does not fit our schema, after the loader has done its part."""
    ready = {key: "name" if key in NAMED_BY_REFERENCE else value for key, value in document.items()}
    if ready["$schema"] == "/saas-file-1.json":
        ready["pipeline"] = ref("/pipelines/deploy.yml")
    schema = json.loads((SCHEMAS / ready["$schema"].lstrip("/")).read_bytes())
    return [tuple(error.instance_path) for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(ready)]


def saas_file(*targets: Any, **template: Any) -> dict[str, Any]:
    return {
        "$schema": "/app-sre/saas-file-2.yml",
        "labels": {"service": "orders"},
        "name": "saas-orders",
        "description": "orders",
        "app": ref("/services/orders/app.yml"),
        "pipelinesProvider": ref("/services/orders/pipelines/tekton.yml"),
        "slack": {"workspace": ref("/dependencies/slack/acme.yml"), "channel": "orders"},
        "managedResourceTypes": ["Deployment"],
        "imagePatterns": ["quay.io/acme/orders"],
        "parameters": {"LOG_LEVEL": "info"},
        "resourceTemplates": [
            {"name": "orders", "url": "https://git.example.com/acme/orders", "path": "/t.yaml", **template}
            | {"targets": list(targets)}
        ],
    }


STAGE = {"namespace": ref("/services/orders/namespaces/stage.yml"), "ref": "main"}
AT = ("resourceTemplates", 0, "targets")


def targets(translated: Translated) -> Any:
    return translated.doc["resourceTemplates"][0]["targets"]


@pytest.mark.parametrize("kind", ["/saas-file-1.json", "/app-sre/role-1.yml", "", None, 3, ["/app-sre/app-1.yml"]])
def test_other_kinds_are_left_alone(kind: Any) -> None:
    assert translate({"$schema": kind, "name": "x"}, "x.yml") is None
    assert translate({}, "x.yml") is None


def test_a_whole_saas_file() -> None:
    stage = {
        **STAGE,
        "name": "stage",
        "upstream": {"instance": ref("/dependencies/ci-ext.yml"), "name": "orders-build"},
        "image": {"org": ref("/dependencies/quay/acme.yml"), "name": "orders"},
        "promotion": {"publish": ["orders-stage-ok"]},
    }
    production = {
        "namespace": ref("/services/orders/namespaces/production.yml"),
        "ref": SHA,
        "parameters": {"REPLICAS": 3},
        "promotion": {
            "auto": True,
            "subscribe": ["orders-stage-ok"],
            "redeployOnPublisherConfigChange": True,
            "soakDays": 2,
            "schedule": "* 9-16 * * 1-4",
            "promotion_data": [{"channel": "orders-stage-ok", "data": [{"type": "parent_saas_config"}]}],
        },
        "disable": False,
        "delete": False,
    }
    translated = read(saas_file(stage, production, provider="openshift-template"))
    assert translated.doc == {
        "$schema": "/saas-file-1.json",
        "name": "saas-orders",
        "app": ref("/services/orders/app.yml"),
        "parameters": {"LOG_LEVEL": "info"},
        "resourceTemplates": [
            {
                "name": "orders",
                "url": "https://git.example.com/acme/orders",
                "path": "/t.yaml",
                "targets": [
                    {
                        **STAGE,
                        "name": "stage",
                        "upstream": {"instance": ref("/dependencies/ci-ext.yml"), "name": "orders-build"},
                        "images": [
                            {"instance": ref("/dependencies/quay/acme.yml"), "repository": "orders", "tag": "{sha7}"}
                        ],
                        "promotion": {"publish": ["orders-stage-ok"]},
                    },
                    {
                        "namespace": ref("/services/orders/namespaces/production.yml"),
                        "ref": SHA,
                        "parameters": {"REPLICAS": 3},
                        "promotion": {
                            "auto": True,
                            "subscribe": ["orders-stage-ok"],
                            "redeployOnPublisherConfigChange": True,
                            "soak": "48h",
                            "windows": [{"cron": "* 9-16 * * 1-4", "duration": "1m"}],
                            "promotionData": [{"channel": "orders-stage-ok", "data": [{"type": "parent_saas_config"}]}],
                        },
                        "disable": False,
                        "delete": False,
                    },
                ],
            }
        ],
    }
    assert translated.warnings == ()
    assert errors(translated.doc) == []


def test_positions_lead_back_to_the_source() -> None:
    target = {
        **STAGE,
        "promotion": {"soakDays": 1, "schedule": "x", "promotion_data": []},
        "image": {"org": ref("/o.yml"), "name": "a"},
        "images": [{"org": ref("/o.yml"), "name": "b"}],
    }
    translated = read(saas_file(target))
    at = (*AT, 0)
    for ours, theirs in (
        (("ref",), ("ref",)),
        (("promotion", "soak"), ("promotion", "soakDays")),
        (("promotion", "windows", 0, "cron"), ("promotion", "schedule")),
        (("promotion", "windows", 0), ("promotion", "schedule")),
        (("promotion", "promotionData", 0, "channel"), ("promotion", "promotion_data", 0, "channel")),
        (("images", 0, "instance", "$ref"), ("image", "org", "$ref")),
        (("images", 1, "repository"), ("images", 0, "name")),
        (("images", 1), ("images", 0)),
    ):
        assert translated.origin(at + ours) == at + theirs
    assert translated.origin(("name",)) == ("name",)
    assert translated.origin(()) == ()


def test_targets_that_cannot_be_read_are_left_out_and_the_rest_keep_their_places() -> None:
    selector = {"namespaceSelector": {"jsonPathSelectors": {"include": ["*"]}}, "ref": "main", "provider": "dynamic"}
    late = {**STAGE, "name": "late", "promotion": {"soakDays": 1}}
    translated = read(saas_file(STAGE, ref("/services/orders/target.yml"), selector, late))
    assert [target.get("name") for target in targets(translated)] == [None, "late"]
    assert translated.warnings == (
        ((*AT, 1, "$ref"), "a target with `$ref` is not read here"),
        ((*AT, 2, "namespaceSelector"), "a target with `namespaceSelector` is not read here"),
    )
    assert translated.origin((*AT, 0, "ref")) == (*AT, 0, "ref")
    assert translated.origin((*AT, 1, "ref")) == (*AT, 3, "ref")
    assert translated.origin((*AT, 1, "promotion", "soak")) == (*AT, 3, "promotion", "soakDays")


def test_unknown_and_lost_fields_are_warnings_with_a_position() -> None:
    document = saas_file(
        {**STAGE, "colour": "red", "secretParameters": [{"name": "A"}], "promotion": {"auto": True, "mood": 1}},
        secretParameters=[],
        shape="round",
    )
    document |= {"timeout": "2h", "deprecated": True, "use_channel_in_image_tag": False, "size": 1}
    assert {pointer for pointer, _ in read(document).warnings} == {
        ("size",),
        ("timeout",),
        ("deprecated",),
        ("resourceTemplates", 0, "shape"),
        (*AT, 0, "colour"),
        (*AT, 0, "secretParameters"),
        (*AT, 0, "promotion", "mood"),
    }
    assert (("size",), "`size` has no meaning here and is ignored") in read(document).warnings


def test_names_become_one_word() -> None:
    document = saas_file({**STAGE, "name": "eu / west"}) | {"name": "my saas"}
    translated = read(document)
    assert (translated.doc["name"], targets(translated)[0]["name"]) == ("my-saas", "eu-west")
    assert [pointer for pointer, _ in translated.warnings] == [("name",), (*AT, 0, "name")]
    assert errors(translated.doc) == []


@pytest.mark.parametrize(
    ("schedule", "duration"),
    [
        ("* 9-17 * * 1-4", "1m"),
        ("*/15 * * * *", "15m"),
        ("0 9 * * *", "1h"),
        ("0,30 9 * * *", "1h"),
        ("", "1h"),
        (7, "1h"),
    ],
)
def test_a_schedule_is_a_window(schedule: Any, duration: str) -> None:
    translated = read(saas_file({**STAGE, "promotion": {"schedule": schedule}}))
    assert targets(translated)[0]["promotion"]["windows"] == [{"cron": schedule, "duration": duration}]


@pytest.mark.parametrize(("length", "tag"), [(40, "{sha40}"), (7, "{sha7}"), ("ten", "{sha7}")])
def test_the_hash_length_is_in_the_image_tag(length: Any, tag: str) -> None:
    target = {**STAGE, "image": {"org": ref("/o.yml"), "name": "a"}}
    assert targets(read(saas_file(target, hash_length=length)))[0]["images"][0]["tag"] == tag


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ({**STAGE, "promotion": {"soakDays": "two"}}, ("promotion", "soakDays")),
        ({**STAGE, "promotion": {"soakDays": True}}, ("promotion", "soakDays")),
        ({**STAGE, "promotion": {"soakDays": -1}}, ("promotion", "soakDays")),
        ({**STAGE, "promotion": {"schedule": 5}}, ("promotion", "schedule")),
        ({**STAGE, "promotion": []}, ("promotion",)),
        ({**STAGE, "image": "quay.io/acme/orders"}, ("image",)),
        ({**STAGE, "images": {"org": 1}}, ("images",)),
        ({**STAGE, "images": [{"org": 1, "name": "a"}]}, ("images", 0, "org")),
        ("stage", ()),
    ],
)
def test_wrong_types_are_errors_at_their_place_in_the_source(target: Any, place: tuple[str | int, ...]) -> None:
    translated = read(saas_file(target))
    assert {translated.origin(pointer) for pointer in errors(translated.doc)} >= {(*AT, 0, *place)}


def test_templates_and_targets_of_a_wrong_type_are_passed_on() -> None:
    document = saas_file()
    for templates in ("none", [7], [{"name": "a", "url": "u", "path": "/p", "targets": "none"}]):
        translated = read({**document, "resourceTemplates": templates})
        assert translated.doc["resourceTemplates"] == templates
        assert errors(translated.doc) != []


def test_an_app() -> None:
    component = {"name": "orders", "resource": "upstream", "url": "u", "blockedVersions": [SHA], "hotfixVersions": []}
    translated = read(
        {
            "$schema": "/app-sre/app-1.yml",
            "name": "orders",
            "onboardingStatus": "OnBoarded",
            "serviceOwners": [{"name": "orders-team", "email": "orders@example.com"}, {"name": "Alice Doe"}],
            "codeComponents": [component, {"name": "site", "url": "v"}],
        }
    )
    assert translated.doc == {
        "$schema": "/app-1.json",
        "name": "orders",
        "owners": ["orders-team", "Alice Doe"],
        "codeComponents": [{"url": "u", "blockedVersions": [SHA], "hotfixVersions": []}, {"url": "v"}],
    }
    assert translated.warnings == ()
    assert errors(translated.doc) == []
    assert translated.origin(("owners", 1)) == ("serviceOwners", 1, "name")
    assert translated.origin(("codeComponents", 0, "blockedVersions", 0)) == ("codeComponents", 0, "blockedVersions", 0)


def test_an_app_without_owners_is_a_warning() -> None:
    translated = read({"$schema": "/app-sre/app-1.yml", "name": "orders"})
    assert translated.doc == {"$schema": "/app-1.json", "name": "orders", "owners": []}
    assert [pointer for pointer, _ in translated.warnings] == [()]
    assert errors(translated.doc) == []


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"serviceOwners": "alice"}, ("serviceOwners",)),
        ({"serviceOwners": [{"email": "a@example.com"}]}, ("serviceOwners", 0, "name")),
        ({"serviceOwners": [7]}, ("serviceOwners", 0)),
        ({"serviceOwners": [], "codeComponents": "x"}, ("codeComponents",)),
        ({"serviceOwners": [], "codeComponents": ["x"]}, ("codeComponents", 0)),
        ({"serviceOwners": [], "name": 7}, ("name",)),
    ],
)
def test_wrong_types_in_an_app(fields: dict[str, Any], place: tuple[str | int, ...]) -> None:
    translated = read({"$schema": "/app-sre/app-1.yml", "name": "orders", **fields})
    assert [translated.origin(pointer) for pointer in errors(translated.doc)] == [place]


def test_a_namespace_keeps_references_for_the_loader() -> None:
    fields = {
        "name": "orders-stage",
        "cluster": ref("/openshift/stage/cluster.yml"),
        "environment": ref("/products/acme/environments/stage.yml"),
        "app": ref("/services/orders/app.yml"),
    }
    translated = read({"$schema": "/openshift/namespace-1.yml", "labels": {}, "managedRoles": True, **fields})
    assert translated.doc == {"$schema": "/namespace-1.json", **fields}
    assert translated.warnings == ()
    assert errors(translated.doc) == []


@pytest.mark.parametrize(
    "kind",
    [
        "/openshift/cluster-1.yml",
        "/app-sre/environment-1.yml",
        "/app-sre/pipelines-provider-1.yml",
        "/app-sre/tekton-provider-defaults-1.yml",
    ],
)
def test_documents_that_only_lend_their_name(kind: str) -> None:
    assert read({"$schema": kind, "name": "stage-1", "spec": {}}).doc == {"$schema": NAMED, "name": "stage-1"}
    for nameless in ({}, {"name": ""}, {"name": 7}):
        assert read({"$schema": kind, **nameless}, "a/b.c.yml").doc == {"$schema": NAMED, "name": "b.c"}


def test_parameters_of_an_environment_are_a_warning() -> None:
    environment = {"$schema": "/app-sre/environment-1.yml", "name": "stage", "parameters": {"A": "b"}}
    assert [pointer for pointer, _ in read(environment).warnings] == [("parameters",)]


def test_a_jenkins_instance() -> None:
    source = {
        "$schema": "/dependencies/jenkins-instance-1.yml",
        "name": "ci-ext",
        "serverUrl": "https://ci.example.com",
    }
    translated = read({**source, "token": {"path": "vault/ci", "field": "token"}})
    assert translated.doc == {
        "$schema": "/instance-1.json",
        "name": "ci-ext",
        "provider": "jenkins",
        "url": "https://ci.example.com",
    }
    assert [pointer for pointer, _ in translated.warnings] == [("token",)]
    assert errors(translated.doc) == []
    assert translated.origin(("url",)) == ("serverUrl",)
    assert errors(read({"$schema": source["$schema"], "name": "ci-ext"}).doc) == [()]


@pytest.mark.parametrize(
    ("server", "url"),
    [({}, "https://quay.io/acme"), ({"serverUrl": "https://r.example.com/"}, "https://r.example.com/acme")],
)
def test_a_quay_organisation_is_a_registry(server: dict[str, str], url: str) -> None:
    translated = read({"$schema": "/dependencies/quay-org-1.yml", "name": "acme", "managedTeams": [], **server})
    assert translated.doc == {"$schema": "/instance-1.json", "name": "acme", "provider": "registry", "url": url}
    assert errors(translated.doc) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "name",
    "resourceTemplates",
    "targets",
    "promotion",
    "image",
    "images",
    "serviceOwners",
    "codeComponents",
    "schedule",
]
trees = st.recursive(
    json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.dictionaries(st.sampled_from(KEYS), trees, max_size=5))
def test_no_document_breaks_it_or_is_changed(kind: str, fields: dict[str, Any]) -> None:
    source = {"$schema": kind, **fields}
    before = json.dumps(source)
    translated = read(source)
    assert json.dumps(source) == before
    json.dumps(translated.doc)
    assert translated.doc["$schema"].startswith("/")
