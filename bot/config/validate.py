"""The whole of `validate`: settings, every data file, every check. A known verdict imports no parser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bot import __version__
from bot.config.tree import blob_id, is_yaml
from bot.model.findings import Finding, Severity
from bot.ports import Cache, ConfigTree, SourceFile

VERDICT_VERSION = 7
"""Raised whenever a rule changes, so that no older verdict is taken from the cache."""


def validate(tree: ConfigTree, cache: Cache, schemas: Mapping[str, bytes]) -> tuple[Finding, ...]:
    """Return every finding of a tree, its `saasbot.yml` included, by file, line and column."""
    files = tree.files()
    key = f"verdict-{_key(tree, files, schemas)}"
    known = cache.get(key)
    if known is not None:
        findings = _decoded(known)
        if findings is not None:
            return findings
    findings = _findings(tree, cache, schemas)
    cache.put(key, json.dumps([_row(finding) for finding in findings]).encode())
    return findings


def _findings(tree: ConfigTree, cache: Cache, schemas: Mapping[str, bytes]) -> tuple[Finding, ...]:
    from bot.config.load import judged, read  # noqa: PLC0415 - parsers and validators, not needed for a known verdict
    from bot.config.settings_file import best_settings, read_settings  # noqa: PLC0415 - as above

    settings, findings = read_settings(tree, schemas)
    return findings + judged(tree, read(tree, settings or best_settings(tree), schemas, cache))


def _key(tree: ConfigTree, files: Sequence[SourceFile], schemas: Mapping[str, bytes]) -> str:
    """Return a name for everything that the findings depend on."""
    state = hashlib.sha256(f"{__version__} {VERDICT_VERSION}".encode())
    for kind in sorted(schemas):
        state.update(kind.encode() + b"\0" + schemas[kind])
    unknown = [file for file in files if not file.blob and (is_yaml(file.path) or file.path.endswith(".json"))]
    blobs = {file.path: blob_id(content) for file, content in zip(unknown, tree.read(unknown), strict=True)}
    lines = [f"{file.path}\0{file.blob or blobs.get(file.path, '')}" for file in files]
    state.update("\n".join(lines).encode(errors="surrogateescape"))
    return state.hexdigest()


def _row(finding: Finding) -> Sequence[object]:
    return (
        finding.file,
        finding.line,
        finding.column,
        finding.severity.value,
        finding.rule,
        finding.message,
        finding.hint,
    )


def _decoded(data: bytes) -> tuple[Finding, ...] | None:
    """Return the findings of a verdict; None where it cannot be read."""
    try:
        rows: Iterable[Sequence[Any]] = json.loads(data)
        return tuple(_read(*row) for row in rows)
    except (ValueError, TypeError):
        return None


def _read(file: str, line: int, column: int, severity: str, rule: str, message: str, hint: str) -> Finding:
    return Finding(file, line, column, Severity(severity), rule, message, hint)
