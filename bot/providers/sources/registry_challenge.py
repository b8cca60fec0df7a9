"""Challenges: what a registry's 401 says about how to sign in.

Source: RFC 9110, section 11.6.1. Registries bend it: schemes in any case, addresses without quotation marks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

LONGEST = 8192
"""Characters of a header that are read; the rest is nobody's challenge."""

_GAP = re.compile(r"[\s,]*")
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=,)|\Z)")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_REST = re.compile(r"[^,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to sign in: the scheme and the names of its parameters are in small letters, values as they came."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """A parameter's value; empty where there is none."""
        return self.parameters.get(name, "")


def challenges(header: str) -> tuple[Challenge, ...]:
    """All challenges of a `WWW-Authenticate` header, in its order; several headers come joined by commas.

    What does not belong to any is passed over, so every text has an answer. Of a repeated parameter the first counts.
    """
    text = header[:LONGEST]
    found: list[tuple[str, dict[str, str]]] = []
    at = _skipped(text, 0)
    while at < len(text):
        parameter, scheme = _PARAMETER.match(text, at), _SCHEME.match(text, at)
        if parameter and found:
            found[-1][1].setdefault(parameter[1].lower(), _value(parameter))
            at = parameter.end()
        elif scheme and not parameter:
            found.append((scheme[1].lower(), {}))
            whole = _TOKEN68.match(text, scheme.end())  # `Negotiate abc==`: nothing in it is a parameter
            at = whole.end() if whole else scheme.end()
        else:
            rest = parameter or _REST.match(text, at)
            at = rest.end() if rest else len(text)
        at = _skipped(text, at)
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def _skipped(text: str, at: int) -> int:
    """The position after white space and commas."""
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _value(parameter: re.Match[str]) -> str:
    """The value of a parameter, without its quotation marks and escapes."""
    return parameter[3] if parameter[2] is None else _ESCAPED.sub(r"\1", parameter[2])
