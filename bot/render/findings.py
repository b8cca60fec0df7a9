"""Findings as text, in the formats of `saasbot validate --format` (DESIGN section 9).

All words of a finding may come from somebody else's file, so every format neutralises what its reader would act on:
line breaks and terminal sequences in text, workflow commands, markup, characters that XML forbids. What is shaped like
a secret is shown by none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from html import escape
from itertools import groupby
from string import ascii_letters, digits
from typing import Any

from bot.model.findings import Finding, Severity
from bot.render.neutral import redact

_UNRESERVED = frozenset(ascii_letters + digits + "-._~/")

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]",
)
"""Control characters, line and paragraph separators, marks that reorder text, and what no encoding or XML can carry."""


class Format(StrEnum):
    """A format of findings, by its word on the command line."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    CODEQUALITY = "codequality"
    SARIF = "sarif"
    JUNIT = "junit"


def render(findings: Sequence[Finding], fmt: str, rules: Mapping[str, str]) -> str:
    """Findings, sorted by place, in a format of `Format`; ends with a line break unless it is empty.

    `rules` describes each rule id in one sentence. Raises ValueError for a format that does not exist.
    """
    shown = [replace(each, message=redact(each.message), hint=redact(each.hint)) for each in findings]
    return _FORMATS[Format(fmt)](sorted(shown, key=_place), rules)


def summary(findings: Sequence[Finding]) -> str:
    """How many errors and warnings there are, in one line."""
    if not findings:
        return "no findings"
    files = len({finding.file for finding in findings})
    return f"{_counted(findings)} in {files} file{_s(files)}"


def visible(text: str) -> str:
    """Text on one line: every character that would act instead of being read is shown as its escape sequence."""
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _place(finding: Finding) -> tuple[str, int, int, str, str]:
    return finding.file, finding.line, finding.column, finding.rule, finding.message


def _text(findings: Sequence[Finding], _rules: Mapping[str, str]) -> str:
    return "".join(f"{line}\n" for line in [*_lines(findings), summary(findings)])


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Compiler style, a finding on one line and its hint on the next."""
    for finding in findings:
        line = f"{finding.file}:{finding.line}:{finding.column}: {finding.severity}[{finding.rule}] {finding.message}"
        # A file may be called `::error::x` or `##[group]`, and a CI log reads lines that begin so as commands.
        yield visible(f"./{line}" if line.startswith((":", "#")) else line)
        if finding.hint:
            yield visible(f"  hint: {finding.hint}")


def _json(findings: Sequence[Finding], _rules: Mapping[str, str]) -> str:
    listed = [
        {
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "severity": finding.severity.value,
            "rule": finding.rule,
            "message": finding.message,
            "hint": finding.hint,
        }
        for finding in findings
    ]
    return _dump({"schema": "saasbot.findings/1", "findings": listed})


def _github(findings: Sequence[Finding], _rules: Mapping[str, str]) -> str:
    """Workflow commands, a line each.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    return "".join(f"{_annotation(finding)}\n" for finding in findings)


def _annotation(finding: Finding) -> str:
    properties = {"file": finding.file, "line": finding.line, "col": finding.column, "title": finding.rule}
    listed = ",".join(f"{name}={_github_property(visible(str(value)))}" for name, value in properties.items())
    said = [visible(finding.message), visible(finding.hint)] if finding.hint else [visible(finding.message)]
    return f"::{finding.severity} {listed}::{_github_data(chr(10).join(said))}"


def _github_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")


def _codequality(findings: Sequence[Finding], _rules: Mapping[str, str]) -> str:
    """GitLab's code quality report: https://docs.gitlab.com/ci/testing/code_quality/."""
    return _dump(
        [
            {
                "description": _message(finding),
                "check_name": finding.rule,
                "fingerprint": fingerprint,
                "severity": "major" if finding.severity is Severity.ERROR else "minor",
                "location": {"path": finding.file, "lines": {"begin": finding.line}},
            }
            for finding, fingerprint in _fingerprinted(findings)
        ]
    )


