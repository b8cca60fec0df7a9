"""The JSON Schemas: valid draft 2020-12, described to the last field, with examples that they accept."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

FOLDER = Path(__file__).parents[2] / "schemas"
KINDS = ("app-1", "freeze-1", "instance-1", "namespace-1", "pipeline-1", "saas-file-1", "settings-1", "trigger-1")
SCHEMAS: dict[str, Any] = {path.stem: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
VALIDATORS = {name: jsonschema_rs.Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field below a schema, through lists and mappings."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}/{name}", field
        yield from fields(field, f"{path}/{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield f"{path}/{inner}", schema[inner]
            yield from fields(schema[inner], f"{path}/{inner}")


def all_fields(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield name, SCHEMAS[name]
    yield from fields(SCHEMAS[name], name)
    for key, shape in SCHEMAS[name].get("$defs", {}).items():
        yield f"{name}/$defs/{key}", shape
        yield from fields(shape, f"{name}/$defs/{key}")


def errors(name: str, document: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [(tuple(error.instance_path), error.message) for error in VALIDATORS[name].iter_errors(document)]


def test_there_is_one_schema_for_each_kind() -> None:
    assert tuple(SCHEMAS) == KINDS


@pytest.mark.parametrize("name", KINDS)
def test_is_valid_draft_2020_12(name: str) -> None:
    schema = SCHEMAS[name]
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"/{name}.json"
    assert schema["properties"]["$schema"]["const"] == f"/{name}.json"
    assert "$schema" in schema["required"]


@pytest.mark.parametrize("name", KINDS)
def test_every_field_has_title_description_and_examples_that_it_accepts(name: str) -> None:
    for path, field in all_fields(name):
        assert field.get("title"), path
        assert field.get("description", "").endswith("."), path
        assert field.get("examples"), path
        alone = jsonschema_rs.Draft202012Validator({**field, "$defs": SCHEMAS[name].get("$defs", {})})
        for example in field["examples"]:
            assert [error.message for error in alone.iter_errors(example)] == [], path
        if "default" in field:
            assert alone.is_valid(field["default"]), path


@pytest.mark.parametrize("name", KINDS)
def test_every_mapping_says_what_it_takes(name: str) -> None:
    for path, field in all_fields(name):
        if field.get("type") == "object":
            assert "additionalProperties" in field, path
        if field.get("additionalProperties") is True:
            assert path.rsplit("/", 1)[-1] in {"parameters", "with"} or path.endswith("promotionData/items/data/items")


@pytest.mark.parametrize("name", KINDS)
def test_no_choice_stands_around_a_field(name: str) -> None:
    for path, field in all_fields(name):
        assert not {"oneOf", "anyOf"} & field.keys(), path


TARGET = {"namespace": {"$ref": "/n.yml"}, "ref": "main"}
TEMPLATE = {"name": "t", "url": "u", "path": "/p", "targets": [TARGET]}
MINIMAL: dict[str, dict[str, Any]] = {
    "settings-1": {"branch": "main", "forge": {"provider": "local", "path": "f"}, "state": {"url": "file:s"}},
    "saas-file-1": {
        "name": "s",
        "app": {"$ref": "/a.yml"},
        "pipeline": {"$ref": "/p.yml"},
        "resourceTemplates": [TEMPLATE],
    },
    "app-1": {"name": "a", "owners": []},
    "namespace-1": {"name": "n", "cluster": "c", "environment": "e", "app": {"$ref": "/a.yml"}},
    "instance-1": {"name": "i", "provider": "command"},
    "pipeline-1": {"name": "p", "instance": {"$ref": "/i.yml"}, "with": {}},
    "trigger-1": {"name": "t"},
    "freeze-1": {"name": "f", "owner": "o", "reason": "r", "windows": [{"cron": "0 0 * * *", "duration": "1h"}]},
}


def minimal(name: str) -> dict[str, Any]:
    return {"$schema": f"/{name}.json", **json.loads(json.dumps(MINIMAL[name]))}


@pytest.mark.parametrize("name", KINDS)
def test_exactly_the_required_fields_are_required(name: str) -> None:
    document = minimal(name)
    assert errors(name, document) == []
    for key in document:
        without = {other: value for other, value in document.items() if other != key}
        found = errors(name, without)
        assert found
        assert all(key in message for _, message in found)


@pytest.mark.parametrize("name", KINDS)
def test_an_unknown_key_is_an_error(name: str) -> None:
    assert errors(name, {**minimal(name), "colour": "red"}) == [
        ((), "Additional properties are not allowed ('colour' was unexpected)")
    ]


def test_a_pipeline_on_every_target_replaces_the_files() -> None:
    document = minimal("saas-file-1")
    del document["pipeline"]
    assert errors("saas-file-1", document) == [
        (("resourceTemplates", 0, "targets", 0), '"pipeline" is a required property')
    ]
    document["resourceTemplates"][0]["targets"][0]["pipeline"] = {"$ref": "/p.yml"}
    assert errors("saas-file-1", document) == []


def test_errors_in_targets_point_at_the_field() -> None:
    document = minimal("saas-file-1")
    document["resourceTemplates"][0]["targets"] += [{"namespace": {"$ref": "n.yml"}, "ref": 123}]
    at = ("resourceTemplates", 0, "targets", 1)
    assert [pointer for pointer, _ in errors("saas-file-1", document)] == [(*at, "namespace", "$ref"), (*at, "ref")]


@pytest.mark.parametrize("name", ["two words", "a/b", "", "a\x07", "a\n"])
def test_names_are_one_word(name: str) -> None:
    assert [pointer for pointer, _ in errors("app-1", {**minimal("app-1"), "name": name})] == [("name",)]


@pytest.mark.parametrize("text", ["24h", "30m", "1d12h", "60s", "0s", "604800s"])
def test_durations(text: str) -> None:
    assert errors("pipeline-1", {**minimal("pipeline-1"), "timeout": text}) == []


@pytest.mark.parametrize("text", ["", "1", "1w", "h", "-1h", "1h 2m", "1.5h", "1h\n", "9999999h", "99999d", "1d" * 13])
def test_no_durations(text: str) -> None:
    assert errors("pipeline-1", {**minimal("pipeline-1"), "timeout": text}) != []


@pytest.mark.parametrize("path", ["a.yml", "/a.json", "/a.yml.bak", "", "/a.yml\n"])
def test_references_are_absolute_yaml_paths(path: str) -> None:
    assert errors("pipeline-1", {**minimal("pipeline-1"), "instance": {"$ref": path}}) != []


def window_errors(window: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    return errors("freeze-1", {**minimal("freeze-1"), "windows": [window]})


FROM, TO = "2026-12-23T12:00:00Z", "2027-01-03T08:00:00+01:00"
AT = ("windows", 0)


def test_a_freeze_window_recurs_or_has_two_ends() -> None:
    assert window_errors({"cron": "0 16 * * 5", "duration": "64h", "timezone": "Europe/Prague"}) == []
    assert window_errors({"from": FROM, "to": TO}) == []
    assert window_errors({"from": FROM}) == [(AT, '"to" is a required property')]
    assert window_errors({"to": TO}) == [(AT, '"from" is a required property')]
    assert window_errors({"cron": "0 16 * * 5"}) == [(AT, '"duration" is a required property')]
    assert window_errors({"timezone": "UTC", "duration": "1h"}) == [(AT, '"cron" is a required property')]
    assert [pointer for pointer, _ in window_errors({"from": FROM, "to": TO, "cron": "0 16 * * 5"})] == [(*AT, "cron")]
    assert [pointer for pointer, _ in window_errors({"from": "2026-12-23", "to": TO})] == [(*AT, "from")]


def test_an_instance_needs_a_url_unless_it_is_this_machine() -> None:
    document = {**minimal("instance-1"), "provider": "jenkins"}
    assert errors("instance-1", document) == [((), '"url" is a required property')]
    assert errors("instance-1", {**document, "url": "https://jenkins.example.com"}) == []


@pytest.mark.parametrize("token", [{}, {"env": "A", "file": "b"}, {"value": "secret"}, "secret"])
def test_a_secret_is_one_place(token: Any) -> None:
    assert errors("instance-1", {**minimal("instance-1"), "token": token}) != []


def test_each_forge_needs_its_own_settings() -> None:
    for provider, key in (("local", "path"), ("gitlab", "project"), ("github", "project")):
        found = errors("settings-1", {**minimal("settings-1"), "forge": {"provider": provider}})
        assert found == [(("forge",), f'"{key}" is a required property')]


def test_the_embedded_defaults_are_valid_settings() -> None:
    document = {
        **minimal("settings-1"),
        "dataDir": ".",
        "bot": {"name": "saasbot", "email": "saasbot@localhost"},
        "promotions": {
            "batchBy": "file",
            "maxBatch": 10,
            "regenerate": "conflict",
            "update": "until_approved",
            "merge": "never",
            "maxOpen": 20,
        },
        "runs": {"maxStarts": 50, "maxInFlight": 100},
        "pipelines": {"allowCommand": False},
        "commands": {"prefix": "/saasbot", "overrideGroup": "owners", "freezeGroup": "owners", "poll": True},
        "groups": {},
        "report": {"key": {"env": "SAASBOT_KEY"}},
        "queue": {},
    }
    assert errors("settings-1", document) == []


@pytest.mark.parametrize(
    ("pipeline", "valid"), [("deploy", True), ({"$ref": "/p.yml"}, True), ("", False), ({}, False)]
)
def test_the_compat_pipeline_is_a_name_or_a_reference(pipeline: Any, valid: bool) -> None:
    assert (errors("settings-1", {**minimal("settings-1"), "compat": {"pipeline": pipeline}}) == []) is valid


def test_jobs_come_from_a_file_or_from_a_key_in_a_folder() -> None:
    def found(**source: Any) -> list[tuple[tuple[str | int, ...], str]]:
        return errors("trigger-1", {**minimal("trigger-1"), "jobsFrom": {"format": "gangway-list", **source}})

    assert found(file="jobs.json") == []
    assert found(folder={"env": "A"}, key={"env": "B"}) == []
    assert found(folder={"env": "A"}) == [(("jobsFrom",), '"key" is a required property')]
    assert [pointer for pointer, _ in found(file="jobs.json", folder={"env": "A"}, key={"env": "B"})] == [
        ("jobsFrom", "folder"),
        ("jobsFrom", "key"),
    ]
