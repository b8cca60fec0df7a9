"""What the `with` block of a background job in a triple store may hold.

Source: the settings of the delta producer's background jobs initiator (redpencil.io's and lblod's stacks).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bot.config.documents import mapping_of, text_of
from bot.config.rules import Issue
from bot.config.source import Pointer

INITIAL_SYNC = "initial-sync"
HEALING = "healing"
DUMP = "dump"

_TASKS = "http://redpencil.data.gift/id/jobs/concept/TaskOperation/deltas/"

TASK_OPERATIONS: Mapping[str, str] = {
    INITIAL_SYNC: f"{_TASKS}initialPublicationGraphSyncing",
    HEALING: f"{_TASKS}healing/patchPublicationGraph",
    DUMP: f"{_TASKS}deltaDumpFileCreation",
}
"""The operation of the one task of each kind of job, as the services that carry them out look for it."""

KINDS = tuple(TASK_OPERATIONS)
"""The kinds of jobs with rules of their own."""

AUTHS = ("digest", "basic")
UPDATES = ("query", "update", "body")
ON_CANCEL = ("failed", "canceled")
MOST_MINUTES = 525_600
"""A year: whoever waits longer does not mean a time-out."""

_AT: Pointer = ("with",)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f-\x9f\ud800-\udfff<>\"{}|^`\\]+")
_PATH = re.compile(r"/(?!/)[^\s?#\\]*")
_SHOWN = 80  # characters


def is_uri(text: str) -> bool:
    """Whether a text may stand between `<` and `>` in SPARQL: an absolute URI without what would end it."""
    return _URI.fullmatch(text) is not None


def sparql_issues(block: Mapping[str, Any]) -> Iterator[Issue]:
    """Yield what is wrong with a block as a whole; each key is held against `CHECKS` before."""
    kind = text_of(block.get("kind"))
    if "operation" not in block and kind not in mapping_of(block.get("operations")):
        message = "the provider `sparql` needs `with.operation`, or `with.kind` and its operation in `with.operations`"
        yield _issue((*_AT, "operation"), message, "the operation is the URI that says what the job is")
    if "taskOperation" not in block and kind not in KINDS:
        message = "the provider `sparql` needs `with.taskOperation`, or a `with.kind` that has one"
        yield _issue((*_AT, "taskOperation"), message, f"the kinds are {', '.join(KINDS)}")
    if "retryFailed" in block and kind != INITIAL_SYNC:
        message = f"`retryFailed` is for `kind: {INITIAL_SYNC}`: other jobs may be repeated anyway"
        yield _issue((*_AT, "retryFailed"), message, on_key=True)


def _issue(pointer: Pointer, message: str, hint: str = "", *, on_key: bool = False) -> Issue:
    return Issue("bad-with", pointer, message, hint, on_key=on_key)


def _uri(value: Any, at: Pointer) -> Iterator[Issue]:
    if not is_uri(text_of(value)):
        name = next(str(part) for part in reversed(at) if isinstance(part, str))
        message = f"`{name[:_SHOWN]}` is an absolute URI"
        yield _issue(at, message, f"for example {GRAPH_EXAMPLE}; no white space, quotes, <, > or braces in it")


def _uris(value: Any, at: Pointer) -> Iterator[Issue]:
    if not isinstance(value, list):
        yield _issue(at, f"`{at[-1]}` is a list of URIs", "`[]` for none")
        return
    for index, item in enumerate(value):
        yield from _uri(item, (*at, index))


def _operations(value: Any, at: Pointer) -> Iterator[Issue]:
    if not isinstance(value, dict) or not value:
        yield _issue(at, "`operations` is a mapping of kinds of jobs to URIs", f"the kinds are {', '.join(KINDS)}")
    for kind, item in mapping_of(value).items():
        if kind not in KINDS:
            known = f"the kinds are {', '.join(KINDS)}"
            yield _issue((*at, kind), f"there is no kind `{str(kind)[:_SHOWN]}`", known, on_key=True)
        yield from _uri(item, (*at, kind))


def _path(value: Any, at: Pointer) -> Iterator[Issue]:
    if not _PATH.fullmatch(text_of(value)):
        yield _issue(at, f"`{at[-1]}` is a path on the instance's server", f"for example `{at[-1]}: /update`")


def _minutes(value: Any, at: Pointer) -> Iterator[Issue]:
    if type(value) is not int or not 0 < value <= MOST_MINUTES:  # `True` is no number here
        yield _issue(at, f"`{at[-1]}` is a whole number of minutes", f"1 to {MOST_MINUTES}")


def _flag(value: Any, at: Pointer) -> Iterator[Issue]:
    if not isinstance(value, bool):
        yield _issue(at, f"`{at[-1]}` is `true` or `false`")


def _one_of(words: tuple[str, ...]) -> Callable[[Any, Pointer], Iterator[Issue]]:
    def check(value: Any, at: Pointer) -> Iterator[Issue]:
        if text_of(value) not in words:
            yield _issue(at, f"`{at[-1]}` is one of {', '.join(words)}")

    return check


CHECKS: Mapping[str, Callable[[Any, Pointer], Iterator[Issue]]] = {
    "graph": _uri,
    "kind": _one_of(KINDS),
    "operations": _operations,
    "operation": _uri,
    "taskOperation": _uri,
    "blockedBy": _uris,
    "requires": _uris,
    "retryFailed": _flag,
    "timeoutMinutes": _minutes,
    "anyGraph": _flag,
    "creator": _uri,
    "errorCreator": _uri,
    "onCancel": _one_of(ON_CANCEL),
    "endpoint": _path,
    "updateEndpoint": _path,
    "update": _one_of(UPDATES),
    "auth": _one_of(AUTHS),
}
"""The keys of the block, each with what its value is held against."""

GRAPH_EXAMPLE = "http://mu.semte.ch/graphs/system/jobs"
"""An example of the one key that must be there."""
