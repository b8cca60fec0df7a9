"""What is a command, what is not, and how each verb is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.commands import freeze_until, parse
from bot.core.phrases import USAGE, parse_line, written
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
    Unparsed,
    Unpin,
    verb,
)

SHA = "8f14e45fceea167a5a36dedd4bea2543ce3dc40d"
URL = "https://forge.example/my/service"

READ: dict[str, Command] = {
    "": Help(),
    "help": Help(),
    "help me": Help(),
    "HELP": Help(),
    "status": Status(),
    "explain": Explain(),
    "explain a/b/c": Explain("a/b/c"),
    'explain "a/b/c d"': Explain("a/b/c d"),
    "plan": PlanCmd(),
    "refresh": Refresh(),
    "retry": Retry(),
    "retry a/b/c": Retry("a/b/c"),
    "cancel": Cancel(),
    "cancel a/b/c": Cancel("a/b/c"),
    "regenerate": Regenerate(),
    "regenerate --discard-edits": Regenerate(discard_edits=True),
    "hold": HoldCmd(),
    "hold until Ana is back": HoldCmd("until Ana is back"),
    'hold reason="see  the\tlog"': HoldCmd("see the log"),
    'hold it is "odd"': HoldCmd('it is "odd"'),
    "unhold": Unhold(),
    "split": Split(),
    "group": Group(),
    "promote a/b/c": Promote("a/b/c"),
    f"promote a/b/c {SHA.upper()}": Promote("a/b/c", SHA),
    "rollback a/b/c": Rollback("a/b/c"),
    f"rollback a/b/c to {SHA}": Rollback("a/b/c", SHA),
    f"rollback a/b/c {SHA}": Rollback("a/b/c", SHA),
    "pin": Pin(),
    " pin\ta/b ": Pin("a/b"),
    "pin a/b/c": Pin("a/b/c"),
    "unpin a/b/c": Unpin("a/b/c"),
    f'block {URL} {SHA} reason="leaks \\"x\\""': Block(URL, SHA, 'leaks "x"'),
    f"block {URL} {SHA} reason=bad": Block(URL, SHA, "bad"),
    f"unblock {URL} {SHA}": Unblock(URL, SHA),
    "ignore": Ignore(),
    'override soak reason="hot"': OverrideCmd("soak", "hot"),
    'override SOAK a/b/c reason="hot"': OverrideCmd("soak", "hot", "a/b/c"),
    "override soak reason=“hot fix”": OverrideCmd("soak", "hot fix"),
    'freeze all reason="x"': FreezeCmd("all", "x"),
    'freeze environment:production 4h reason="x"': FreezeCmd("environment:production", "x", "4h"),
    'freeze app:a until 2026-01-01T00:00:00Z reason="x"': FreezeCmd("app:a", "x", "2026-01-01T00:00:00Z"),
    'freeze target:a/b/c reason="x"': FreezeCmd("target:a/b/c", "x"),
    "unfreeze all": Unfreeze("all"),
    "trigger nightly": TriggerCmd("nightly"),
    "trigger nightly b a b": TriggerCmd("nightly", ("b", "a")),
    "trigger --force nightly a": TriggerCmd("nightly", ("a",), force=True),
    "trigger release --dry-run=pipelines": TriggerCmd("release", rehearsal=True),
    'trigger nightly "--force" "a=b" "say \\"x\\""': TriggerCmd("nightly", ("--force", "a=b", 'say "x"')),
}


@pytest.mark.parametrize("text", READ)
def test_reads(text: str) -> None:
    assert parse_line(text) == READ[text]
    assert parse(f"/saasbot {text}", "/saasbot", "saasbot") == (READ[text],)


def test_every_verb_is_read_and_has_a_usage() -> None:
    assert {type(command) for command in READ.values()} == set(VERBS)
    assert set(USAGE) == {verb(command) for command in READ.values()}


WRONG = [
    "status now",
    "explain a b",
    "explain a x=y",
    "regenerate --hard",
    "unhold please",
    "promote",
    "promote a b c",
    "rollback",
    "rollback a to",
    "rollback a to b c",
    "block",
    f"block {URL} {SHA}",
    f'block {URL} {SHA} reason=""',
    "unblock x",
    "override soak",
    'override a b c reason="x"',
    "freeze",
    "freeze all",
    'freeze production reason="x"',
    'freeze production 4h reason="x"',
    'freeze all 4h 5h reason="x"',
    "unfreeze",
    "unfreeze production",
    "trigger",
    "trigger --force",
    "trigger nightly --dry-run",
    "trigger nightly --forse",
    "trigger nightly job=a",
]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_arguments_are_answered_with_the_usage(text: str) -> None:
    word = text.split(maxsplit=1)[0]
    wrong = parse_line(text)
    assert wrong == Unparsed(word, problem=f"this is written `{USAGE[word]}`")
    assert isinstance(wrong, Unparsed)
    assert wrong.text == wrong.problem
    assert verb(wrong) == word


@pytest.mark.parametrize(
    ("word", "suggestion"), [("promot", "promote"), ("rolback", "rollback"), ("xyzzy", ""), ("triger", "trigger")]
)
def test_an_unknown_verb_has_at_most_one_suggestion(word: str, suggestion: str) -> None:
    unknown = parse_line(word)
    assert unknown == Unparsed(word, suggestion)
    assert isinstance(unknown, Unparsed)
    assert (f"did you mean `{suggestion}`?" in unknown.text) == bool(suggestion)


@pytest.mark.parametrize("word", ["approve", "merge", "rebase", "close", "label"])
def test_words_of_the_forge_are_left_to_it(word: str) -> None:
    unknown = parse_line(word)
    assert unknown == Unparsed(word)
    assert isinstance(unknown, Unparsed)
    assert "forge" in unknown.text


NAMES = st.text(st.characters(exclude_characters="“”„\u00a0", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=200, deadline=None)
@given(NAMES, st.lists(NAMES, max_size=3, unique=True), st.booleans(), st.booleans())
def test_a_start_that_was_written_is_read_as_it_was(name: str, jobs: list[str], force: bool, rehearsal: bool) -> None:
    command = TriggerCmd(name, tuple(jobs), force=force, rehearsal=rehearsal)
    assert parse_line(written(command)) == command


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=12))
def test_no_suggestion_ever_names_a_word_of_the_forge(word: str) -> None:
    found = parse_line(word)
    assert not isinstance(found, Unparsed) or found.suggestion in {"", *USAGE}
    assert not {"approve", "merge", "rebase", "close", "label"} & set(USAGE)


HIDDEN = {
    "code span": "`/saasbot hold`",
    "code span over two lines": "see `x\n/saasbot hold` y",
    "fence": "```\n/saasbot hold\n```",
    "indented": "    /saasbot hold",
    "quote": "> /saasbot hold",
    "quote that goes on": "> x\n/saasbot hold",
    "quote in a list": "- x\n  > /saasbot hold",
    "link": "[/saasbot hold](x)",
    "bold": "**/saasbot hold**",
    "list item": "- /saasbot hold",
    "heading": "# /saasbot hold",
    "html block": "<div>\n/saasbot hold\n</div>",
    "html comment": "<!--\n/saasbot hold\n-->",
    "inside a line": "please /saasbot hold",
    "after another line separator": "x\u2028/saasbot hold",
    "after html": "<b>x</b> /saasbot hold",
    "longer word": "/saasbotty hold",
    "another bot": "@saasbot2 hold",
    "a bare mention": "@saasbot\n",
    "nothing": "",
    "too long": "/saasbot hold\n" + "x" * 100_001,
}


@pytest.mark.parametrize("case", HIDDEN)
def test_is_no_command(case: str) -> None:
    assert parse(HIDDEN[case], "/saasbot", "saasbot") == ()


SEEN = {
    "alone": "/saasbot hold",
    "mention": "@saasbot hold",
    "mention in another case, with a comma": "@SaasBot, hold",
    "up to three spaces": "   /saasbot hold",
    "after text": "hello\n/saasbot hold\nbye",
    "after a carriage return": "hello\r/saasbot hold\r\nbye",
    "after a hard break": "hello  \n/saasbot hold",
    "after a list": "- one\n- two\n/saasbot hold",
    "after a quote and an empty line": "> x\n\n/saasbot hold",
    "above a rule": "/saasbot hold\n---",
    "beside code": "`x`\n/saasbot hold",
}


@pytest.mark.parametrize("case", SEEN)
def test_is_a_command(case: str) -> None:
    assert [type(command) for command in parse(SEEN[case], "/saasbot", "saasbot")] == [HoldCmd]


def test_commands_keep_their_order_and_their_text() -> None:
    body = "/bot explain `a_b/c*d*/e`\n\ntext\n/bot hold *very* **odd** my\\_x\n@saasbot promte x\n/bot"
    assert parse(body, "/bot", "saasbot") == (
        Explain("a_b/c*d*/e"),
        HoldCmd("*very* **odd** my_x"),
        Unparsed("promte", "promote"),
        Help(),
    )
    assert parse(f'/bot block <{URL}> {SHA} reason="a \\"b\\""', "/bot", "x") == (Block(URL, SHA, 'a "b"'),)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*HIDDEN.values(), *SEEN.values(), *WRONG]) | st.text(max_size=20), max_size=4))
def test_no_comment_breaks_the_parser(pieces: list[str]) -> None:
    for command in parse("\n".join(pieces)[:5000], "/saasbot", "saasbot"):
        assert verb(command)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4h", NOW + timedelta(hours=4)),
        ("1d2h30m", NOW + timedelta(days=1, hours=2, minutes=30)),
        ("90M", NOW + timedelta(minutes=90)),
        ("2026-01-02T08:00:00+02:00", datetime(2026, 1, 2, 6, tzinfo=UTC)),
        ("2026-01-02T08:00:00Z", datetime(2026, 1, 2, 8, tzinfo=UTC)),
        ("2026-01-02T08:00:00", None),
        ("2026-01-02", None),
        ("tomorrow", None),
        ("", None),
        ("99999d", NOW + timedelta(days=99999)),
        ("9999-12-31T23:59:59-12:00", None),
    ],
)
def test_the_end_of_a_freeze(text: str, expected: datetime | None) -> None:
    assert freeze_until(text, NOW) == expected
    assert freeze_until("99999d", datetime.max.replace(tzinfo=UTC)) is None
