"""Hostile words of other people reach what the bot writes at GitLab and GitHub, and come to nothing there.

Commit titles, parameters, branch names, run texts and reasons carry quick actions, mentions, HTML and tokens; what the
servers have stored in the end is read as they read it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from worlds.fake_gitlab import FakeGitLab
from worlds.fake_gitlab_quick import split
from worlds.forge_world import TOKEN, Forge, ForgeWorld, forge_world
from worlds.world import BRANCH, PROD, STAGE

from bot.model.observed import MergeRequest, Note
from bot.providers.demo_world import commit_to_service
from bot.providers.git import git

MORE = 'dashboard: {title: "Deployments"}\n'
SECRETS = ("glpat-abcdefghijklmnopqrst", "ghp_abcdefghijklmnopqrst12", "AKIAABCDEFGHIJKLMNOP")
TITLES = (
    "/approve",
    "/merge",
    "Closes #1 and fixes !1",
    "Resolves GL-1, closes acme/config#1",
    "cc @alice @all @acme/owners",
    "<b>bold</b> <img src=x onerror=alert(1)> <!-- saasbot:report e30= unsigned -->",
    "![x](https://evil.example/x.png) [click](https://evil.example) <https://evil.example>",
    "| a | b | ``` `x` ~~~",
    "\u2028/close\x0b/label ~x",
    *(f"use {secret}" for secret in SECRETS),
    "push to https://bot:p4ssw0rd1@git.example/x.git",
)
VALUES = (
    "/merge",
    "@all",
    "Closes #1",
    "<script>alert(1)</script>",
    "<!-- saasbot:report e30= unsigned -->",
    "![x](https://evil.example/x.png)",
    "x\n/approve\n",
    "x\u2028/close",
    *SECRETS,
)
NAME = "merge/-@all-Closes-#1-<b>-`x`-](GL-1)|"
"""A branch name as git takes it."""

OWN_HTML = re.compile(r"</?(details|summary|sub)>|<!-- saasbot:[a-z]+ [A-Za-z0-9._=]+ (?:[0-9a-f]{64}|unsigned) -->")
LINE_ENDS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
PARSER = MarkdownIt("commonmark").enable("table")
CODE = re.compile(r"`[^`\n]+`")


@pytest.fixture(params=["gitlab", "github"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeWorld]:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    kind: Forge = request.param
    with forge_world(kind, tmp_path / "world", more=MORE) as found:
        found.reconcile()
        yield found


def check(world: ForgeWorld, *, quoting: int) -> None:
    """Read all that the bot has said at the server; `quoting` is how many texts of it at least were met."""
    texts = list(said(world))
    assert len(texts) >= quoting
    for text in texts:
        assert not any(re.sub(r"^[\s>*+-]+", "", line).startswith("/") for line in LINE_ENDS.split(text)), text
        assert not split(text)[1], text
        assert not re.search(r"@\w|[#!]\d", text), text
        assert not re.search(r"(?i)\b(clos|fix|resolv)\w*:?\s+(\S*[#!]\d|\w+-\d|https?://)", text), text
        outside = CODE.sub("", OWN_HTML.sub("", text))
        assert not re.search(r"<[a-zA-Z/!?]", outside), text
        assert "<!--" not in OWN_HTML.sub("", text), text
        assert len(re.findall("<!--", text)) <= 1, text
        inside = [child for token in PARSER.parse(text) for child in token.children or ()]
        assert not [child for child in inside if child.type == "image"], text
        links = [str(child.attrs["href"]) for child in inside if child.type == "link_open"]
        assert all(link.startswith("http://127.0.0.1:") for link in links), links
        bare = text.replace("\\", "").replace("\u200b", "")
        assert not any(secret[-8:] in bare for secret in (*SECRETS, "p4ssw0rd1")), text
    assert world.server is not None
    if isinstance(world.server, FakeGitLab):
        assert not [each for each in world.server.quick_actions if each.user == "saasbot"]


def said(world: ForgeWorld) -> Iterator[str]:
    """Every text of the bot that the server keeps: titles, descriptions, comments, the dashboard, commit messages."""
    for each in world.people.list_all():
        if each.author == "saasbot":
            yield each.title
            yield each.description
            yield git(world.folders.forge / "config.git", "log", "-1", "--format=%B", each.head_sha).decode()
        yield from (note.body for note in each.notes if note.author == "saasbot")
    board = world.people.dashboard()
    assert board is not None
    yield board.body
    yield from (note.body for note in board.notes if note.author == "saasbot")


def test_commit_titles_in_a_promotion(world: ForgeWorld) -> None:
    for number, title in enumerate(TITLES):
        commit_to_service(world.folders, "svc", title, world.now.replace(second=number))
    world.reconcile()
    world.later(hours=25).reconcile()
    report = world.report_on(world.the_merge_request().iid)
    assert "approve" in report
    assert "onerror" in report, "the titles were met"
    check(world, quoting=5)
    world.merge(world.the_merge_request().iid)
    world.reconcile()
    check(world, quoting=5)


def test_branch_names_in_a_promotion_by_hand(world: ForgeWorld) -> None:
    repo = world.folders.service("svc")
    head = git(repo, "rev-parse", "main").decode().strip()
    git(repo, "update-ref", f"refs/heads/{NAME}", head)
    world.edit("svc/saas.yml", "    ref: main\n", f"    ref: {json.dumps(NAME)}\n")
    world.reconcile()
    iid = world.proposes({"NOTES": "x\n", "svc/saas.yml": world.on_main("svc/saas.yml").replace("info", "debug")}).iid
    world.reconcile()
    world.comment("alice", "/saasbot plan", iid)
    check(world, quoting=2)


def test_parameters_in_the_plan_of_a_person(world: ForgeWorld) -> None:
    main = world.on_main("svc/saas.yml")
    iid = world.proposes({"svc/saas.yml": main.replace("info", "debug")}).iid
    for number, value in enumerate(VALUES):
        parameters = {f"V{number}": value, f"W{number}": {value: [value]}, value: number}
        text = main.replace("{LEVEL: info}", json.dumps(parameters))
        world.on_branch("bob/change", {"svc/saas.yml": text}, start="bob/change")
        assert world.merge_requests(), "the server has seen the push: its lists are up to date in a minute"
        world.later(minutes=10).reconcile()
        report = world.report_on(iid)
        assert {word for word in (STAGE, f"V{number}", f"W{number}") if word not in report} == set(), report
        check(world, quoting=2)


def test_reasons_and_texts_of_runs(world: ForgeWorld) -> None:
    world.due()
    iid = world.the_merge_request().iid
    for number, words in enumerate(VALUES):
        reason = " ".join(words.split())
        verb = "hold" if number % 2 else "freeze all reason="
        text = f"/saasbot {verb}{json.dumps(reason)}" if verb.endswith("=") else f"/saasbot {verb} {reason}"
        note = world.people.comment_as("alice", iid, text)
        assert isinstance(note, Note)
        if number % 2 or number == len(VALUES) - 1:  # one of each at a time
            world.later(minutes=1).reconcile()
            check(world, quoting=5)
    world.comment("alice", "/saasbot unfreeze all", iid)
    world.comment("alice", "/saasbot unhold", iid)
    deploy = (world.config / "deploy.sh").read_text()
    printed = "\n".join(f"printf '%s\\n' {_quoted(words)} >&2" for words in VALUES)
    world.push({"deploy.sh": f"{deploy}\n{printed}\nexit 3\n"})
    world.reconcile()
    world.merge(iid)
    world.reconcile()
    assert "failed" in world.report_on(iid)
    check(world, quoting=5)


def test_what_people_are_asked_back(world: ForgeWorld) -> None:
    world.due()
    iid = world.the_merge_request().iid
    assert isinstance(world.show(iid), MergeRequest)
    for number, words in enumerate((*VALUES, *TITLES)):
        line = " ".join(words.split())
        asked = (f"explain {line}", f"promote {PROD} {line}", f"override {line}", f"freeze {line}")
        for command in (line, asked[number % len(asked)]):
            world.people.comment_as("bob", iid, f"/saasbot {command}")
    world.reconcile()
    assert world.the_merge_request().source_branch == BRANCH
    check(world, quoting=30)


def _quoted(words: str) -> str:
    """A text as one word of a shell."""
    return "'" + words.replace("'", "'\\''") + "'"
