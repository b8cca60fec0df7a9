"""What the `with` block of a pipeline may hold, by the provider of its instance.

`validate` asks here for every pipeline, and a provider asks again before it starts one: both give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from bot.config.documents import mapping_of, text_of
from bot.config.placeholders import PLACEHOLDERS, unknown
from bot.config.rules import Issue
from bot.config.source import Pointer

RUN_KEY_INPUT = "saasbot_run_key"
"""The workflow input that carries the run key where `runKeyInput` does not name another."""

GITHUB_INPUTS = 25
"""How many inputs GitHub takes, the run key's included."""

OWN_VARIABLES = "SAASBOT_"
"""What the names of the variables begin with that every run is told."""

_AT: Pointer = ("with",)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REPOSITORY = re.compile(r"[^/\s]+/[^/\s]+")

Check = Callable[[Any, Pointer], Iterator[Issue]]


class Field(NamedTuple):
    """A key of a `with` block: what its value is held against, and an example where it must not be missing."""

    check: Check
    required: str = ""


def with_issues(provider: str, options: Any) -> Iterator[Issue]:
    """Yield why a provider would refuse a `with` block; nothing for a provider whose blocks are not known here."""
    if provider == "command":
        yield from _command(options)
        return
    fields = FIELDS.get(provider)
    if fields is None:
        return
    block = _named(options)
    for key, value in block.items():
        field = fields.get(key)
        yield from field.check(value, (*_AT, key)) if field else _unknown_key(provider, key, fields)
    for key, field in fields.items():
        if field.required and key not in block:
            message = f"the provider `{provider}` needs `with.{key}`"
            yield _issue((*_AT, key), message, f"for example `{key}: {field.required}`")
    if provider == "github":
        yield from _github_inputs(block)


def with_faults(options: Any) -> dict[str, list[Issue]]:
    """Return the issues of a block by provider, for those that would refuse it."""
    faults = {provider: list(with_issues(provider, options)) for provider in ("command", *FIELDS)}
    return {provider: found for provider, found in faults.items() if found}


def _named(value: Any) -> dict[str, Any]:
    """Return a mapping with names for keys; YAML has others, which are reported for every kind of file."""
    return {str(key): item for key, item in mapping_of(value).items()}


def _issue(pointer: Pointer, message: str, hint: str = "", *, on_key: bool = False) -> Issue:
    return Issue("bad-with", pointer, message, hint, on_key=on_key)


def _unknown_key(provider: str, key: str, fields: Mapping[str, Field]) -> Iterator[Issue]:
    close = get_close_matches(key, fields, 1)
    hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(fields)}"
    yield _issue((*_AT, key), f"the provider `{provider}` has no `{key[:80]}`", hint, on_key=True)


def _command(options: Any) -> Iterator[Issue]:
    words = mapping_of(options).get("command")
    if not (isinstance(words, list) and words and all(isinstance(word, str) and word for word in words)):
        message = "the provider `command` needs `with.command`: a list of strings that is not empty"
        yield _issue((*_AT, "command"), message, "for example `with: {command: [./deploy.sh]}`")


def _text(value: Any, at: Pointer) -> Iterator[Issue]:
    if not text_of(value):
        yield _issue(at, f"`{at[-1]}` is a string that is not empty", "put it in quotes if it looks like a number")


def _template(value: Any, at: Pointer) -> Iterator[Issue]:
    yield from _text(value, at)
    yield from _placeholders(text_of(value), at)


def _placeholders(text: str, at: Pointer) -> Iterator[Issue]:
    name = unknown(text)
    if name:
        known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
        yield _issue(at, f"there is no placeholder `{{{name[:80]}}}`", f"known here: {known}")


def _number_or_path(value: Any, at: Pointer) -> Iterator[Issue]:
    if isinstance(value, bool) or not (isinstance(value, int) or text_of(value)):
        yield _issue(at, f"`{at[-1]}` is a name or a number")


def _repository(value: Any, at: Pointer) -> Iterator[Issue]:
    if not _REPOSITORY.fullmatch(text_of(value)):
        yield _issue(at, f"`{at[-1]}` is an owner and a name", "for example `repository: acme/deploy`")


def _variables(value: Any, at: Pointer) -> Iterator[Issue]:
    """A mapping of names to templates, none of them the bot's own."""
    if not isinstance(value, dict):
        yield _issue(at, f"`{at[-1]}` is a mapping of names to strings")
    for name, text in _named(value).items():
        here = (*at, name)
        if not _NAME.fullmatch(name) or name.startswith(OWN_VARIABLES):
            why = f"names with `{OWN_VARIABLES}` are given by the bot itself" if _NAME.fullmatch(name) else ""
            yield _issue(here, f"`{name[:80]}` cannot be the name of a variable", why, on_key=True)
        if not isinstance(text, str):
            yield _issue(here, f"the variable `{name[:80]}` is a string", "put it in quotes")
        yield from _placeholders(text_of(text), here)


def _inputs(value: Any, at: Pointer, *, lists: bool = False) -> Iterator[Issue]:
    """A mapping of names to strings, numbers, booleans and, for some, lists of strings."""
    if not isinstance(value, dict):
        yield _issue(at, f"`{at[-1]}` is a mapping of names to values")
    for name, item in _named(value).items():
        here = (*at, name)
        parts = item if lists and isinstance(item, list) else [item]
        if not all(isinstance(part, str if isinstance(item, list) else str | int | float) for part in parts):
            kinds = "a string, a number, `true`, `false`" + (" or a list of strings" if lists else "")
            yield _issue(here, f"the input `{name[:80]}` is {kinds}")
        for part in parts:
            yield from _placeholders(text_of(part), here)


def _inputs_or_lists(value: Any, at: Pointer) -> Iterator[Issue]:
    yield from _inputs(value, at, lists=True)


def _secret(value: Any, at: Pointer) -> Iterator[Issue]:
    """Exactly one of `env` and `file`; the value is never shown, it may be a secret in the wrong place."""
    pairs = list(mapping_of(value).items())
    if len(pairs) != 1 or pairs[0][0] not in {"env", "file"} or not text_of(pairs[0][1]):
        message = f"`{at[-1]}` says where a secret is read from: exactly one of `env` and `file`"
        yield _issue(at, message, f"for example `{at[-1]}: {{env: TRIGGER_TOKEN}}`")


def _github_inputs(block: Mapping[str, Any]) -> Iterator[Issue]:
    """What the inputs of a workflow may not be besides the one that the bot fills itself."""
    inputs = _named(block.get("inputs"))
    own = text_of(block.get("runKeyInput", RUN_KEY_INPUT))
    if own in inputs:
        yield _issue((*_AT, "inputs", own), f"the input `{own[:80]}` is filled by the bot itself", on_key=True)
    if len(inputs) >= GITHUB_INPUTS:
        message = f"GitHub takes {GITHUB_INPUTS} inputs, and the run key is one of them"
        yield _issue((*_AT, "inputs"), message, "put several values into one")


FIELDS: Mapping[str, Mapping[str, Field]] = {
    "gitlab": {
        "project": Field(_number_or_path, "acme/deploy"),
        "ref": Field(_template),
        "variables": Field(_variables),
        "inputs": Field(_inputs_or_lists),
        "trigger": Field(_secret),
    },
    "github": {
        "repository": Field(_repository, "acme/deploy"),
        "workflow": Field(_number_or_path, "deploy.yml"),
        "ref": Field(_template),
        "inputs": Field(_inputs),
        "runKeyInput": Field(_text),
    },
}
"""The keys of a `with` block by provider."""
