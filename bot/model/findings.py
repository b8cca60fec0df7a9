"""Findings: what `validate` has to say about a config repository."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is: only an error holds anything or fails `validate`."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding at a place; `line` and `column` count from 1, `rule` is an id from `docs/rules.md`."""

    file: str
    line: int
    column: int
    severity: Severity
    rule: str
    message: str
    hint: str = ""
