"""Talking on merge requests (DESIGN section 6): every verb, who may, and that each note is handled once."""

from __future__ import annotations

import pytest
from worlds.line_world import held, kinds
from worlds.world import BRANCH, PROD, STAGE, World, reasons

from bot.model.observed import Note
from bot.providers.forge.local_store import LocalStore


@pytest.fixture
def open_world(plain: World) -> World:
    """A world with the promotion merge request !1 open."""
    plain.promoted()
    return plain


def notes(world: World, iid: int = 1) -> tuple[Note, ...]:
    return world.show(iid).notes


def reactions(world: World, iid: int = 1) -> list[str]:
    """The bot's reactions on the notes of people, in order."""
    document = LocalStore(world.folders.forge).get(iid)
    assert document is not None
    own = (note for note in document.notes if note.author != "saasbot")
    return ["".join(word for word, users in note.reactions.items() if "saasbot" in users) for note in own]


def test_the_report_says_what_is_promoted_and_how_to_talk(open_world: World) -> None:
    report = open_world.report_on(1)
    old, new = open_world.ref(), open_world.state().channels["svc-ok"][-1].sha
    for word in (PROD, old[:7], new[:7], "change at 02 10:00", "/saasbot", "last changed"):
        assert word in report


def test_the_report_is_edited_in_place_and_only_when_it_says_something_new(open_world: World) -> None:
    before = notes(open_world)
    open_world.later(hours=1).reconcile()
    assert notes(open_world) == before
    open_world.comment("alice", "/saasbot hold look at the load first")
    after = [note for note in notes(open_world) if note.author == "saasbot"]
    assert [note.id for note in after] == [note.id for note in before]
    assert "look at the load first" in open_world.report_on(1)


def test_a_foreign_comment_with_the_marker_is_not_taken_for_the_report(open_world: World) -> None:
    stolen = open_world.report_on(1)
    open_world.people.comment_as("mallory", 1, stolen)
    open_world.comment("alice", "/saasbot hold")
    (own,) = [note for note in notes(open_world) if note.author == "saasbot"]
    (foreign,) = [note for note in notes(open_world) if note.author == "mallory"]
    assert foreign.body == stolen
    assert "alice" in own.body


def test_each_note_is_handled_once(open_world: World) -> None:
    open_world.comment("alice", "/saasbot hold")
    open_world.comment("alice", "/saasbot unhold")
    before = notes(open_world)
    assert open_world.reconcile().plan.actions == ()
    assert (notes(open_world), reactions(open_world)) == (before, ["ok", "ok"])
    open_world.close()
    open_world.reconcile()
    assert BRANCH not in open_world.state().merge_requests


def test_small_talk_quotes_and_code_are_no_commands(open_world: World) -> None:
    before = len(notes(open_world))
    for text in (
        "looks good",
        "> /saasbot ignore",
        "```\n/saasbot ignore\n```",
        "    /saasbot ignore",
        "use `/saasbot ignore` here",
        "[x](/saasbot ignore)",
        "@saasbot",
    ):
        open_world.comment("alice", text)
    assert len(notes(open_world)) == before + 7
    assert open_world.the_merge_request().iid == 1
    assert set(reactions(open_world)) == {""}


def test_an_unknown_verb_gets_one_answer(open_world: World) -> None:
    open_world.comment("bob", "/saasbot igno")
    assert "did you mean" in open_world.reply()
    assert "ignore" in open_world.reply()
    count = len(notes(open_world))
    open_world.reconcile()
    assert len(notes(open_world)) == count
    assert reactions(open_world) == ["no"]


def test_questions_are_answered_in_the_report_for_anybody(open_world: World) -> None:
    for number, verb in enumerate(("help", "status", "explain", f"explain {STAGE}", "plan"), 1):
        before = open_world.report_on(1)
        report = open_world.comment("stranger", f"@saasbot {verb}")
        assert "answer_command" in kinds(report)
        assert reactions(open_world) == ["ok"] * number
        assert open_world.reply() == "", "the answer stands in the report"
        assert open_world.report_on(1) != before, verb
        assert open_world.reconcile().plan.actions == ()


def test_a_refusal_names_those_who_may_and_calls_nobody(open_world: World) -> None:
    open_world.comment("bob", "/saasbot ignore")
    assert "alice" in open_world.reply()
    assert "@alice" not in open_world.reply()
    assert open_world.the_merge_request().iid == 1


REFUSED = (
    ("stranger", "refresh"),
    ("stranger", "retry"),
    ("stranger", "cancel"),
    ("stranger", "regenerate"),
    ("bob", "regenerate --discard-edits"),
    ("stranger", "hold"),
    ("bob", "unhold"),
    ("bob", "split"),
    ("bob", "group"),
    ("bob", f"promote {PROD}"),
    ("bob", f"rollback {PROD}"),
    ("bob", "pin"),
    ("bob", "unpin"),
    ("bob", "ignore"),
    ("bob", 'override soak reason="x"'),
    ("bob", 'freeze all reason="x"'),
    ("bob", "unfreeze all"),
)


def test_who_may_not_is_refused_and_nothing_follows(open_world: World) -> None:
    state = open_world.state()
    for number, (user, verb) in enumerate(REFUSED, 1):
        report = open_world.comment(user, f"/saasbot {verb}")
        assert kinds(report) == ["answer_command"], verb
        assert reactions(open_world) == ["no"] * number, verb
    after = open_world.state()
    for part in ("requests", "run_requests", "pins", "freezes", "overrides", "vetoes", "splits", "merge_requests"):
        assert getattr(after, part) == getattr(state, part)


