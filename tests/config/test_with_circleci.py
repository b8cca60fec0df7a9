"""What `validate` says of the `with` block of a pipeline on CircleCI."""

from __future__ import annotations

from typing import Any

import pytest
from config_world import edited, findings

from bot.config.with_rules import with_issues

LEAST = {"project": "gh/acme/web"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"project": "circleci/5f3b0a3e-0d4c-4a68/6a2f0c4b8d11"},
        {"project": "gh/acme/{job}"},
        {"branch": "{ref}", "onHold": "wait"},
        {"tag": "v1", "onHold": "fail", "page": "https://ci.example.com/{slug}/{number}"},
        {"page": "http://ci.example.com/{id}"},
        {"parameters": {"gio_action": "release", "dry_run": True, "count": 3, "why": "{reasons}" * 90, "empty": ""}},
        {"parameters": {f"p{number}": 1 for number in range(99)}, "runKeyParameter": "run_key"},
        {"parameters": {f"p{number}": "x" * 512 for number in range(100)}},
    ],
)
def test_blocks_that_circleci_takes(more: dict[str, Any]) -> None:
    assert list(with_issues("circleci", {**LEAST, **more})) == []


PROJECT = "`project` is the project's slug: three words with slashes between them"
ON_HOLD = "`onHold` is `fail` or `wait`: whether a workflow that waits for an approval is a failure"
PAGE = "`page` is the address of a pipeline's page, with `{number}` or `{id}`"
RUN_KEY = "`runKeyParameter` is the name of a parameter, with at most 128 characters"


@pytest.mark.parametrize(
    ("more", "at", "message"),
    [
        ({"project": "acme/web"}, ("project",), PROJECT),
        ({"project": "gh/acme/web/x"}, ("project",), PROJECT),
        ({"project": "gh/acme/{name}"}, ("project",), PROJECT),
        ({"project": 5}, ("project",), PROJECT),
        ({"branch": ""}, ("branch",), "`branch` is a string that is not empty"),
        ({"tag": 1.0}, ("tag",), "`tag` is a string that is not empty"),
        ({"branch": "{shaa}"}, ("branch",), "there is no placeholder `{shaa}`"),
        ({"branch": "main", "tag": "v1"}, ("tag",), "CircleCI takes a branch or a tag, not both"),
        ({"parameters": ["x"]}, ("parameters",), "`parameters` is a mapping of names to values"),
        ({"parameters": {" ": 1}}, ("parameters", " "), "` ` cannot be the name of a parameter"),
        ({"parameters": {"a": "{x}"}}, ("parameters", "a"), "there is no placeholder `{x}`"),
        ({"parameters": {"a": "x" * 513}}, ("parameters", "a"), "the parameter `a` has at most 512 characters"),
        ({"runKeyParameter": ""}, ("runKeyParameter",), RUN_KEY),
        ({"runKeyParameter": "x" * 129}, ("runKeyParameter",), RUN_KEY),
        ({"onHold": "pass"}, ("onHold",), ON_HOLD),
        ({"onHold": True}, ("onHold",), ON_HOLD),
        ({"page": "https://ci.example.com"}, ("page",), PAGE),
        ({"page": "{number}"}, ("page",), PAGE),
        ({"brunch": "main"}, ("brunch",), "the provider `circleci` has no `brunch`"),
        (
            {"parameters": {"key": 1}, "runKeyParameter": "key"},
            ("parameters", "key"),
            "the parameter `key` is filled by the bot itself",
        ),
        (
            {"parameters": {f"p{number}": 1 for number in range(101)}},
            ("parameters",),
            "CircleCI takes 100 parameters",
        ),
        (
            {"parameters": {f"p{number}": 1 for number in range(100)}, "runKeyParameter": "run_key"},
            ("parameters",),
            "CircleCI takes 100 parameters, and the run key is one of them",
        ),
    ],
)
def test_blocks_that_circleci_would_refuse(more: dict[str, Any], at: tuple[str, ...], message: str) -> None:
    (found,) = with_issues("circleci", {**LEAST, **more})
    assert (found.pointer, found.message) == (("with", *at), message)


@pytest.mark.parametrize("value", [1.5, None, ["x"], {"a": 1}])
def test_values_of_other_kinds_are_refused(value: Any) -> None:
    (found,) = with_issues("circleci", {**LEAST, "parameters": {"a": value}})
    assert found.message == "the parameter `a` is a string, a whole number, `true` or `false`"


def test_a_long_name_is_cut_where_it_is_shown() -> None:
    (found,) = with_issues("circleci", {**LEAST, "parameters": {"n" * 129: "x"}})
    assert found.message == f"`{'n' * 80}` cannot be the name of a parameter"


def test_the_project_must_be_there_and_a_fault_has_its_place_in_the_file() -> None:
    instance = "$schema: /instance-1.json\nname: shell\nprovider: circleci\nurl: https://circleci.com\n"
    block = "with: {branch: main, onHold: never}"
    deploy = "pipelines/deploy.yml"
    found = findings(edited(("instances/shell.yml", "", instance), (deploy, "with: {command: [./deploy.sh]}", block)))
    assert [(each.file, each.line, each.column, each.rule) for each in found] == [
        (deploy, 4, 7, "bad-with"),
        (deploy, 4, 30, "bad-with"),
    ]
    assert found[0].message == "the provider `circleci` needs `with.project`"
