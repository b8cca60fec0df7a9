"""Contract: every request and answer of a fake server is held against the vendor's official OpenAPI document.

    contract = Contract("gitlab-openapi.json", prefix="")
    contract.check_request("GET", "/api/v4/user", "", headers, b"")           # [] or problems in words
    contract.check_response("GET", "/api/v4/user", 200, headers, body)

The documents stand in `../shared/specs` beside the repository, or where `SAASBOT_SPECS` says. Bodies are closed: an
attribute that the document does not name is a problem, in a request and in an answer, unless its schema says otherwise.
Paths come in as they were sent (`%2F` unescaped is a problem), queries as the raw text after `?`, bodies as bytes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from worlds.contract_schema import Schemas, coerced

REPOSITORY = Path(__file__).resolve().parents[2]

WITHOUT_NULLS = frozenset({"gitlab-openapi.json"})
"""Documents that rarely say `nullable`: a null attribute of an answer counts as absent."""

ADDITIONS: Mapping[tuple[str, str, str], Mapping[int, str]] = {
    # lib/api/notes.rb: a note that holds quick actions alone is not saved, `status 202`, entity NoteCommands.
    ("gitlab-openapi.json", "post", "/api/v4/projects/{id}/merge_requests/{noteable_id}/notes"): {202: ""},
    ("gitlab-openapi.json", "post", "/api/v4/projects/{id}/issues/{noteable_id}/notes"): {202: ""},
    # Every POST that makes something is answered 201 (doc/api/rest/_index.md, status codes); the entity is right.
    ("gitlab-openapi.json", "post", "/api/v4/projects/{id}/repository/commits"): {201: "200"},
}
"""Statuses that a real server answers although its document is silent, each with its source, and the documented
status whose body it has (empty: a body that no entity describes)."""

LISTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    # The generated document forgets `is_array`; doc/api/merge_requests.md, pipelines.md and merge_request_approvals.md
    # show lists.
    "gitlab-openapi.json": (
        ("paths", "/api/v4/projects/{id}/merge_requests/{merge_request_iid}/pipelines", "get", "responses", "200",
         "content", "application/json", "schema"),
        ("paths", "/api/v4/projects/{id}/pipelines/{pipeline_id}/variables", "get", "responses", "200", "content",
         "application/json", "schema"),
        ("components", "schemas", "APIEntitiesMergeRequestApprovals", "properties", "approved_by"),
    ),
}  # fmt: skip
"""Where a document has one entity although every server answers a list of them, by the way to its schema."""

COMMAS: Mapping[str, frozenset[str]] = {
    # `coerce_with: CommaSeparatedToArray` in lib/api; doc/api/merge_requests.md: "labels: comma-separated label names".
    "gitlab-openapi.json": frozenset({"labels", "add_labels", "remove_labels"}),
}
"""Attributes of request bodies that are a list in the document and may also be one text with commas."""

NULLABLE = frozenset({"circleci-openapi.json"})
"""Documents of OpenAPI 3 that say `x-nullable`, as OpenAPI 2 had it, where they mean `nullable`."""

WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # https://circleci.com/docs/workflows/, "Workflow states": `queued` for workflows of a serial group.
    "circleci-openapi.json": {"on_hold": ("queued",)},
}
"""Words that a document's lists of words lack, by another one that is in them."""

PARAMETERS: Mapping[str, Mapping[tuple[str, str], tuple[str, ...]]] = {
    # The link NextWorkflowJobPage of that very operation passes it; the list of its parameters forgets it.
    "circleci-openapi.json": {("/workflow/{id}/job", "get"): ("page-token",)},
}
"""Parameters of queries that an operation takes although its list lacks them; all are texts."""

MERGED = frozenset({"gitlab-openapi.json"})
"""Documents of servers that read the query of a PUT or POST and its body as one (Grape's `params`)."""

UNIVERSAL = frozenset({304})
"""Statuses that HTTP itself gives any conditional request."""