def test_hold_leaves_a_merge_request_alone_until_unhold_by_holder_or_owner(open_world: World) -> None:
    open_world.comment("bob", "/saasbot hold wait for the release notes")
    before = open_world.show().head_sha
    newer = open_world.due()
    assert open_world.show().head_sha == before
    assert (BRANCH, "hold") in held(open_world.plan())
    open_world.comment("carl", "/saasbot unhold")
    assert reactions(open_world)[-1] == "no"
    open_world.comment("bob", "/saasbot unhold")
    assert newer[:7] in open_world.the_merge_request().title


def test_ignore_closes_and_vetoes(open_world: World) -> None:
    report = open_world.comment("alice", "/saasbot ignore")
    assert "close_merge_request" in kinds(report)
    assert open_world.show().state == "closed"
    assert (PROD, "vetoed") in held(open_world.later(hours=1).reconcile())
    newer = open_world.due()
    assert newer[:7] in open_world.the_merge_request().title


def test_promote_takes_a_veto_back(open_world: World) -> None:
    sha = open_world.state().channels["svc-ok"][-1].sha
    open_world.close()
    open_world.reconcile()
    report, answer = open_world.say("alice", f"promote {PROD} {sha[:8]}")
    assert answer.ok, answer.text
    assert kinds(report) == ["open_merge_request"]


def test_a_command_on_a_head_that_moved_is_not_carried_out(open_world: World) -> None:
    open_world.people.comment_as("alice", 1, "/saasbot ignore")
    open_world.on_branch(BRANCH, {"svc/NOTES": "x"}, start=BRANCH)
    open_world.reconcile()
    assert open_world.show().state == "opened"
    assert "moved" in open_world.reply()


def test_several_commands_in_one_comment(open_world: World) -> None:
    open_world.comment("alice", f"Let us wait.\n\n/saasbot hold load test\n/saasbot pin {PROD}\n\nThanks!")
    state = open_world.state()
    assert set(state.pins) == {PROD}
    hold = state.merge_requests[BRANCH].hold
    assert hold is not None
    assert hold.reason == "load test"


def test_commands_work_on_a_merge_request_of_a_person(plain: World) -> None:
    plain.reconcile()
    old, sha = plain.ref(), plain.commit()
    plain.reconcile()
    change = plain.proposes({"svc/saas.yml": plain.on_main("svc/saas.yml").replace(old, sha)})
    plain.reconcile()
    assert "soak" in plain.report_on(change.iid)
    plain.comment("alice", '/saasbot override soak reason="urgent"', change.iid)
    assert reactions(plain, change.iid) == ["ok"]
    plain.merge(change.iid)
    assert PROD in reasons(plain.reconcile())


def test_a_merge_request_of_a_person_gets_the_plan(plain: World) -> None:
    plain.reconcile()
    content = plain.on_main("svc/saas.yml")
    change = plain.proposes({"svc/saas.yml": content.replace("LEVEL: info", "LEVEL: debug")})
    plain.reconcile()
    report = plain.report_on(change.iid)
    assert STAGE in report
    assert "config\\_change" in report or "config_change" in report
    assert PROD not in report
    assert plain.reconcile().plan.actions == ()
    change_back = {"svc/saas.yml": content.replace("LEVEL: info", "LEVEL:  'info'")}
    plain.on_branch("bob/change", change_back, start="bob/change")
    plain.reconcile()
    assert STAGE not in plain.report_on(change.iid)
    assert plain.runs() == []


def test_a_merge_request_that_changes_no_target_gets_no_report(plain: World) -> None:
    plain.reconcile()
    change = plain.proposes({"README": "hello\n"})
    plain.reconcile()
    assert notes(plain, change.iid) == ()


def test_foreign_text_cannot_act_in_the_bots_name(plain: World) -> None:
    plain.reconcile()
    repo = plain.folders.service("svc")
    from bot.providers.demo_world import commit_to_service  # noqa: PLC0415 - only here with a message of its own

    commit_to_service(plain.folders, "svc", "/approve\r/merge @alice Closes #1 <script>x</script>", plain.now)
    plain.reconcile()
    plain.later(hours=25).reconcile()
    lines = plain.report_on(1).replace("\r", "\n").splitlines()
    assert repo.exists()
    assert not any(line.lstrip().startswith("/") for line in lines)
    assert not any("@alice" in line or "<script" in line or "Closes #1" in line for line in lines)


def test_say_and_a_comment_lead_to_the_same(open_world: World) -> None:
    open_world.comment("alice", f"/saasbot pin {PROD}")
    by_comment = open_world.state().pins[PROD]
    open_world.say("alice", f"unpin {PROD}")
    open_world.say("alice", f"/saasbot pin {PROD}")
    assert open_world.state().pins[PROD] == by_comment


def test_retry_sets_a_failed_ci_aside(open_world: World) -> None:
    open_world.ci("failed")
    failed = open_world.reconcile()
    assert (PROD, "failed") in held(failed)
    open_world.comment("bob", "/saasbot retry")
    assert reactions(open_world) == ["ok"]
    assert (PROD, "failed") not in held(open_world.plan())
