"""What the `with` block of a pipeline may hold, by the provider of its instance.

`validate` asks here for every pipeline, and a provider asks again before it starts one: both give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from bot.config.circleci_rules import CIRCLECI_CHECKS, PROJECT_EXAMPLE, circleci_issues
from bot.config.documents import mapping_of, text_of
from bot.config.placeholders import PLACEHOLDERS, unknown
from bot.config.rules import Issue
from bot.config.source import Pointer
from bot.config.sparql_rules import CHECKS, GRAPH_EXAMPLE, sparql_issues

RUN_KEY_INPUT = "saasbot_run_key"
"""The workflow input that carries the run key where `runKeyInput` does not name another."""

JENKINS_RUN_KEY = "SAASBOT_RUN_KEY"
"""The build parameter that carries the run key where `runKeyParameter` does not name another."""

GITHUB_INPUTS = 25
"""How many inputs GitHub takes, the run key's included."""

GANGWAY_TYPES: Mapping[str, str] = {"periodic": "1", "postsubmit": "2", "presubmit": "3"}
"""The kinds of Prow jobs that Gangway starts, with their numbers in its requests."""

GANGWAY_REFS = frozenset(
    {
        "org",
        "repo",
        "repo_link",
        "base_ref",
        "base_sha",
        "base_link",
        "pulls",
        "path_alias",
        "work_dir",
        "clone_uri",
        "skip_submodules",
        "clone_depth",
        "skip_fetch_head",
    }
)
"""What Gangway's requests know of a repository, by the names that they have there."""

OWN_VARIABLES = "SAASBOT_"
"""What the names of the variables begin with that every run is told."""

_AT: Pointer = ("with",)
_NEEDED_REFS = ("org", "repo", "base_ref", "base_sha")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
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
    if provider == "jenkins":
        yield from _jenkins_run_key(block)
    if provider == "gangway":
        yield from _gangway_refs(block)
    if provider == "sparql":
        yield from sparql_issues(block)
    if provider == "circleci":
        yield from circleci_issues(block)


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


def _job(value: Any, at: Pointer) -> Iterator[Issue]:
    """A job's name with its folders; which server it is at is not known here."""
    if not text_of(value).strip("/ "):
        yield _issue(at, f"`{at[-1]}` is a job's name with its folders", "for example `job: folder/deploy`")


def _parameters(value: Any, at: Pointer) -> Iterator[Issue]:
    """A mapping of names to strings, numbers and booleans, none of them the bot's own."""
    if not isinstance(value, dict):
        yield _issue(at, f"`{at[-1]}` is a mapping of names to values")
    for name, item in _named(value).items():
        here = (*at, name)
        if not name.strip() or name.startswith(OWN_VARIABLES):
            why = f"names with `{OWN_VARIABLES}` are given by the bot itself" if name.strip() else ""
            yield _issue(here, f"`{name[:80]}` cannot be the name of a parameter", why, on_key=True)
        if not isinstance(item, str | int | float):
            yield _issue(here, f"the parameter `{name[:80]}` is a string, a number, `true` or `false`")
        yield from _placeholders(text_of(item), here)


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


def _jenkins_run_key(block: Mapping[str, Any]) -> Iterator[Issue]:
    """The parameter that takes the run key is nobody else's."""
    own = text_of(block.get("runKeyParameter"))
    if own and own in _named(block.get("parameters")):
        yield _issue((*_AT, "parameters", own), f"the parameter `{own[:80]}` is filled by the bot itself", on_key=True)


def _url_style(value: Any, at: Pointer) -> Iterator[Issue]:
    if value not in ("body", "path"):
        yield _issue(at, f"`{at[-1]}` is `body` or `path`: where Gangway reads the job's name from")


def _job_type(value: Any, at: Pointer) -> Iterator[Issue]:
    if not isinstance(value, str) or value not in GANGWAY_TYPES:
        yield _issue(at, f"`{at[-1]}` is one of {', '.join(GANGWAY_TYPES)}")


