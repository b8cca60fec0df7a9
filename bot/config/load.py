"""From the files of a tree to what they ask for, with everything that is wrong with them.

Files are judged one by one, and what was found is kept in the cache by blob id, so that a file is read and parsed once
in its life. The checks across files work on the summaries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bot import __version__
from bot.config import source, yaml
from bot.config.cross_rules import check
from bot.config.job_lists import list_issues, listed, read_lists
from bot.config.judge import Judge
from bot.config.parse import Parser
from bot.config.reach import held_targets, held_triggers, nameless
from bot.config.repository import Repository
from bot.config.rules import Issue
from bot.config.schema import Schemas
from bot.config.settings_file import NAME, has_data, no_data
from bot.config.summary import Kept, Place, Summary
from bot.config.tree import blob_id, is_yaml
from bot.errors import InvalidConfiguration
from bot.model.desired import App, Desired, Freeze, Target
from bot.model.findings import Finding, Severity
from bot.model.triggers import Trigger
from bot.ports import Cache, ConfigTree, SourceFile
from bot.settings import Settings

SUMMARY_VERSION = 7
"""Raised whenever a rule or the shape of a summary changes, so that no older summary is taken from the cache."""

_KEPT = msgspec.msgpack.Decoder(dict[str, Kept])


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a tree asks for, and its findings by file, line and column."""

    desired: Desired
    findings: tuple[Finding, ...]


def load(tree: ConfigTree, settings: Settings, schemas: Mapping[str, bytes], cache: Cache) -> Loaded:
    """Read every data file under `settings.data_dir`; what has an error is in `desired.invalid`.

    Raises InvalidConfiguration where there is no such folder: nothing may look removed for that.
    """
    if settings.data_dir != "." and not has_data(tree, settings.data_dir):
        raise InvalidConfiguration(f"saasbot.yml: {no_data(settings.data_dir).message}")
    repository = read(tree, settings, schemas, cache)
    findings = judged(tree, repository)
    return Loaded(desired(tree, repository, findings), findings)


def read(tree: ConfigTree, settings: Settings, schemas: Mapping[str, bytes], cache: Cache) -> Repository:
    """Return the summaries of all data files of a tree."""
    root = "" if settings.data_dir == "." else f"{settings.data_dir}/"
    files = tree.files()
    wanted = [file for file in files if file.path.startswith(root) and is_yaml(file.path) and file.path != NAME]
    name = f"summaries-{_version(schemas, settings)}"
    kept = _kept(cache, name)
    summaries: dict[str, Summary] = {}
    missing: list[SourceFile] = []
    for file in wanted:
        known = kept.get(file.path)
        if known is not None and file.blob and known.blob == file.blob:
            summaries[file.path] = known.summary
        else:
            missing.append(file)
    fresh = _judge(tree, missing, kept, Judge(Schemas(schemas)))
    summaries |= {path: entry.summary for path, entry in fresh.items()}
    if any(kept.get(path) is not entry for path, entry in fresh.items()):
        cache.put(name, msgspec.msgpack.encode(kept | fresh))
    data = {file.path: summaries[file.path] for file in wanted if summaries[file.path].kind}
    return Repository(root, data, frozenset(file.path for file in files), settings.compat_pipeline)


def judged(tree: ConfigTree, repository: Repository) -> tuple[Finding, ...]:
    """Return all findings of a repository; only files with an issue across files are read again, for its place."""
    found = [_finding(path, place) for path, summary in repository.summaries.items() for place in summary.findings]
    crossing: dict[str, list[Issue]] = {}
    for path, issue in check(repository):
        crossing.setdefault(path, []).append(issue)
    for path, issue in list_issues(tree, repository, _broken(repository, crossing)):
        crossing.setdefault(path, []).append(issue)
    if crossing:
        files = [file for file in tree.files() if file.path in crossing]
        for file, content in zip(files, tree.read(files), strict=True):
            found += _placed(file.path, repository.summaries[file.path], crossing[file.path], content)
    return tuple(sorted(found, key=lambda item: (item.file, item.line, item.column, item.rule, item.message)))


