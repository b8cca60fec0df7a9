"""Phrases: the words of one command after its prefix, read into a value; one small reader a verb."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.core.verbs import (
    FOREIGN,
    Block,
    Cancel,
    Command,
    Explain,
    FreezeCmd,
    Group,
    Help,
    HoldCmd,
    Ignore,
    OverrideCmd,
    Pin,
    PlanCmd,
    Promote,
    Refresh,
    Regenerate,
    Retry,
    Rollback,
    Split,
    Status,
    TriggerCmd,
    Unblock,
    Unfreeze,
    Unhold,
    Unparsed,
    Unpin,
)

_PIECE = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))|"((?:[^"\\]|\\.)*)"|(\S+)')
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "\u00a0": " "})
_SCOPE = re.compile(r"all|(?:environment|app|target):\S+")

FORCE = "--force"
"""Starts also what dates, a past release or a job that it does not go with would hold back."""

REHEARSAL = "--dry-run=pipelines"
"""Starts pipelines that are told that it is a dry run."""

USAGE: Mapping[str, str] = {
    "help": "help",
    "status": "status",
    "explain": "explain [target]",
    "plan": "plan",
    "refresh": "refresh",
    "retry": "retry [target]",
    "cancel": "cancel [target]",
    "regenerate": "regenerate [--discard-edits]",
    "hold": "hold [reason]",
    "unhold": "unhold",
    "split": "split",
    "group": "group",
    "promote": "promote <target> [sha]",
    "rollback": "rollback <target> [to sha]",
    "pin": "pin [target]",
    "unpin": "unpin [target]",
    "block": 'block <repo url> <sha> reason="..."',
    "unblock": "unblock <repo url> <sha>",
    "ignore": "ignore",
    "override": 'override <gate> [target] reason="..."',
    "freeze": 'freeze <scope> [until] reason="..."',
    "unfreeze": "unfreeze <scope>",
    "trigger": "trigger <name> [job...] [--force]",
}
"""How each verb is written."""


@dataclass(frozen=True, slots=True)
class _Arguments:
    """What follows a verb: words, `name="value"` options, and all of it as written; `quoted` says which words were."""

    words: tuple[str, ...]
    quoted: tuple[bool, ...]
    options: Mapping[str, str]
    rest: str

    @property
    def reason(self) -> str:
        """The `reason` option, on one line."""
        return " ".join(self.options.get("reason", "").split())


def parse_line(text: str) -> Command | Unparsed:
    """Read one command without prefix; an empty text asks for help."""
    first, *others = text.translate(_QUOTES).split(None, 1) or [""]
    word, rest = first.lower(), "".join(others)
    if not word:
        return Help()
    if word not in USAGE:
        close = [] if word in FOREIGN else difflib.get_close_matches(word, USAGE, 1, 0.6)
        return Unparsed(word[:40], close[0] if close else "")
    command = _READERS[word](_arguments(rest))
    return command if command is not None else Unparsed(word, problem=f"this is written `{USAGE[word]}`")


def _arguments(rest: str) -> _Arguments:
    words, quotes, options = [], [], {}
    for name, quoted, bare, text, word in _PIECE.findall(rest):
        if name:
            options[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or bare
        else:
            words.append(word or re.sub(r"\\(.)", r"\1", text))
            quotes.append(not word)
    return _Arguments(tuple(words), tuple(quotes), options, " ".join(rest.split()))


Reader = Callable[[_Arguments], Command | None]


def _bare(command: Command) -> Reader:
    """Make the reader of a verb without arguments."""
    return lambda given: None if given.rest else command


def _target(kind: Callable[[str], Command]) -> Reader:
    """Make the reader of a verb with an optional target."""
    return lambda given: kind("".join(given.words)) if len(given.words) <= 1 and not given.options else None


def _hold(given: _Arguments) -> Command | None:
    return HoldCmd(given.reason or given.rest)


def _regenerate(given: _Arguments) -> Command | None:
    if given.rest not in ("", "--discard-edits"):
        return None
    return Regenerate(discard_edits=bool(given.rest))


def _promote(given: _Arguments) -> Command | None:
    match given.words:
        case (target,):
            return Promote(target)
        case (target, sha):
            return Promote(target, sha.lower())
        case _:
            return None


def _rollback(given: _Arguments) -> Command | None:
    match given.words:
        case (target,):
            return Rollback(target)
        case (target, "to", sha) | (target, sha) if sha != "to":
            return Rollback(target, sha.lower())
        case _:
            return None


def _block(given: _Arguments) -> Command | None:
    match given.words:
        case (url, sha) if given.reason:
            return Block(url, sha.lower(), given.reason)
        case _:
            return None


def _unblock(given: _Arguments) -> Command | None:
    match given.words:
        case (url, sha):
            return Unblock(url, sha.lower())
        case _:
            return None


def _override(given: _Arguments) -> Command | None:
    match given.words:
        case (gate, *target) if given.reason and len(target) <= 1:
            return OverrideCmd(gate.lower(), given.reason, "".join(target))
        case _:
            return None


def _freeze(given: _Arguments) -> Command | None:
    match given.words:
        case (scope,) if given.reason and _SCOPE.fullmatch(scope):
            return FreezeCmd(scope, given.reason)
        case (scope, until) | (scope, "until", until) if given.reason and _SCOPE.fullmatch(scope):
            return FreezeCmd(scope, given.reason, until)
        case _:
            return None


def _unfreeze(given: _Arguments) -> Command | None:
    match given.words:
        case (scope,) if _SCOPE.fullmatch(scope):
            return Unfreeze(scope)
        case _:
            return None


def _trigger(given: _Arguments) -> Command | None:
    """Flags are words that begin with two dashes; a job that is called so is written in quotes."""
    read = list(zip(given.words, given.quoted, strict=True))
    flags = {word for word, quoted in read if word.startswith("--") and not quoted}
    names = tuple(word for word, quoted in read if quoted or not word.startswith("--"))
    if not names or given.options or not flags <= {FORCE, REHEARSAL}:
        return None
    return TriggerCmd(names[0], tuple(dict.fromkeys(names[1:])), force=FORCE in flags, rehearsal=REHEARSAL in flags)


def written(command: TriggerCmd) -> str:
    """The line that is read as this command, whatever its names consist of, but for curly quotes."""
    names = (re.sub(r'(["\\])', r"\\\1", name) for name in (command.trigger, *command.jobs))
    flags = [FORCE] * command.force + [REHEARSAL] * command.rehearsal
    return " ".join(["trigger", *(f'"{name}"' for name in names), *flags])


_READERS: Mapping[str, Reader] = {
    "help": lambda _: Help(),
    "status": _bare(Status()),
    "explain": _target(Explain),
    "plan": _bare(PlanCmd()),
    "refresh": _bare(Refresh()),
    "retry": _target(Retry),
    "cancel": _target(Cancel),
    "regenerate": _regenerate,
    "hold": _hold,
    "unhold": _bare(Unhold()),
    "split": _bare(Split()),
    "group": _bare(Group()),
    "promote": _promote,
    "rollback": _rollback,
    "pin": _target(Pin),
    "unpin": _target(Unpin),
    "block": _block,
    "unblock": _unblock,
    "ignore": _bare(Ignore()),
    "override": _override,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
    "trigger": _trigger,
}
