"""What `validate` says of the `with` block of a background job in a triple store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from config_world import VALID, edited, findings

from bot.config.with_rules import with_issues

GRAPH = "http://mu.semte.ch/graphs/system/jobs"
OPERATIONS = {"initial-sync": "urn:sync", "healing": "urn:heal", "dump": "urn:dump"}
PLAIN = {"graph": GRAPH, "operation": "urn:op", "taskOperation": "urn:task"}
KIND = {"graph": GRAPH, "kind": "healing", "operations": OPERATIONS}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"blockedBy": [], "requires": ["urn:a", "urn:b"], "anyGraph": True},
        {"creator": "http://example.com/a", "errorCreator": "http://example.com/b", "onCancel": "canceled"},
        {"timeoutMinutes": 60},
        {"endpoint": "/query", "updateEndpoint": "/x/update", "update": "body", "auth": "basic"},
    ],
)
def test_blocks_that_are_taken(more: dict[str, Any]) -> None:
    for block in (PLAIN, KIND, {"graph": GRAPH, "kind": "initial-sync", "operation": "urn:op", "retryFailed": True}):
        assert list(with_issues("sparql", {**block, **more})) == []


@pytest.mark.parametrize(
    ("block", "at", "message"),
    [
        ({"kind": "dump", "operations": OPERATIONS}, ("graph",), "the provider `sparql` needs `with.graph`"),
        ({**PLAIN, "graph": "jobs"}, ("graph",), "`graph` is an absolute URI"),
        ({**PLAIN, "graph": "http://a/<b>"}, ("graph",), "`graph` is an absolute URI"),
        ({**PLAIN, "graph": 5}, ("graph",), "`graph` is an absolute URI"),
        ({**PLAIN, "creater": "urn:x"}, ("creater",), "the provider `sparql` has no `creater`"),
        ({**PLAIN, "operation": "a b"}, ("operation",), "`operation` is an absolute URI"),
        ({**PLAIN, "blockedBy": "urn:a"}, ("blockedBy",), "`blockedBy` is a list of URIs"),
        ({**PLAIN, "requires": ["urn:a", 5]}, ("requires", 1), "`requires` is an absolute URI"),
        ({**PLAIN, "timeoutMinutes": True}, ("timeoutMinutes",), "`timeoutMinutes` is a whole number of minutes"),
        ({**PLAIN, "timeoutMinutes": 0}, ("timeoutMinutes",), "`timeoutMinutes` is a whole number of minutes"),
        ({**PLAIN, "timeoutMinutes": "60"}, ("timeoutMinutes",), "`timeoutMinutes` is a whole number of minutes"),
        ({**PLAIN, "anyGraph": "yes"}, ("anyGraph",), "`anyGraph` is `true` or `false`"),
        ({**PLAIN, "update": "post"}, ("update",), "`update` is one of query, update, body"),
        ({**PLAIN, "auth": ["digest"]}, ("auth",), "`auth` is one of digest, basic"),
        ({**PLAIN, "onCancel": "success"}, ("onCancel",), "`onCancel` is one of failed, canceled"),
        ({**PLAIN, "endpoint": "query"}, ("endpoint",), "`endpoint` is a path on the instance's server"),
        (
            {**PLAIN, "updateEndpoint": "//evil.example.com/update"},
            ("updateEndpoint",),
            "`updateEndpoint` is a path on the instance's server",
        ),
        ({**KIND, "kind": "heal"}, ("kind",), "`kind` is one of initial-sync, healing, dump"),
        ({**KIND, "operations": {}}, ("operations",), "`operations` is a mapping of kinds of jobs to URIs"),
        ({**KIND, "operations": ["urn:a"]}, ("operations",), "`operations` is a mapping of kinds of jobs to URIs"),
        ({**KIND, "operations": {**OPERATIONS, "heal": "urn:a"}}, ("operations", "heal"), "there is no kind `heal`"),
        ({**KIND, "operations": {**OPERATIONS, "dump": "a"}}, ("operations", "dump"), "`dump` is an absolute URI"),
        (
            {"graph": GRAPH, "taskOperation": "urn:task"},
            ("operation",),
            "the provider `sparql` needs `with.operation`, or `with.kind` and its operation in `with.operations`",
        ),
        (
            {"graph": GRAPH, "kind": "dump", "operations": {"healing": "urn:heal"}},
            ("operation",),
            "the provider `sparql` needs `with.operation`, or `with.kind` and its operation in `with.operations`",
        ),
        (
            {"graph": GRAPH, "operation": "urn:op"},
            ("taskOperation",),
            "the provider `sparql` needs `with.taskOperation`, or a `with.kind` that has one",
        ),
        (
            {**KIND, "retryFailed": True},
            ("retryFailed",),
            "`retryFailed` is for `kind: initial-sync`: other jobs may be repeated anyway",
        ),
    ],
)
def test_bj_1_blocks_that_would_be_refused(block: dict[str, Any], at: tuple[str | int, ...], message: str) -> None:
    first, *_ = with_issues("sparql", block)
    assert (first.pointer, first.message, first.rule) == (("with", *at), message, "bad-with")


def test_an_error_is_at_the_value_that_is_wrong() -> None:
    """A pipeline takes the same block as a job of a trigger definition."""
    instance = "$schema: /instance-1.json\nname: shell\nprovider: sparql\nurl: http://store.example.com/sparql\n"
    block = "with: {graph: 'urn:g', kind: dump, operations: {dump: 'not one'}}"
    tree = edited(
        ("instances/shell.yml", "", instance), ("pipelines/deploy.yml", "with: {command: [./deploy.sh]}", block)
    )
    (found,) = findings(tree)
    assert (found.file, found.line, found.column) == ("pipelines/deploy.yml", 4, block.index("'not one'") + 1)
    assert found.message == "`dump` is an absolute URI"


def test_the_examples_of_the_page_are_right() -> None:
    page = (Path(__file__).parents[2] / "docs/triple-store.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n# ((?:instances|triggers|pipelines)/\S+)\n(.*?)```", page, re.DOTALL)
    assert [path for path, _ in blocks] == [
        "instances/store.yml",
        "triggers/leidinggevenden.yml",
        "pipelines/publish.yml",
    ]
    assert findings({**VALID, **dict(blocks)}) == ()
