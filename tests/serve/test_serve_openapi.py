"""The OpenAPI document describes exactly what is served: asked for by schemathesis, and held against the routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from worlds.served import SETTINGS, Served, bearer, serving
from worlds.world import World

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("serve-openapi")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(root / "cache"))
        world = World(root / "world", more=SETTINGS)
        world.one_pass()
        with serving(world) as found:
            yield found


@pytest.fixture(scope="module")
def document(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = served.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def schema(document: dict[str, Any]) -> Any:
    return schemathesis.openapi.from_dict(document, config=SchemathesisConfig())


def test_the_document_is_one(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_it_names_the_routes_and_no_other(served: Served, document: dict[str, Any]) -> None:
    jobs = ["/dump-publication-graph-jobs", "/healing-jobs", "/initial-sync-jobs"]
    expected = {path: ["get"] for path in ("/", "/healthz", "/readyz", "/metrics")}
    expected |= {"/hooks/gitlab": ["post"], "/hooks/github": ["post"]}
    expected |= {f"{prefix}{path}": ["delete", "post"] for path in jobs for prefix in ("", "/{name}")}
    assert {path: sorted(methods) for path, methods in document["paths"].items()} == expected
    for path, methods in expected.items():
        for method in METHODS:
            answer = served.ask(method, path.replace("{name}", "x"))
            assert (answer.status_code == 405) is (method not in methods), (method, path)
    for path in ("/docs", "/redoc", "/hooks", "/hooks/", "/healthz/", "/x/y/healing-jobs", "/%2e%2e/healing-jobs/x"):
        answer = served.get(path)
        assert (answer.status_code, answer.json()) == (404, {"msg": "Not Found"})


def test_every_route_says_what_opens_it(document: dict[str, Any]) -> None:
    schemes = {
        path: {name for scheme in operation.get("security", []) for name in scheme}
        for path, operations in document["paths"].items()
        for operation in operations.values()
    }
    jobs = {path for path in schemes if path.endswith("-jobs")}
    assert len(jobs) == 6
    assert {path: names for path, names in schemes.items() if names} == {
        "/hooks/gitlab": {"GitLab"},
        "/hooks/github": {"GitHub"},
        **{path: {"HTTPBearer"} for path in jobs},
    }


@given(data=st.data())
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_requests_of_every_shape_are_answered_as_it_says(served: Served, schema: Any, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case = data.draw(schema.as_strategy(generation_mode=mode))
    headers = bearer() if data.draw(st.booleans()) and case.path.endswith("-jobs") else {}
    case.call_and_validate(base_url=served.url, headers=headers)