class NoSpecs(Exception):
    """The folder with the official documents is missing."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document with the path template it stands under."""

    method: str
    template: str
    spec: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    def parameter(self, name: str) -> Mapping[str, Any] | None:
        """The query parameter of this name."""
        return next((p for p in self.parameters if p["in"] == "query" and p["name"] == name), None)


@dataclass(slots=True)
class _Document:
    """A loaded document: its operations by method and number of path segments, and its compiled schemas."""

    name: str
    schemas: Schemas
    operations: dict[tuple[str, int], list[tuple[re.Pattern[str], Operation]]] = field(default_factory=dict)
    paths: list[re.Pattern[str]] = field(default_factory=list)


def specs_folder() -> Path:
    """Where the official documents stand; raises NoSpecs where they do not."""
    folder = Path(os.environ.get("SAASBOT_SPECS") or REPOSITORY.parent / "shared" / "specs")
    if not folder.is_dir():
        raise NoSpecs(f"{folder} is missing: set SAASBOT_SPECS to the folder with gitlab-openapi.json and its like")
    return folder


@cache
def _load(document: str) -> _Document:
    """Read and index a document, once a process."""
    path = specs_folder() / document
    if not path.is_file():
        raise NoSpecs(f"{path} is missing")
    content = json.loads(path.read_text(encoding="utf-8"))
    _amend(document, content)
    loaded = _Document(document, Schemas(content))
    for template, item in sorted(content["paths"].items(), key=lambda pair: pair[0].count("{")):
        pattern = _pattern(template, frozenset())
        loaded.paths.append(pattern)
        for method, spec in item.items():
            if method not in {"get", "put", "post", "patch", "delete", "head", "options"}:
                continue
            shared = (*item.get("parameters", ()), *spec.get("parameters", ()))
            operation = Operation(method, template, spec, tuple(loaded.schemas.resolve(entry) for entry in shared))
            loaded.operations.setdefault((method, template.count("/")), []).append((pattern, operation))
    return loaded


def _amend(document: str, content: dict[str, Any]) -> None:
    """Mend what is known to be wrong in a document, and nothing else."""
    for (path, method), names in PARAMETERS.get(document, {}).items():
        listed = content["paths"][path][method].setdefault("parameters", [])
        listed += [{"in": "query", "name": name, "schema": {"type": "string"}} for name in names]
    if document in NULLABLE or document in WORDS:
        _amend_schemas(document, content)
    for way in LISTS.get(document, ()):
        place = reduce(lambda value, key: value[key], way[:-1], content)
        place[way[-1]] = {"type": "array", "items": place[way[-1]]}
    for name, schema in content.get("components", {}).get("schemas", {}).items():
        for attribute in COMMAS.get(document, frozenset()) & schema.get("properties", {}).keys():
            if name.startswith("RequestBody"):
                schema["properties"][attribute] = {"anyOf": [{"type": "string"}, schema["properties"][attribute]]}


def _amend_schemas(document: str, value: Any) -> None:
    """Mend nullable schemas and lists of words, wherever they stand."""
    for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        _amend_schemas(document, item)
    if not isinstance(value, dict):
        return
    if document in NULLABLE and value.get("x-nullable") is True:
        value["nullable"] = True
    for known, more in WORDS.get(document, {}).items():
        if isinstance(value.get("enum"), list) and known in value["enum"]:
            value["enum"] += more


@cache
def _pattern(template: str, slashes: frozenset[str]) -> re.Pattern[str]:
    """A path template as an expression; parameters named in `slashes` also match `/`."""
    parts = re.split(r"\{([^}]+)\}", template)
    texts = [
        re.escape(part) if index % 2 == 0 else f"(?P<p{index}>{'.+' if part in slashes else '[^/]+'})"
        for index, part in enumerate(parts)
    ]
    return re.compile("".join(texts))


