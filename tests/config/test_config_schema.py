"""Errors of a schema in our words, where the shipped schemas do not show them."""

from __future__ import annotations

import json

from bot.config.schema import Schemas, foreign_values


def test_a_keyword_without_words_of_its_own_is_named() -> None:
    schema = {"properties": {"n": {"multipleOf": 2}}, "required": ["n"]}
    schemas = Schemas({"even-1": json.dumps(schema).encode()})
    (issue,) = schemas.issues("even-1", {"n": 3})
    assert (issue.rule, issue.pointer, issue.hint) == ("bad-value", ("n",), "")
    assert issue.message == "the number 3 is not allowed here (multipleOf)"


def test_a_constant_is_named() -> None:
    schemas = Schemas({"fixed-1": json.dumps({"properties": {"n": {"const": "x"}}}).encode()})
    (issue,) = schemas.issues("fixed-1", {"n": "y"})
    assert issue.message == 'expected "x", found "y"'


def test_a_kind_without_a_schema_has_no_issues() -> None:
    assert Schemas({}).issues("named-1", {}) == ()
    assert "named-1" not in Schemas({})


def test_a_value_that_lies_too_deep_is_an_issue() -> None:
    value: object = 1
    for _ in range(200):
        value = [value]
    (issue,) = foreign_values(value, ())
    assert issue.rule == "too-deep"
