"""Every command by everybody at every forge, on every kind of merge request: who is heard, and who is told no.

What each verb does is held by `tests/core/test_orders.py`; here roles, owners, heads, edits and states of merge
requests come from the forges. Each case is a plan of its own: it writes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from worlds.forge_world import FORGES, TOKEN, Forge, ForgeWorld, forge_world
from worlds.world import PROD

from bot.core.context import heard_of
from bot.core.statefile import encode
from bot.model.state import Answer, Thread
from bot.ports import Refused
from bot.providers.git import git
from bot.reconcile import plan, recorded

SHA = "b" * 40
ANYONE = frozenset({"alice", "bob", "gus", "eve"})
MEMBERS = frozenset({"alice", "bob", "gus"})
PUSHERS = frozenset({"alice", "bob"})
OWNERS = frozenset({"alice"})

VERBS = {
    "help": ANYONE,
    "status": ANYONE,
    f"explain {PROD}": ANYONE,
    "plan": ANYONE,
    "refresh": PUSHERS,
    f"retry {PROD}": PUSHERS,
    "cancel": PUSHERS,
    "regenerate": PUSHERS,
    "regenerate --discard-edits": OWNERS,
    "unhold": OWNERS,
    "hold": MEMBERS,
    "split": OWNERS,
    "group": OWNERS,
    f"promote {PROD} {SHA}": OWNERS,
    f"rollback {PROD} to {SHA}": OWNERS,
    f"pin {PROD}": OWNERS,
    f"unpin {PROD}": OWNERS,
    "block URL " + SHA + ' reason="broken"': OWNERS,
    "unblock URL " + SHA: OWNERS,
    'override soak reason="urgent"': OWNERS,
    'freeze all reason="party"': OWNERS,
    "unfreeze all": OWNERS,
    "ignore": OWNERS,
}
"""By command: who is heard: alice is an owner, bob may push, gus is a guest, eve is nobody."""

BY_AUTHOR = frozenset({"refresh", f"retry {PROD}", "cancel", "hold"})
"""Commands that the author of a merge request may give on it, whatever the role."""

QUESTIONS = frozenset({"help", "status", f"explain {PROD}", "plan", "refresh"})
"""Commands that do not mind a moved head."""

NOT_FOR_YOU = re.compile(r"^`[a-z]+` is for ")


@pytest.fixture(scope="module", params=FORGES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeWorld]:
    """The bot's merge request !1 is open, with a version that soaks no more; its state is taken back by each test."""
    root = tmp_path_factory.mktemp(f"commands-{request.param}")
    kind: Forge = request.param
    saved = {name: os.environ.get(name) for name in ("SAASBOT_CACHE_DIR", "SAASBOT_TOKEN")}
    os.environ.update({"SAASBOT_CACHE_DIR": str(root / "cache"), "SAASBOT_TOKEN": TOKEN})
    try:
        with forge_world(kind, root / "world", guests=("gus",)) as found:
            found.promoted()
            yield found
    finally:
        for name, value in saved.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def answers(world: ForgeWorld, iid: int, *, heard: bool = False) -> dict[str, Answer]:
    """By note id: the answers that a pass would owe on a merge request now."""
    threads = frozenset({heard_of(Thread.MERGE_REQUEST, iid)}) if heard else frozenset()
    job = replace(world.job(), heard=threads)
    _, report = plan(job, job.ports.config.tree(job.ports.config.fetch("main")))
    owed = report.plan.record.answers if report.plan.record is not None else {}
    return {answer.note: answer for answer in owed.values() if answer.iid == iid}


def say_all(world: ForgeWorld, iid: int, user: str) -> dict[str, str]:
    """Everything that can be said, each in a note of its own; by note id."""
    url = str(world.folders.service("svc"))
    said = {}
    for command in VERBS:
        note = world.people.comment_as(user, iid, f"/saasbot {command.replace('URL', url)}")
        assert not isinstance(note, Refused)
        said[note.id] = command
    return said