class Contract:
    """One document as the judge of a server whose paths carry `prefix` before the document's own.

    `slashes` names path parameters that the vendor lets contain unescaped slashes (GitHub: `path`, `ref`, `branch`).
    """

    def __init__(self, document: str, prefix: str, *, slashes: Iterable[str] = ()) -> None:
        self.prefix = prefix.rstrip("/")
        self.slashes = frozenset(slashes)
        self._document = _load(document)

    def operation(self, method: str, path: str) -> Operation | None:
        """The operation that a request means, or None; HEAD falls back to GET."""
        if not path.startswith(self.prefix):
            return None
        path = path[len(self.prefix) :]
        found = self._exact(method.lower(), path) or self._slashed(method.lower(), path)
        if found is None and method.upper() == "HEAD":
            return self.operation("GET", self.prefix + path)
        return found

    def check_request(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> list[str]:
        """What is wrong with a request, one sentence each; empty if the document allows it."""
        operation = self.operation(method, path)
        if operation is None:
            return [f"{method} {path}: the document has no such operation"]
        pairs = parse_qsl(query, keep_blank_values=True)
        moved = self._body_pairs(operation, pairs)
        problems = [
            *self._path_problems(operation, path),
            *self._query_problems(operation, [pair for pair in pairs if pair not in moved]),
            *self._body_problems(operation, _lower(headers).get("content-type", ""), body, moved),
        ]
        return [f"{method} {path}: {problem}" for problem in problems]

    def check_response(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """What is wrong with an answer, one sentence each; undocumented 4xx and 5xx are allowed, 2xx are not."""
        operation = self.operation(method, path)
        if operation is None:
            unknown = f"{method} {path} -> {status}: the document has no such operation"
            return [unknown] if status < 400 else []
        problems = self._answer_problems(operation, status, _lower(headers).get("content-type", ""), body)
        return [f"{method} {path} -> {status}: {problem}" for problem in problems]

    def _body_pairs(self, operation: Operation, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The parts of a query that are attributes of the body, where the server reads both as one."""
        if self._document.name not in MERGED or operation.method not in {"put", "post", "patch"}:
            return []
        wanted = self._document.schemas.resolve(operation.spec.get("requestBody") or {})
        schema = _media_schema(wanted.get("content") or {}, "application/json") or {}
        known = self._document.schemas.resolve(schema).get("properties", {})
        return [pair for pair in pairs if pair[0].partition("[")[0] in known]

    def _exact(self, method: str, path: str) -> Operation | None:
        """The operation with the fewest parameters whose template matches segment by segment."""
        candidates = self._document.operations.get((method, path.count("/")), ())
        return next((operation for pattern, operation in candidates if pattern.fullmatch(path)), None)

    def _slashed(self, method: str, path: str) -> Operation | None:
        """The longest template that matches where some parameters may contain slashes."""
        if not self.slashes:
            return None
        matching = [
            operation
            for (verb, slashes), entries in self._document.operations.items()
            if verb == method and slashes <= path.count("/")
            for _, operation in entries
            if _pattern(operation.template, self.slashes).fullmatch(path)
        ]
        return max(matching, key=lambda operation: len(operation.template), default=None)

    def _path_problems(self, operation: Operation, path: str) -> Iterator[str]:
        """Path parameters that are not of their type."""
        match = _pattern(operation.template, self.slashes).fullmatch(path[len(self.prefix) :])
        names = re.findall(r"\{([^}]+)\}", operation.template)
        values = match.groups() if match else ()
        for name, value in zip(names, values, strict=False):
            known = next((p for p in operation.parameters if p["in"] == "path" and p["name"] == name), None)
            if known is not None:
                yield from self._scalar_problems(f"path parameter {name}", known, unquote(value))

    def _query_problems(self, operation: Operation, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
        """Unknown names, missing ones, and values of a wrong type; `name[]` and `name[key]` are read as Rails does."""
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            given.setdefault(name, []).append(value)
        for name, values in given.items():
            known = operation.parameter(name) or operation.parameter(name.partition("[")[0])
            if known is None or ("[" in name and not _takes_brackets(self._document.schemas, known, name)):
                yield f"unknown query parameter {name!r}"
            elif (known["name"] == name and "[" not in name) or name.endswith("[]"):
                yield from self._scalar_problems(f"query parameter {name}", known, *values)
        roots = {name.partition("[")[0] for name in given} | set(given)
        for parameter in operation.parameters:
            if parameter["in"] == "query" and parameter.get("required") and parameter["name"] not in roots:
                yield f"query parameter {parameter['name']!r} is missing"

    def _scalar_problems(self, what: str, parameter: Mapping[str, Any], *texts: str) -> Iterator[str]:
        """Texts of an address judged by the parameter's schema."""
        schema = parameter.get("schema") or {}
        value = coerced(self._document.schemas, schema, texts)
        for problem in self._document.schemas.problems(schema, value):
            yield f"{what} is {', '.join(texts)!r}: {problem}"

    def _body_problems(
        self, operation: Operation, kind: str, body: bytes, moved: Sequence[tuple[str, str]]
    ) -> Iterator[str]:
        """What is wrong with a request's body, to which the query gave the pairs `moved`."""
        schemas = self._document.schemas
        wanted = schemas.resolve(operation.spec.get("requestBody") or {})
        content = wanted.get("content") or {}
        if not body and not moved:
            if wanted.get("required"):
                yield "the body is missing"
            return
        media = kind.partition(";")[0].strip().lower() if body else "application/json"
        if not content and body == b"{}":
            return
        schema = _media_schema(content, media)
        if schema is None:
            yield f"a body of {media or 'no type'} where the document has {', '.join(content) or 'none'}"
            return
        value, problem = _parsed(schemas, schema, media, body or b"{}")
        if problem:
            yield problem
            return
        if moved:
            value = schemas.form(schema, moved) | value
        for problem in schemas.problems(schema, value):
            yield f"body: {problem}"

    def _answer_problems(self, operation: Operation, status: int, kind: str, body: bytes) -> Iterator[str]:
        """What is wrong with an answer."""
        responses = operation.spec.get("responses", {})
        more = ADDITIONS.get((self._document.name, operation.method, operation.template), {})
        found = responses.get(more.get(status, str(status)))
        found = found or responses.get(f"{status // 100}XX") or responses.get("default")
        if found is None:
            if status < 400 and status not in more and status not in UNIVERSAL:
                yield f"the document has only {', '.join(sorted(responses))}"
            return
        content = self._document.schemas.resolve(found).get("content") or {}
        schema = _media_schema(content, kind.partition(";")[0].strip().lower())
        if schema is None or operation.method == "head":
            return
        value, problem = _parsed(self._document.schemas, schema, "application/json", body)
        if problem:
            yield problem
            return
        if self._document.name in WITHOUT_NULLS:
            value = _without_nulls(value)
        for problem in self._document.schemas.problems(schema, value):
            yield f"answer: {problem}"


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Header names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def _takes_brackets(schemas: Schemas, parameter: Mapping[str, Any], name: str) -> bool:
    """Whether `name[]` or `name[key]` may be said of a parameter."""
    if parameter["name"] == name:
        return True
    kinds = schemas.kinds(parameter.get("schema") or {})
    return "array" in kinds if name.endswith("[]") else "object" in kinds


def _media_schema(content: Mapping[str, Any], media: str) -> Mapping[str, Any] | None:
    """The schema for a media type; forms are judged by the schema of JSON, as servers read both alike."""
    if media in content:
        entry = content[media]
    elif media in {"application/x-www-form-urlencoded", "multipart/form-data"} or media.endswith("+json"):
        entry = content.get("application/json")
    else:
        entry = None
    return None if entry is None else entry.get("schema", {})


def _parsed(schemas: Schemas, schema: Mapping[str, Any], media: str, body: bytes) -> tuple[Any, str]:
    """A body's value and a problem."""
    if media == "application/x-www-form-urlencoded":
        return schemas.form(schema, parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)), ""
    try:
        return json.loads(body), ""
    except ValueError as error:
        return None, f"the body is no JSON: {error}"


def _without_nulls(value: Any) -> Any:
    """The value without keys whose value is null."""
    if isinstance(value, dict):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return value