def _fingerprinted(findings: Iterable[Finding]) -> Iterator[tuple[Finding, str]]:
    """Each finding with a hash that stays the same while lines move; the n-th of equal findings is another one."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for finding in findings:
        what = (finding.file, finding.rule, finding.message)
        seen[what] += 1
        words = json.dumps([*what, seen[what]])
        yield finding, hashlib.sha256(words.encode()).hexdigest()


def _sarif(findings: Sequence[Finding], rules: Mapping[str, str]) -> str:
    """SARIF 2.1.0: https://docs.oasis-open.org/sarif/sarif/v2.1.0/."""
    ids = sorted({*rules, *(finding.rule for finding in findings)})
    index = {rule: position for position, rule in enumerate(ids)}
    listed = [{"id": rule, "shortDescription": {"text": rules.get(rule) or rule}} for rule in ids]
    run = {
        "tool": {"driver": {"name": "saasbot", "rules": listed}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index, fingerprint) for finding, fingerprint in _fingerprinted(findings)],
    }
    return _dump({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]})


def _result(finding: Finding, index: Mapping[str, int], fingerprint: str) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(finding.file)},
        "region": {"startLine": max(finding.line, 1), "startColumn": max(finding.column, 1)},
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": finding.severity.value,
        "message": {"text": _message(finding)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"saasbot/v1": fingerprint},
    }


def _uri(path: str) -> str:
    """A relative path as a URI reference: all but unreserved characters and slashes percent-encoded (RFC 3986)."""
    return "".join(
        chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02X}" for byte in path.encode("utf-8", "surrogatepass")
    )


def _junit(findings: Sequence[Finding], _rules: Mapping[str, str]) -> str:
    """JUnit XML with one test case for each file; one that has only warnings passes and prints them."""
    cases = [(file, list(own)) for file, own in groupby(findings, key=lambda finding: finding.file)]
    failed = sum(any(_is_error(finding) for finding in own) for _, own in cases)
    counts = f'tests="{len(cases)}" failures="{failed}" errors="0"'
    body = "".join(_case(file, own) for file, own in cases)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="saasbot" {counts}>\n'
        f'<testsuite name="saasbot validate" {counts} skipped="0">\n{body}</testsuite>\n'
        "</testsuites>\n"
    )


def _case(file: str, findings: Sequence[Finding]) -> str:
    lines = escape("\n".join(_lines(findings)))
    name = escape(visible(file))
    errors = [finding for finding in findings if _is_error(finding)]
    if errors:
        message = escape(visible(errors[0].message if len(errors) == 1 else _counted(findings)))
        said = f'<failure message="{message}" type="{escape(visible(errors[0].rule))}">{lines}</failure>'
    else:
        said = f"<system-out>{lines}</system-out>"
    return f'<testcase classname="saasbot.validate" name="{name}" file="{name}">{said}</testcase>\n'


def _message(finding: Finding) -> str:
    return f"{finding.message}\n{finding.hint}" if finding.hint else finding.message


def _is_error(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR


def _counted(findings: Sequence[Finding]) -> str:
    errors = sum(map(_is_error, findings))
    warnings = len(findings) - errors
    counts = [f"{count} {word}{_s(count)}" for count, word in ((errors, "error"), (warnings, "warning")) if count]
    return ", ".join(counts)


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _dump(value: Any) -> str:
    """JSON in plain ASCII, so that no text in it can break the encoding of the output."""
    return json.dumps(value, indent=2) + "\n"


_FORMATS: Mapping[Format, Callable[[Sequence[Finding], Mapping[str, str]], str]] = {
    Format.TEXT: _text,
    Format.JSON: _json,
    Format.GITHUB: _github,
    Format.CODEQUALITY: _codequality,
    Format.SARIF: _sarif,
    Format.JUNIT: _junit,
}
