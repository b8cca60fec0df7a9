"""The conditions of GitLab's `rules:if` and of GitHub's `if`, as far as our files use them; anything else fails.

Sources: https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions and
https://docs.github.com/en/actions/reference/workflows-and-actions/expressions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Evaluate = Callable[["Reader"], Any]

GITLAB = re.compile(
    r"""\s*(?:(?P<sign>&&|\|\||==|!=|=~|!~|[()])|\$(?P<name>\w+)|"(?P<text>[^"]*)"|/(?P<pattern>(?:\\.|[^/\\])+)/)"""
)
GITHUB = re.compile(r"\s*(?:(?P<sign>&&|\|\||==|!=|[(),!])|(?P<name>[a-z_]+(?:\.[a-z_]+)*)|'(?P<text>[^']*)')")


@dataclass
class Reader:
    """The tokens of one condition, and what its names stand for."""

    tokens: list[tuple[str, str]]
    names: Mapping[str, Any]
    at: int = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        found = self.peek()
        self.at += 1
        return found

    def takes(self, sign: str) -> bool:
        found = self.peek() == ("sign", sign)
        self.at += found
        return found

    def expect(self, sign: str) -> None:
        assert self.takes(sign), (sign, self.peek())


def tokens(syntax: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Kind and value of each token; what the syntax does not know fails."""
    at, text = 0, text.rstrip()
    while at < len(text):
        found = syntax.match(text, at)
        assert found is not None, f"not understood: {text[at:]!r}"
        kind = str(found.lastgroup)
        yield kind, found[kind]
        at = found.end()


def evaluated(syntax: re.Pattern[str], comparison: Evaluate, text: str, names: Mapping[str, Any]) -> bool:
    """Whether a condition holds; `&&` binds more strongly than `||` in both languages."""
    reader = Reader(list(tokens(syntax, text)), names)
    found = any_of(reader, comparison)
    assert reader.peek()[0] == "end", f"not understood: {reader.tokens[reader.at :]}"
    return bool(found)


def any_of(reader: Reader, comparison: Evaluate) -> bool:
    """Read both sides in any case, so that nothing hides behind a first one that holds."""
    found = [all_of(reader, comparison)]
    while reader.takes("||"):
        found.append(all_of(reader, comparison))
    return any(found)


def all_of(reader: Reader, comparison: Evaluate) -> bool:
    found = [part(reader, comparison)]
    while reader.takes("&&"):
        found.append(part(reader, comparison))
    return all(found)


def part(reader: Reader, comparison: Evaluate) -> bool:
    if reader.takes("("):
        found = any_of(reader, comparison)
        reader.expect(")")
        return found
    return bool(comparison(reader))


def gitlab(text: str, variables: Mapping[str, str]) -> bool:
    """Whether `rules:if` holds for these variables."""
    return evaluated(GITLAB, _gitlab_comparison, text, variables)


def _gitlab_value(reader: Reader) -> Any:
    kind, value = reader.take()
    assert kind in {"name", "text", "pattern"}, (kind, value)
    if kind == "pattern":
        return re.compile(value)
    return reader.names.get(value) if kind == "name" else value


def _gitlab_comparison(reader: Reader) -> bool:
    left = _gitlab_value(reader)
    for sign in ("==", "!=", "=~", "!~"):
        if reader.takes(sign):
            right = _gitlab_value(reader)
            if sign in {"=~", "!~"}:
                return bool(right.search(left or "")) == (sign == "=~")
            return (left == right) == (sign == "==")
    return bool(left)


def github(text: str, names: Mapping[str, Any]) -> bool:
    """Whether an `if` holds for these names, dotted; one that is unknown fails."""
    return evaluated(GITHUB, _github_comparison, text, names)


def _github_value(reader: Reader) -> Any:
    kind, value = reader.take()
    if (kind, value) == ("sign", "!"):
        return not _github_value(reader)
    if kind == "text":
        return value
    assert kind == "name", (kind, value)
    if not reader.takes("("):
        return reader.names[value]
    given = []
    while not reader.takes(")"):
        given.append(_github_value(reader))
        reader.takes(",")
    return FUNCTIONS[value](*given)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "always": lambda: True,
    "contains": lambda text, part: str(part).lower() in str(text or "").lower(),
    "hash_files": lambda pattern: f"hash of {pattern}",
}


def _github_comparison(reader: Reader) -> bool:
    left = _github_value(reader)
    for sign in ("==", "!="):
        if reader.takes(sign):
            return bool(str(left or "").lower() == str(_github_value(reader) or "").lower()) == (sign == "==")
    return bool(left)
