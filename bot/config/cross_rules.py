"""The checks across files: references, names, and what freezes and pipelines say about each other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from bot.config.channel_rules import channels
from bot.config.documents import mapping_of
from bot.config.repository import Repository, first_of, pipeline_of
from bot.config.rows import NAMED
from bot.config.rules import Issue
from bot.config.source import Pointer
from bot.config.summary import UNREADABLE, Summary
from bot.config.trigger_rules import jobs_of
from bot.config.with_rules import with_issues

_REFERENCE = re.compile(r"/.*\.ya?ml")

ADVICE_LIMIT = 20
"""How many findings of a run come with a \"did you mean\"."""

COMPARED = 5_000
"""How many names are compared for one."""

FITTING: Mapping[str | int, frozenset[str]] = {
    "upstream": frozenset({"jenkins", "gitlab", "github"}),
    "images": frozenset({"registry"}),
}
"""The providers that an instance may have where it stands below this key of a target."""

PROVIDERS = frozenset({"command", "circleci", "gangway", "sparql"}).union(*FITTING.values())
"""All that an instance may have; any other has a finding of its own."""

Found = tuple[str, Issue]
"""A path with an issue in our shape of its document."""


def check(repository: Repository) -> Iterator[Found]:
    """Yield every issue that takes more than one file to see."""
    yield from _references(repository)
    yield from _names(repository)
    yield from _ids(repository)
    yield from channels(repository)
    yield from _blocks(repository)
    yield from _jobs(repository)
    yield from _kinds(repository)
    yield from _scopes(repository)


def _references(repository: Repository) -> Iterator[Found]:
    judged: dict[tuple[str, str], Issue | None] = {}
    advice = _Advice(repository)
    for path, summary in repository.summaries.items():
        wanted: list[tuple[str, str, Pointer]] = [(ref.path, ref.kind, ref.pointer) for ref in summary.references]
        wanted += [(row.namespace, "namespace", (*row.pointer, "namespace", "$ref")) for row in summary.rows]
        for reference, kind, pointer in wanted:
            if not _REFERENCE.fullmatch(reference):
                continue  # nothing there, or reported against the schema
            if (reference, kind) not in judged:
                judged[reference, kind] = _reference(repository, advice, reference, kind)
            issue = judged[reference, kind]
            if issue:
                yield path, issue._replace(pointer=pointer)
        if (
            summary.compat
            and any(not row.pipeline for row in summary.rows)
            and not repository.resolve(pipeline_of(summary, summary.rows[0]))
        ):
            hint = "name one of your pipelines in `saasbot.yml` under `compat.pipeline`"
            yield path, Issue("compat-pipeline", (), "this file names no pipeline of ours", hint)


def _reference(repository: Repository, advice: _Advice, reference: str, kind: str) -> Issue | None:
    """Return what is wrong with a reference to a file of this kind."""
    path = repository.resolve(reference)
    if not path:
        message = f"`{reference[:200]}` does not stay inside the data folder"
        return Issue("ref-outside", (), message, "write the path from the data folder, with a leading slash")
    found = repository.summaries.get(path)
    if found and found.kind in {kind, UNREADABLE}:
        return None
    if found:
        return Issue("mistyped-ref", (), f"`{reference[:200]}` is a file of kind {found.kind}, not {kind}")
    if path in repository.paths:
        return Issue("mistyped-ref", (), f"`{reference[:200]}` is not a file of kind {kind}", "it lacks our `$schema`")
    return Issue("dangling-ref", (), f"there is no file `{reference[:200]}`", advice.path(path, kind))


class _Advice:
    """Finds what somebody may have meant; only so often, because each look compares with every name there is."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._left = ADVICE_LIMIT

    def path(self, path: str, kind: str) -> str:
        """Return the hint for the path of a missing file."""
        paths = (other for other, summary in self._repository.summaries.items() if summary.kind == kind)
        close = self.name(path, paths).removeprefix(self._repository.root)
        return f"did you mean `/{close}`?" if close else "create it or correct the path"

    def name(self, name: str, names: Iterable[str]) -> str:
        """Return the name that comes close, or an empty string."""
        if self._left <= 0:
            return ""
        self._left -= 1
        close = get_close_matches(name[:200], sorted(names)[:COMPARED], 1)
        return close[0] if close else ""


def _names(repository: Repository) -> Iterator[Found]:
    """Yield the names that two files of a kind share; a namespace is named within its cluster."""
    named: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for path, summary in repository.summaries.items():
        if summary.name and summary.kind not in {UNREADABLE, NAMED}:
            named[summary.kind, summary.name, summary.facts.get("cluster", "")].append(path)
    for (kind, name, _), paths in named.items():
        for path in paths if len(paths) > 1 else ():
            other = paths[0] if path != paths[0] else paths[1]
            yield path, Issue("duplicate-name", ("name",), f"the {kind} `{name}` is also in {other}", "rename one")


def _ids(repository: Repository) -> Iterator[Found]:
    """Yield the targets that share an id."""
    first: dict[str, tuple[str, Pointer]] = {}
    reported: set[str] = set()
    for path, summary in repository.summaries.items():
        for row in summary.rows:
            identity = repository.target_id(summary, row)
            if identity not in first:
                if identity:
                    first[identity] = (path, row.pointer)
                continue
            other, pointer = first[identity]
            if identity not in reported:
                reported.add(identity)
                yield other, _duplicate_id(identity, path, pointer)
            yield path, _duplicate_id(identity, other, row.pointer)


def _duplicate_id(identity: str, other: str, pointer: Pointer) -> Issue:
    message = f"the target `{identity}` is also in {other}"
    return Issue("duplicate-id", (*pointer, "name"), message, "give the targets different names")


def _blocks(repository: Repository) -> Iterator[Found]:
    """Yield what the provider of a pipeline's instance would refuse of its `with` block."""
    for path, summary in repository.summaries.items():
        faults = summary.facts["with"] if summary.kind == "pipeline" else {}
        for reference in summary.references if faults else ():
            instance = repository.summaries.get(repository.resolve(reference.path))
            if instance and instance.kind == "instance":
                for issue in faults.get(instance.facts["provider"], ()):
                    yield path, _issue_of(issue)