def _broken(repository: Repository, crossing: Mapping[str, list[Issue]]) -> frozenset[str]:
    """Return the files that have an error of their own."""
    own = {path for path, each in repository.summaries.items() if any(not place.warning for place in each.findings)}
    return frozenset(own | {path for path, issues in crossing.items() if any(not issue.warning for issue in issues)})


def desired(tree: ConfigTree, repository: Repository, findings: Iterable[Finding]) -> Desired:
    """Return the model of everything that no error holds."""
    invalid: dict[str, str] = {}
    for finding in findings:
        if finding.severity is Severity.ERROR:
            text = f"{finding.file}:{finding.line}:{finding.column}: {finding.message}"
            invalid.setdefault(finding.file, text)
    invalid |= nameless(repository, invalid)
    held = held_targets(repository, invalid)
    stopped = held_triggers(repository, invalid)
    parser = Parser(repository)
    targets: dict[str, Target] = {}
    apps: dict[str, App] = {}
    freezes: list[Freeze] = []
    triggers: dict[str, Trigger] = {}
    lists = read_lists(tree, repository)
    for path, summary in repository.summaries.items():
        if path in invalid:
            continue
        if summary.kind == "saas-file":
            rows = {repository.target_id(summary, row): row for row in summary.rows}
            free = {identity: row for identity, row in rows.items() if identity not in held}
            targets |= parser.targets(path, free) if free else {}
        elif summary.kind == "app":
            apps[summary.name] = parser.app(path)
        elif summary.kind == "freeze":
            freezes.append(parser.freeze(path))
        elif summary.kind == "trigger" and summary.references and path not in stopped:
            trigger = listed(parser.trigger(path), lists)
            triggers[trigger.name] = trigger
    return Desired(tree.sha, targets, apps, tuple(freezes), invalid, held, triggers, stopped)


def _judge(tree: ConfigTree, missing: Sequence[SourceFile], kept: Mapping[str, Kept], judge: Judge) -> dict[str, Kept]:
    """Read and judge files; one whose blob turns out to be known keeps its summary."""
    fresh = {}
    for file, content in zip(missing, tree.read(missing), strict=True):
        blob = file.blob or blob_id(content)
        known = kept.get(file.path)
        same = known is not None and known.blob == blob
        fresh[file.path] = known if known is not None and same else Kept(blob, judge.summary(content, file.path))
    return fresh


def _placed(path: str, summary: Summary, issues: Iterable[Issue], content: bytes) -> Iterable[Finding]:
    """Give issues across files their lines and columns."""
    text = yaml.decode(content)
    for issue in issues:
        pointer = summary.origin(issue.pointer)
        line, column = source.position(text, pointer, key=issue.on_key) if isinstance(text, str) else (1, 1)
        yield _finding(path, Place(line, column, issue.rule, issue.message, issue.hint, issue.warning))


def _finding(path: str, place: Place) -> Finding:
    severity = Severity.WARNING if place.warning else Severity.ERROR
    return Finding(path, place.line, place.column, severity, place.rule, place.message, place.hint)


def _kept(cache: Cache, name: str) -> dict[str, Kept]:
    """Return the summaries in the cache; none where they cannot be read."""
    data = cache.get(name)
    try:
        return _KEPT.decode(data) if data else {}
    except msgspec.MsgspecError:
        return {}


def _version(schemas: Mapping[str, bytes], settings: Settings) -> str:
    """Return a name for everything besides a file's bytes that its summary depends on, apart for each repository."""
    state = hashlib.sha256(f"{__version__} {SUMMARY_VERSION} {settings.state.url}".encode())
    for kind in sorted(schemas):
        state.update(kind.encode() + b"\0" + schemas[kind])
    return state.hexdigest()[:16]
