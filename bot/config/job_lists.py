"""Job lists of the config: the files behind `jobsFrom`, read together with the definitions that name them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from bot.config.parse import Parser
from bot.config.reach import held_triggers
from bot.config.repository import Repository
from bot.config.rules import Issue
from bot.config.with_rules import with_issues
from bot.formats.job_lists import expanded
from bot.model.triggers import Trigger
from bot.ports import ConfigTree

WHERE = ("jobsFrom", "file")
"""Where a definition names its list."""

MOST = 20
"""Faults of one list that are told; the rest is counted."""


def listed(trigger: Trigger, lists: Mapping[str, bytes]) -> Trigger:
    """The definition with the jobs of its list, which has no fault; one whose list is outside is not read yet."""
    source = trigger.jobs_from
    if source is None:
        return trigger
    found = expanded(trigger, lists[source.file]) if source.file else ()
    return replace(trigger, read=False) if isinstance(found, tuple) else found


def read_lists(tree: ConfigTree, repository: Repository) -> dict[str, bytes]:
    """The contents of all lists that definitions name, by path."""
    named = {_path(repository, path) for path in _with_lists(repository)}
    wanted = [file for file in tree.files() if file.path in named] if named else []
    return dict(zip((file.path for file in wanted), tree.read(wanted), strict=True)) if wanted else {}


def list_issues(tree: ConfigTree, repository: Repository, broken: Collection[str]) -> Iterator[tuple[str, Issue]]:
    """Yield what is wrong with the lists of definitions that are right themselves; `broken` are files with errors."""
    paths = [path for path in _with_lists(repository) if path not in broken]
    stopped = held_triggers(repository, dict.fromkeys(broken, "broken")) if paths else {}
    lists = read_lists(tree, repository) if paths else {}
    parser = Parser(repository)
    for path in paths:
        name = _path(repository, path)
        if name not in lists:
            message = f"there is no file `{name[:200]}`"
            yield path, Issue("dangling-ref", WHERE, message, "create it or correct the path")
        elif (other := _shared(repository, paths, path)) and path not in stopped:
            message = f"`{name[:200]}` is released by {other} as well: both would build everything, and write it down"
            yield path, Issue("bad-job-list", WHERE, message, "let one definition release it")
        elif path not in stopped:
            yield from ((path, issue) for issue in _faults(parser.trigger(path), name, lists[name]))


def _shared(repository: Repository, paths: list[str], path: str) -> str:
    """Another definition that releases the same manifest; empty where there is none."""
    if not repository.summaries[path].facts.get("releases"):
        return ""
    same = (each for each in paths if each != path and _path(repository, each) == _path(repository, path))
    return next((each for each in same if repository.summaries[each].facts.get("releases")), "")


def _faults(trigger: Trigger, name: str, data: bytes) -> Iterator[Issue]:
    found = expanded(trigger, data)
    if isinstance(found, tuple):
        faults = [f"{name}: {fault}" for fault in found]
    else:
        provider = trigger.instance.provider
        faults = [
            f"{name}: the job `{job.name[:80]}`: {issue.message}"
            for job in found.jobs
            for issue in with_issues(provider, {**trigger.options, **job.options})
        ]
    for fault in faults[:MOST]:
        yield Issue("bad-job-list", WHERE, fault, "correct the list")
    if len(faults) > MOST:
        yield Issue("bad-job-list", WHERE, f"{name}: and {len(faults) - MOST} more faults", "correct the list")


def _with_lists(repository: Repository) -> Iterator[str]:
    """The definitions whose list is a file of the config."""
    for path, summary in repository.summaries.items():
        if summary.kind == "trigger" and summary.facts.get("jobsFrom"):
            yield path


def _path(repository: Repository, path: str) -> str:
    """Where the list of a definition is; empty where it would be outside of the data folder."""
    return repository.resolve("/" + str(repository.summaries[path].facts["jobsFrom"]).lstrip("/"))