def _jobs(repository: Repository) -> Iterator[Found]:
    """Yield what the provider of a definition's instance would refuse of its jobs, each fault where it stands."""
    for path, summary in repository.summaries.items():
        doc = mapping_of(summary.document()) if summary.kind == "trigger" else {}
        instance = repository.summaries.get(repository.resolve(first_of(summary, "instance"))) if doc else None
        if instance is None or instance.kind != "instance":
            continue
        shared = mapping_of(doc.get("with"))
        found = {}
        for at, job in jobs_of(doc):
            own = mapping_of(job.get("with"))
            for issue in with_issues(instance.facts["provider"], {**shared, **own}):
                placed = issue._replace(pointer=_of_job(at, own, shared, issue.pointer))
                found[placed.pointer, placed.message] = placed
        yield from ((path, issue) for issue in found.values())


def _of_job(at: Pointer, own: Mapping[str, Any], shared: Mapping[str, Any], pointer: Pointer) -> Pointer:
    """Where a key of a job's block stands: with the job, with the definition, or nowhere, which is the job's fault."""
    key = pointer[1] if len(pointer) > 1 else ""
    if key in own:
        return (*at, *pointer)
    return pointer if key in shared else (*at, "name")


def _issue_of(kept: Sequence[Any]) -> Issue:
    """Return an issue as it came from the cache, where it is a list."""
    rule, pointer, *rest = kept
    return Issue(rule, tuple(pointer), *rest)


def _kinds(repository: Repository) -> Iterator[Found]:
    """Yield the upstreams and images whose instance is a server of another kind."""
    for path, summary in repository.summaries.items():
        for reference in summary.references if summary.kind == "saas-file" else ():
            fitting = next((FITTING[part] for part in reference.pointer if part in FITTING), frozenset[str]())
            instance = repository.summaries.get(repository.resolve(reference.path)) if fitting else None
            provider = instance.facts["provider"] if instance and instance.kind == "instance" else ""
            if provider in PROVIDERS - fitting:
                message = f"`{reference.path[:200]}` is a server of kind {provider}, not {' or '.join(sorted(fitting))}"
                yield path, Issue("wrong-instance", reference.pointer, message, "name another instance")


def _scopes(repository: Repository) -> Iterator[Found]:
    """Yield what a freeze names and nobody has."""
    freezes = [(path, summary) for path, summary in repository.summaries.items() if summary.kind == "freeze"]
    if not freezes or any(map(_broken, repository.summaries.values())):
        return
    known = {
        "environments": {summary.facts["environment"] for summary in _of(repository, "namespace")},
        "apps": {summary.name for summary in _of(repository, "app")},
        "targets": {
            repository.target_id(summary, row) for summary in _of(repository, "saas-file") for row in summary.rows
        },
    }
    known["environments"] |= {
        named.name for value in known["environments"] if (named := repository.summaries.get(repository.resolve(value)))
    }
    advice = _Advice(repository)
    for path, summary in freezes:
        for key, names in known.items():
            for index, name in enumerate(summary.facts[key]):
                if name and name not in names:
                    close = advice.name(name, names)
                    hint = f"did you mean `{close}`?" if close else "correct the name"
                    message = f"nothing has the name `{name[:80]}`: this freezes nothing"
                    yield path, Issue("unknown-scope", ("scope", key, index), message, hint, warning=True)


def _broken(summary: Summary) -> bool:
    """Whether a file has an error of its own, which may hide names."""
    return any(not place.warning for place in summary.findings)


def _of(repository: Repository, kind: str) -> Iterator[Summary]:
    return (summary for summary in repository.summaries.values() if summary.kind == kind)