def pass_over(world: ForgeWorld, iid: int) -> None:
    """Let all notes so far count as handled, so that the next test has only its own."""
    ports = world.ports()
    found = recorded(ports)
    assert found.state is not None
    last = max(int(note.id) for note in world.show(iid).notes)
    state = replace(found.state, cursors={**found.state.cursors, f"notes:{iid}": last})
    assert not isinstance(ports.state.write(encode(state), found.etag), Refused)


@pytest.mark.parametrize("user", ["alice", "bob", "gus", "eve"])
def test_on_the_bots_own_merge_request(world: ForgeWorld, user: str) -> None:
    said = say_all(world, 1, user)
    found = answers(world, 1)
    assert set(found) == set(said), "every note is answered once"
    refused = {said[note] for note, answer in found.items() if NOT_FOR_YOU.match(answer.text)}
    assert refused == {command for command, allowed in VERBS.items() if user not in allowed}
    assert all(found[note].author == user for note in found)
    assert not any("@" in answer.text for answer in found.values()), "nobody is called for a refusal"
    pass_over(world, 1)


@pytest.mark.parametrize("user", ["alice", "bob", "eve"])
def test_on_the_merge_request_of_a_person(world: ForgeWorld, user: str) -> None:
    text = world.on_main("svc/saas.yml").replace("LEVEL: info", "LEVEL: debug")
    iid = world.proposes({"svc/saas.yml": text}, "bob").iid
    said = say_all(world, iid, user)
    found = answers(world, iid)
    refused = {said[note] for note, answer in found.items() if NOT_FOR_YOU.match(answer.text)}
    heard = {command for command, allowed in VERBS.items() if user in allowed}
    heard |= BY_AUTHOR if user == "bob" else frozenset()
    assert refused == VERBS.keys() - heard
    world.close(iid)
    pass_over(world, iid)
    git(world.folders.forge / "config.git", "branch", "--quiet", "-D", "bob/change")


def test_on_a_closed_one_only_an_event_is_heard(world: ForgeWorld) -> None:
    change = world.proposes({"NOTES": "by hand\n"}, "carl")
    world.close(change.iid)
    said = say_all(world, change.iid, "alice")
    assert answers(world, change.iid) == {}
    found = answers(world, change.iid, heard=True)
    assert set(found) == set(said)
    assert {said[note] for note in found if found[note].ok} >= {"help", f"pin {PROD}", 'freeze all reason="party"'}
    assert not any(found[note].ok for note in found if said[note] in ("hold", "split", "ignore", "regenerate"))
    pass_over(world, change.iid)


def test_after_the_head_has_moved_only_questions_are_answered(world: ForgeWorld) -> None:
    change = world.proposes({"NOTES": "by hand\n"}, "dora")
    world.later(minutes=2)
    said = say_all(world, change.iid, "alice")
    world.later(minutes=2)
    world.on_branch("dora/change", {"NOTES": "something else\n"}, "dora", start="dora/change")
    world.later(minutes=10)
    found = answers(world, change.iid)
    moved = {said[note] for note, answer in found.items() if "has moved" in answer.text}
    assert moved == VERBS.keys() - QUESTIONS
    world.close(change.iid)


def test_a_comment_that_was_edited_is_refused_and_one_that_was_handled_is_left_alone(world: ForgeWorld) -> None:
    note = world.people.comment_as("alice", 1, "What a nice version.")
    world.later(minutes=10)
    world.people.edit_comment_as("alice", 1, note.id, f"/saasbot pin {PROD}")
    world.later(minutes=10)
    (answer,) = answers(world, 1).values()
    assert (answer.ok, "changed after" in answer.text) == (False, True)
    pass_over(world, 1)
    world.people.edit_comment_as("alice", 1, note.id, "/saasbot ignore")
    world.later(minutes=10)
    assert answers(world, 1) == {}


def test_system_notes_and_the_bots_own_are_no_commands(world: ForgeWorld) -> None:
    world.people.comment_as("saasbot", 1, f"/saasbot pin {PROD}")
    assert answers(world, 1) == {}