def _page(value: Any, at: Pointer) -> Iterator[Issue]:
    if not text_of(value).startswith(("https://", "http://")):
        example = "for example `page: https://prow.example.com/prowjob?prowjob=`"
        yield _issue(at, f"`{at[-1]}` is the address of an execution's page up to its id", example)


def _specs(value: Any, at: Pointer) -> Iterator[Issue]:
    """A mapping of names to templates that are not empty: Gangway takes no empty values."""
    if not isinstance(value, dict):
        yield _issue(at, f"`{at[-1]}` is a mapping of names to strings")
    for name, text in _named(value).items():
        here = (*at, name)
        if not name.strip():
            yield _issue(here, f"a name in `{at[-1]}` is empty", on_key=True)
        yield from _template(text, here)


def _labels(value: Any, at: Pointer) -> Iterator[Issue]:
    """As `_specs`, with what Kubernetes takes for the value of a label, as far as no placeholder is in it."""
    yield from _specs(value, at)
    for name, text in _named(value).items():
        if text_of(text) and "{" not in text and not _LABEL.fullmatch(text):
            message = f"`{name[:80]}` cannot have this value as a label: Kubernetes takes up to 63 of `A-Za-z0-9-_.`"
            yield _issue((*at, name), message, "it begins and ends with a letter or a digit")


def _refs(value: Any, at: Pointer) -> Iterator[Issue]:
    """A repository as Gangway's requests have it; `pulls` is a list of such mappings, anything else plain."""
    if not isinstance(value, dict):
        yield _issue(
            at, f"`{at[-1]}` is a mapping", "for example `refs: {org: a, repo: b, base_ref: main, base_sha: ...}`"
        )
    for name, item in _named(value).items():
        here = (*at, name)
        if name not in GANGWAY_REFS:
            close = get_close_matches(name, GANGWAY_REFS, 1)
            yield _issue(
                here, f"`refs` has no `{name[:80]}`", f"did you mean `{close[0]}`?" if close else "", on_key=True
            )
        elif name == "pulls":
            yield from _pulls(item, here)
        elif not isinstance(item, str | int):
            yield _issue(here, f"`{name}` is a string, a number, `true` or `false`")
        yield from _placeholders(text_of(item), here)


def _pulls(value: Any, at: Pointer) -> Iterator[Issue]:
    if not isinstance(value, list) or not all(
        isinstance(each, dict) and {"number", "sha"} <= each.keys() for each in value
    ):
        yield _issue(at, "`pulls` is a list of mappings", "for example `pulls: [{number: 1, author: alice, sha: ...}]`")


def _gangway_refs(block: Mapping[str, Any]) -> Iterator[Issue]:
    """A periodic job takes no repository, the others need one: Gangway refuses anything else."""
    kind, refs = text_of(block.get("type", "periodic")), _named(block.get("refs"))
    if kind == "periodic" and "refs" in block:
        yield _issue((*_AT, "refs"), "a periodic job takes no `refs`", "say `type: postsubmit` or `type: presubmit`")
    needed = {"periodic": (), "postsubmit": _NEEDED_REFS, "presubmit": (*_NEEDED_REFS, "pulls")}.get(kind, ())
    missing = [name for name in needed if not refs.get(name)]
    if missing:
        yield _issue((*_AT, "refs"), f"a {kind} job needs {', '.join(f'`{name}`' for name in missing)} in `with.refs`")


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
    "jenkins": {
        "job": Field(_job, "folder/deploy"),
        "parameters": Field(_parameters),
        "runKeyParameter": Field(_text),
    },
    "gangway": {
        "job": Field(_text),
        "urlStyle": Field(_url_style),
        "type": Field(_job_type),
        "refs": Field(_refs),
        "envs": Field(_specs),
        "labels": Field(_labels),
        "annotations": Field(_specs),
        "healthCheck": Field(_text),
        "page": Field(_page),
    },
    "circleci": {
        key: Field(check, PROJECT_EXAMPLE if key == "project" else "") for key, check in CIRCLECI_CHECKS.items()
    },
    "sparql": {key: Field(check, GRAPH_EXAMPLE if key == "graph" else "") for key, check in CHECKS.items()},
}
"""The keys of a `with` block by provider."""
