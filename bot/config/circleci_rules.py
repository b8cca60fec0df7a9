"""What the `with` block of a pipeline on CircleCI may hold.

Source of the limits: https://circleci.com/docs/api/v2/, "Trigger a new pipeline".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bot.config.documents import mapping_of, text_of
from bot.config.placeholders import PLACEHOLDERS, unknown
from bot.config.rules import Issue
from bot.config.source import Pointer

ON_HOLD = ("fail", "wait")
"""What a workflow that waits for an approval makes of its pipeline: a failure, or a run that goes on."""

JOB = "{job}"
"""In `project`: the name of the job, so that one `with` serves all jobs of a trigger."""

PARAMETERS = 100
"""How many parameters CircleCI takes."""

LONGEST_NAME = 128
"""Characters of a parameter's name."""

LONGEST_VALUE = 512
"""Characters of a parameter's value."""

_AT: Pointer = ("with",)
_SLUG = re.compile(r"[A-Za-z]+/[^/\s{}]+/[^/\s{}]+")
_SHOWN = 80  # characters


def circleci_issues(block: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield what is wrong with a block as a whole; each key is held against `CIRCLECI_CHECKS` before."""
    if "branch" in block and "tag" in block:
        message = "CircleCI takes a branch or a tag, not both"
        yield _issue((*_AT, "tag"), message, "take one of `branch` and `tag` away", on_key=True)
    own, names = text_of(block.get("runKeyParameter")), mapping_of(block.get("parameters"))
    if own and own in names:
        message = f"the parameter `{own[:_SHOWN]}` is filled by the bot itself"
        yield _issue((*_AT, "parameters", own), message, on_key=True)
    if len(names) + bool(own) > PARAMETERS:
        more = ", and the run key is one of them" if own else ""
        yield _issue((*_AT, "parameters"), f"CircleCI takes {PARAMETERS} parameters{more}")


def too_long(name: str, value: Any) -> bool:
    """Whether the value of a parameter, or its name, is longer than CircleCI takes."""
    return len(name) > LONGEST_NAME or (isinstance(value, str) and len(value) > LONGEST_VALUE)


def _issue(pointer: Pointer, message: str, hint: str = "", *, on_key: bool = False) -> Issue:
    return Issue("bad-with", pointer, message, hint, on_key=on_key)


def _project(value: Any, at: Pointer) -> Iterator[Issue]:
    if not _SLUG.fullmatch(text_of(value).replace(JOB, "job")):
        example = "for example `project: gh/acme/deploy`, or `circleci/<organization id>/<project id>`"
        yield _issue(at, f"`{at[-1]}` is the project's slug: three words with slashes between them", example)


def _template(value: Any, at: Pointer) -> Iterator[Issue]:
    if not text_of(value):
        yield _issue(at, f"`{at[-1]}` is a string that is not empty", "put it in quotes if it looks like a number")
    yield from _placeholders(value, at)


def _placeholders(value: Any, at: Pointer) -> Iterator[Issue]:
    name = unknown(text_of(value))
    if name:
        known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
        yield _issue(at, f"there is no placeholder `{{{name[:_SHOWN]}}}`", f"known here: {known}")


def _name(value: Any, at: Pointer) -> Iterator[Issue]:
    if not 0 < len(text_of(value)) <= LONGEST_NAME:
        message = f"`{at[-1]}` is the name of a parameter, with at most {LONGEST_NAME} characters"
        yield _issue(at, message, "the project's config declares it")


def _parameters(value: Any, at: Pointer) -> Iterator[Issue]:
    """A mapping of names to strings, whole numbers and booleans; CircleCI has no other kinds."""
    if not isinstance(value, dict):
        yield _issue(at, f"`{at[-1]}` is a mapping of names to values")
    for key, item in mapping_of(value).items():
        name = str(key)
        here = (*at, name)
        if not name.strip() or len(name) > LONGEST_NAME:
            message = f"`{name[:_SHOWN]}` cannot be the name of a parameter"
            yield _issue(here, message, f"it has 1 to {LONGEST_NAME} characters", on_key=True)
        if not isinstance(item, str | int):
            yield _issue(here, f"the parameter `{name[:_SHOWN]}` is a string, a whole number, `true` or `false`")
        if too_long(name[:LONGEST_NAME], item) and "{" not in item:  # what placeholders make of it is seen at the start
            yield _issue(here, f"the parameter `{name[:_SHOWN]}` has at most {LONGEST_VALUE} characters")
        yield from _placeholders(item, here)


def _on_hold(value: Any, at: Pointer) -> Iterator[Issue]:
    if text_of(value) not in ON_HOLD:
        meaning = "whether a workflow that waits for an approval is a failure"
        yield _issue(at, f"`{at[-1]}` is `fail` or `wait`: {meaning}")


def _page(value: Any, at: Pointer) -> Iterator[Issue]:
    text = text_of(value)
    if not text.startswith(("https://", "http://")) or not ("{number}" in text or "{id}" in text):
        example = "for example `page: https://app.circleci.com/pipelines/{slug}/{number}`"
        yield _issue(at, f"`{at[-1]}` is the address of a pipeline's page, with `{{number}}` or `{{id}}`", example)


CIRCLECI_CHECKS: Mapping[str, Callable[[Any, Pointer], Iterator[Issue]]] = {
    "project": _project,
    "branch": _template,
    "tag": _template,
    "parameters": _parameters,
    "runKeyParameter": _name,
    "onHold": _on_hold,
    "page": _page,
}
"""The keys of the block, each with what its value is held against."""

PROJECT_EXAMPLE = "gh/acme/deploy"
"""An example of the one key that must be there."""
