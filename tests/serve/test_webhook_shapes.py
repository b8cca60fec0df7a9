"""What is read of GitHub's events is there in GitHub's own document, under that name and of that type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from worlds import webhook_events as events
from worlds.contract import NoSpecs, specs_folder

READ = {
    "issue-comment-created": (
        events.github_comment("x"),
        {"action", "comment.body", "issue.number", "issue.pull_request", "repository.full_name", "repository.id"},
    ),
    "pull-request-opened": (events.github_pull(), {"pull_request.number", "pull_request.base.ref"}),
    "pull-request-review-submitted": (events.github_pull(), {"pull_request.number", "pull_request.base.ref"}),
    "push": (events.github_push(), {"ref", "repository.full_name"}),
    "check-run-completed": (events.github_check("check_run", 1), {"check_run.pull_requests.number"}),
    "check-suite-completed": (events.github_check("check_suite", 1), {"check_suite.pull_requests.number"}),
    "workflow-run-completed": (events.github_check("workflow_run", 1), {"workflow_run.pull_requests.number"}),
    "status": (events.github_status(), {"repository.full_name"}),
    "ping": (events.github_ping(), {"zen"}),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((specs_folder() / "github-openapi.json").read_text(encoding="utf-8"))
    except NoSpecs as error:
        pytest.skip(str(error))
    return found


def schemas(document: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a schema comes to: references followed, alternatives side by side."""
    if "$ref" in schema:
        place: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        return schemas(document, place)
    inner = [each for word in ("oneOf", "anyOf", "allOf") for each in schema.get(word, [])]
    return [schema, *(found for each in inner for found in schemas(document, each))]


def at(document: dict[str, Any], schema: dict[str, Any], path: list[str]) -> list[str]:
    """The types at a place of a schema, lists passed through; empty where there is no such place."""
    for each in schemas(document, schema):
        if each.get("type") == "array":
            return at(document, each["items"], path)
        if not path and "type" in each:
            return [str(each["type"])]
        if path and path[0] in each.get("properties", {}):
            found = at(document, each["properties"][path[0]], path[1:])
            if found:
                return found
    return []


def value(payload: Any, path: list[str]) -> Any:
    """What an event of ours has there."""
    if isinstance(payload, list):
        return value(payload[0], path)
    return value(payload[path[0]], path[1:]) if path else payload


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_there(document: dict[str, Any], name: str) -> None:
    payload, places = READ[name]
    schema = document["x-webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
    types = {"string": str, "integer": int, "number": int, "object": dict, "boolean": bool}
    for place in sorted(places):
        found = at(document, schema, place.split("."))
        assert found, place
        assert isinstance(value(payload, place.split(".")), types[found[0]]), place
