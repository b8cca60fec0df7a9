"""Every verb against everybody who might give it."""

from __future__ import annotations

import pytest

from bot.core.rights import Allowed, Denied, Rights, Who, authorise
from bot.core.verbs import (
    VERBS,
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
)
from bot.model.observed import Role

RIGHTS = Rights(frozenset({"ana", "ola"}), frozenset({"ovi"}), frozenset({"fred"}), holder="hugo")

PEOPLE = {
    "stranger": Who("eve", Role.NONE, is_author=False),
    "author": Who("eve", Role.NONE, is_author=True),
    "guest": Who("gus", Role.GUEST, is_author=False),
    "developer": Who("dev", Role.DEVELOPER, is_author=False),
    "maintainer": Who("max", Role.OWNER, is_author=False),
    "owner": Who("ana", Role.NONE, is_author=False),
    "holder": Who("hugo", Role.NONE, is_author=False),
    "override": Who("ovi", Role.NONE, is_author=False),
    "freeze": Who("fred", Role.NONE, is_author=False),
}
EVERYBODY = set(PEOPLE)
WRITERS = {"developer", "maintainer"}
OWNERS = {"owner"}

TABLE: list[tuple[Command, set[str]]] = [
    (Help(), EVERYBODY),
    (Status(), EVERYBODY),
    (Explain(), EVERYBODY),
    (PlanCmd(), EVERYBODY),
    (Refresh(), {"author", *WRITERS}),
    (Retry(), {"author", *WRITERS}),
    (Cancel("a/b/c"), {"author", *WRITERS}),
    (Regenerate(), WRITERS),
    (Regenerate(discard_edits=True), OWNERS),
    (HoldCmd(), {"author", "guest", *WRITERS}),
    (Unhold(), {"holder", *OWNERS}),
    (Split(), OWNERS),
    (Group(), OWNERS),
    (Promote("a/b/c"), OWNERS),
    (Rollback("a/b/c"), OWNERS),
    (Pin(), OWNERS),
    (Unpin(), OWNERS),
    (Block("u", "s", "r"), OWNERS),
    (Unblock("u", "s"), OWNERS),
    (Ignore(), OWNERS),
    (OverrideCmd("soak", "r"), {"override"}),
    (TriggerCmd("nightly"), OWNERS),
    (FreezeCmd("all", "r"), {"freeze"}),
    (Unfreeze("all"), {"freeze"}),
]


def test_the_table_has_every_verb() -> None:
    assert {type(command) for command, _ in TABLE} == set(VERBS)


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize(("command", "allowed"), TABLE, ids=[str(command) for command, _ in TABLE])
def test_who_may(command: Command, allowed: set[str], person: str) -> None:
    verdict = authorise(command, PEOPLE[person], RIGHTS)
    assert isinstance(verdict, Allowed) == (person in allowed)


def denied(command: Command, rights: Rights) -> str:
    verdict = authorise(command, PEOPLE["stranger"], rights)
    assert isinstance(verdict, Denied)
    return verdict.text


def test_a_refusal_names_those_who_may_and_calls_nobody() -> None:
    assert denied(Promote("a/b/c"), RIGHTS) == "`promote` is for the owners (ana, ola)"
    assert denied(Unhold(), RIGHTS) == "`unhold` is for whoever put the hold and the owners (ana, hugo, ola)"
    assert denied(Regenerate(), RIGHTS) == "`regenerate` is for those who may push"
    many = Rights(frozenset(f"@u{number:02}" for number in range(12)), frozenset(), frozenset())
    assert denied(Split(), many).endswith("(u00, u01, u02, u03, u04, u05, u06, u07, u08, u09 and 2 more)")
    assert denied(OverrideCmd("soak", "r"), many) == "`override` is for the override group (there are none)"
    assert "@" not in denied(Split(), many)


def test_nobody_holds_nothing() -> None:
    nameless = Who("", Role.NONE, is_author=False)
    assert isinstance(authorise(Unhold(), nameless, Rights(frozenset(), frozenset(), frozenset())), Denied)
