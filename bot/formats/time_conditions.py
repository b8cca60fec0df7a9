"""`trigger-jobs-trig-time-eval`: arithmetic on a part of the date, turned into a condition that says the same.

The step runs `date` with `datePars`, takes what it prints as the whole number `timeVal`, and gives `mathExpr` to bash's
`let`: the condition holds if the last expression is not 0. Here an expression is tried with every value that the
number can have. If the days or weeks on which it holds are a condition of ours, that is the answer; else it is refused.

Numbers are decimal: the 8th and the 9th are days like others, where bash stumbles over `08` and `09`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.model.triggers import Condition, DayOfMonth, IsoWeek

KEYS = ("trigCondFlag", "datePars", "mathExpr")
"""The parameters of the step; the first names a file that has no meaning here."""

LONGEST = 200
"""Characters that an expression may have."""

DEEPEST = 20
"""Brackets and signs that may stand within each other."""

_UTC = frozenset({"-u", "--utc", "--universal"})
_DAY = frozenset({"+%d", "+%-d", "+%_d", "+%e"})
_WEEK = frozenset({"+%V", "+%-V", "+%_V"})
_LAST_DAY, _LAST_WEEK = 31, 53
_TOKEN = re.compile(r"\s*(?:(timeVal|[0-9]+)(?![A-Za-z0-9_#])|(\|\||&&|[=!<>]=|[-+*/%()!]|[<>](?![<>])))")
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))


def time_condition(pars: Any) -> tuple[Condition, ...] | str:
    """The condition that these parameters (`trigCondPars`) stand for, none if it always holds; a text: why not."""
    if not isinstance(pars, Mapping):
        return "`trigCondPars` is an object with `datePars` and `mathExpr`"
    unknown = [str(key) for key in pars if key not in KEYS]
    if unknown:
        return f"`trigCondPars` has no `{unknown[0][:80]}`: known are {', '.join(KEYS)}"
    for key in KEYS[1:]:
        words = pars.get(key)
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
            return f"`{key}` is a list of texts that are not empty"
    date, expressions = pars["datePars"], pars["mathExpr"]
    kind = [word for word in date if word not in _UTC]
    if len(kind) != 1 or kind[0] not in _DAY | _WEEK:
        shown = " ".join(date)[:80]
        return f"`date {shown}` cannot be carried over: only the day of the month, `+%d`, and the ISO week, `+%V`, can"
    last = _LAST_DAY if kind[0] in _DAY else _LAST_WEEK
    try:
        held = _held(expressions, last)
    except ValueError as error:
        return f"`mathExpr` cannot be carried over: {error}"
    return _days(held) if kind[0] in _DAY else _weeks(held)


def _held(expressions: Sequence[str], last: int) -> frozenset[int]:
    """The values from 1 to `last` with which the last expression is not 0. Raises ValueError."""
    parsed = [_tokens(text) for text in expressions]
    return frozenset(value for value in range(1, last + 1) if [_Reading(each, value).result() for each in parsed][-1])


def _days(held: frozenset[int]) -> tuple[Condition, ...] | str:
    if len(held) == _LAST_DAY:
        return ()
    if not held:
        return "`mathExpr` holds on no day of a month"
    first, last = min(held), max(held)
    if len(held) != last - first + 1:
        return f"`mathExpr` holds on days of the month that are no range: {_shown(held)}"
    return (DayOfMonth(first, last),)


def _weeks(held: frozenset[int]) -> tuple[Condition, ...] | str:
    if len(held) == _LAST_WEEK:
        return ()
    for every in range(2, _LAST_WEEK + 1):
        for offset in range(every):
            if held == frozenset(week for week in range(1, _LAST_WEEK + 1) if week % every == offset):
                return (IsoWeek(every, offset),)
    where = f"that are not every n-th: {_shown(held)}" if held else "of no year"
    return f"`mathExpr` holds in weeks {where}"


def _shown(held: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(held)))


def _tokens(text: str) -> tuple[str, ...]:
    """The parts of an expression. Raises ValueError for what is none of ours."""
    if len(text) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} characters")
    found: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        part = _TOKEN.match(text, at)
        if part is None:
            raise ValueError(f"`{text[at:].strip()[:20]}` is not understood; known are timeVal, numbers and {_known()}")
        found.append(part[1] or part[2])
        at = part.end()
    return tuple(found)


def _known() -> str:
    return " ".join(sign for level in _LEVELS for sign in level) + " ! ( )"


def _number(text: str) -> int:
    """A number; one that begins with 0 is read by bash with the base 8, so it must mean the same in both."""
    value = int(text)
    try:
        octal = int(text, 8)
    except ValueError:  # 08 and 09, which bash refuses, can mean but one thing
        octal = value
    if text[0] == "0" and octal != value:
        raise ValueError(f"`{text}` is {octal} to bash; write it without the zero in front")
    return value


class _Reading:
    """One expression read with one value of `timeVal`, by the precedence that it has in C."""

    def __init__(self, tokens: Sequence[str], value: int) -> None:
        self._tokens = tokens
        self._value = value
        self._at = 0
        self._depth = 0

    def result(self) -> int:
        """The value of the whole expression. Raises ValueError."""
        value = self._level(0)
        if self._at < len(self._tokens):
            raise ValueError(f"`{self._tokens[self._at]}` stands where an operator should be")
        return value

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _level(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._level(level + 1)
        while (sign := self._next()) in _LEVELS[level]:
            self._at += 1
            value = _APPLIED[sign](value, self._level(level + 1))
        return value

    def _unary(self) -> int:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"brackets and signs are more than {DEEPEST} deep")
        token = self._next()
        self._at += 1
        value = self._inner(token)
        self._depth -= 1
        return value

    def _inner(self, token: str) -> int:
        match token:
            case "!":
                return int(not self._unary())
            case "-":
                return -self._unary()
            case "+":
                return self._unary()
            case "(":
                value = self._level(0)
                if self._next() != ")":
                    raise ValueError("a bracket is not closed")
                self._at += 1
                return value
            case "timeVal":
                return self._value
            case _ if token.isdigit():
                return _number(token)
            case _:
                raise ValueError(f"`{token}` stands where a value should be" if token else "it breaks off")


def _quotient(left: int, right: int) -> int:
    """The quotient, towards 0 as in C."""
    if right == 0:
        raise ValueError("it divides by 0")
    return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


_APPLIED: Mapping[str, Callable[[int, int], int]] = {
    "||": lambda left, right: int(bool(left) or bool(right)),
    "&&": lambda left, right: int(bool(left) and bool(right)),
    "==": lambda left, right: int(left == right),
    "!=": lambda left, right: int(left != right),
    "<": lambda left, right: int(left < right),
    "<=": lambda left, right: int(left <= right),
    ">": lambda left, right: int(left > right),
    ">=": lambda left, right: int(left >= right),
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _quotient,
    "%": lambda left, right: left - right * _quotient(left, right),
}
