"""Who may use which command: the table of DESIGN section 6 as one pure function."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from bot.core.verbs import (
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
    Unpin,
    verb,
)
from bot.model.observed import Role

_MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Who:
    """The user who gave a command, with the role read live; `is_author` is about the merge request."""

    user: str
    role: Role
    is_author: bool


@dataclass(frozen=True, slots=True)
class Rights:
    """Who has a say here: the owners of all that is affected, by the base branch, and the two groups.

    `holder` is whoever put the present hold, or empty.
    """

    owners: frozenset[str]
    override_group: frozenset[str]
    freeze_group: frozenset[str]
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The user may."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The user may not; `text` names those who may, without mentioning them."""

    text: str


def authorise(command: Command, who: Who, rules: Rights) -> Allowed | Denied:
    """Say whether a user may give a command."""
    match command:
        case Help() | Status() | Explain() | PlanCmd():
            return Allowed()
        case Refresh() | Retry() | Cancel():
            may, those = who.is_author or who.role.writes, "the author and those who may push"
        case Regenerate(discard_edits=False):
            may, those = who.role.writes, "those who may push"
        case HoldCmd():
            may, those = who.is_author or who.role is not Role.NONE, "the author and the members"
        case Unhold():
            those = "whoever put the hold and the owners" + _names({*rules.owners, rules.holder} - {""})
            may = who.user in rules.owners or (rules.holder != "" and who.user == rules.holder)
        case OverrideCmd():
            may, those = who.user in rules.override_group, "the override group" + _names(rules.override_group)
        case FreezeCmd() | Unfreeze():
            may, those = who.user in rules.freeze_group, "the freeze group" + _names(rules.freeze_group)
        case (
            Regenerate() | Split() | Group() | Promote() | Rollback() | Pin() | Unpin() | Block() | Unblock() | Ignore()
        ):
            may, those = who.user in rules.owners, "the owners" + _names(rules.owners)
        case TriggerCmd():
            none = " (there are none: name them under `owners` in its definition)"
            may, those = who.user in rules.owners, "the owners" + (_names(rules.owners) if rules.owners else none)
        case _:
            assert_never(command)
    return Allowed() if may else Denied(f"`{verb(command)}` is for {those}")


def _names(users: Iterable[str]) -> str:
    """List users; no `@`, so that nobody is called for a refusal."""
    names = sorted(user.replace("@", "") for user in users)
    if not names:
        return " (there are none)"
    more = len(names) - _MOST_NAMES
    return " (" + ", ".join(names[:_MOST_NAMES]) + (f" and {more} more)" if more > 0 else ")")
