"""Heads of merge requests in a checkout: one fetch for all, pushes with a lease, over a real smart-HTTP server."""

from __future__ import annotations

import base64
import gzip
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from worlds.git_http import Canned, GitServer
from worlds.git_world import Repository, run_git

from bot.errors import ServerUnreachable
from bot.model.observed import BranchDiff, Change, Unreachable
from bot.model.plan import Commit
from bot.ports import Refused
from bot.providers.git_merge_requests import CheckoutHeads, branch_diff
from bot.providers.git_tree import GitTree
from bot.settings import BotSettings

BOT = BotSettings("saasbot", "saasbot@localhost")
BRANCH = "saasbot/file/app"
PASSWORD = "not-a-real-secret"  # noqa: S105 - of a server that lives for one test
HEADER = "Basic " + base64.b64encode(f"bot:{PASSWORD}".encode()).decode()


@dataclass
class World:
    """A server that wants a password, its repository, and a checkout that has none."""

    server: GitServer
    origin: Repository
    checkout: Path

    def heads(self, *, sign: bool = False, header: str = HEADER) -> CheckoutHeads:
        return CheckoutHeads(
            self.checkout,
            "main",
            BOT,
            refs=lambda iid: f"refs/merge-requests/{iid}/head",
            authorization=lambda: header,
            sign=sign,
        )

    def fork(self, iid: int, start: str, files: dict[str, str]) -> str:
        """A commit that only the merge request's own ref has, as with one from a fork."""
        self.origin.switch(f"work-{iid}", start)
        head = self.origin.commit(f"merge request {iid}", dict(files), push=False)
        run_git(self.origin.work, "push", "--quiet", "origin", f"HEAD:refs/merge-requests/{iid}/head")
        self.origin.switch("main")
        return head

    def fetches(self) -> int:
        bodies = (
            gzip.decompress(request.body) if request.headers.get("Content-Encoding") == "gzip" else request.body
            for request in self.server.requests
        )
        return sum(b"command=fetch" in body for body in bodies)

    def pushes(self) -> int:
        return sum(
            request.method == "POST" and request.command == "git-receive-pack" for request in self.server.requests
        )

    def branch(self, name: str = BRANCH) -> str:
        return run_git(self.origin.bare, "for-each-ref", "--format=%(objectname)", f"refs/heads/{name}")

    def commit(self, parent: str, text: str = "ref: two\n", expected: str = "", keep: str = "") -> Commit:
        return Commit(BRANCH, parent, "promote app", {"app.yml": text.encode()}, expected, keep)


def traces(checkout: Path) -> tuple[str, bool, str]:
    """What a fetch must not move: refs, FETCH_HEAD, the working tree."""
    refs = run_git(checkout, "for-each-ref")
    return refs, (checkout / ".git" / "FETCH_HEAD").exists(), run_git(checkout, "status", "--porcelain")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    origin = Repository(tmp_path / "origin", "config")
    origin.commit("one", {"app.yml": "ref: one\n", "run.sh": "#!/bin/sh\n"})
    (origin.work / "run.sh").chmod(0o755)
    origin.commit("two", {"other.yml": "ref: x\n"})
    checkout = tmp_path / "checkout"
    run_git(tmp_path, "clone", "--quiet", str(origin.bare), str(checkout))
    with GitServer(origin.folder, users={"bot": PASSWORD}) as server:
        run_git(checkout, "remote", "set-url", "origin", server.url("config.git"))
        yield World(server, origin, checkout)


def test_a_head_of_a_fork_is_fetched_and_nothing_moves(world: World) -> None:
    base = world.origin.head()
    head = world.fork(7, base, {"app.yml": "ref: two\n"})
    before = traces(world.checkout)
    heads = world.heads()
    found = heads.diff(7, head, base)
    assert found.merge_base == base
    assert found.changes == (Change("app.yml", b"ref: one\n", b"ref: two\n"),)
    assert not heads.conflicts(7, head, base)
    tree = heads.merged_tree(7, head, base)
    assert isinstance(tree, GitTree)
    assert b"ref: two\n" in list(tree.read(tree.files()))
    assert traces(world.checkout) == before
    assert world.fetches() == 1


def test_thirty_heads_come_in_one_fetch_whoever_asks_first(world: World) -> None:
    base = world.origin.head()
    wanted = {iid: world.fork(iid, base, {f"file-{iid}.yml": "x\n"}) for iid in range(1, 31)}
    heads = world.heads()
    heads.expect(wanted.items())
    answers: dict[int, int] = {}

    def ask(iid: int) -> None:
        answers[iid] = len(heads.diff(iid, wanted[iid], base).changes)

    threads = [threading.Thread(target=ask, args=(iid,)) for iid in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == dict.fromkeys(wanted, 1)
    assert world.fetches() == 1
    assert len(world.server.requests) == 3  # capabilities, ls-refs, fetch: none was asked for a login first


def test_a_ref_that_is_gone_does_not_keep_the_others_away(world: World) -> None:
    base = world.origin.head()
    head = world.fork(1, base, {"app.yml": "ref: two\n"})
    heads = world.heads()
    heads.expect([(1, head), (2, "2" * 40)])
    assert len(heads.diff(1, head, base).changes) == 1


def test_a_head_that_moved_is_still_had_by_its_id(world: World) -> None:
    base = world.origin.head()
    old = world.fork(1, base, {"app.yml": "ref: two\n"})
    run_git(world.origin.work, "push", "--quiet", "--force", "origin", f"{base}:refs/merge-requests/1/head")
    assert len(world.heads().diff(1, old, base).changes) == 1


def test_a_head_that_nobody_has_is_one_line(world: World) -> None:
    with pytest.raises(ServerUnreachable) as caught:
        world.heads().diff(5, "5" * 40, world.origin.head())
    assert "merge request 5 is not at 555555555555 any more" in caught.value.message


def test_conflicts_are_gits_word(world: World) -> None:
    start = world.origin.head()
    head = world.fork(3, start, {"app.yml": "ref: two\n"})
    base = world.origin.commit("three", {"app.yml": "ref: three\n"})
    run_git(world.checkout, "fetch", "--quiet", str(world.origin.bare), "main")
    heads = world.heads()
    assert heads.conflicts(3, head, base)
    assert heads.merged_tree(3, head, base) == Unreachable("merge request 3 conflicts with main")


def test_a_merge_request_without_a_branch_asks_nobody(world: World) -> None:
    base, heads = world.origin.head(), world.heads()
    assert heads.diff(4, "", base) == BranchDiff(base, ())
    assert heads.merged_tree(4, "", base) == Unreachable("the branch of merge request 4 is gone")
    assert not heads.conflicts(4, "", base)
    assert world.server.requests == []


def test_credentials_in_the_address_serve_where_there_is_no_better_authorization(world: World) -> None:
    base = world.origin.head()
    head = world.fork(7, base, {"app.yml": "ref: two\n"})
    run_git(world.checkout, "remote", "set-url", "origin", world.server.url("config.git", login=f"bot:{PASSWORD}"))
    assert len(world.heads(header="").diff(7, head, base).changes) == 1
    run_git(world.checkout, "remote", "set-url", "origin", world.server.url("config.git", login="bot:out-of-date"))
    assert isinstance(world.heads().push(world.commit(base)), str)
    with pytest.raises(ServerUnreachable) as caught:
        world.heads(header="").push(world.commit(base, "ref: other\n"))
    assert "out-of-date" not in caught.value.message


def test_a_wrong_token_is_said_without_the_token(world: World) -> None:
    base = world.origin.head()
    head = world.fork(7, base, {"app.yml": "ref: two\n"})
    wrong = base64.b64encode(b"bot:wrong-password").decode()
    with pytest.raises(ServerUnreachable) as caught:
        world.heads(header=f"Basic {wrong}").diff(7, head, base)
    assert "fetching merge request 7 failed" in caught.value.message
    assert wrong not in caught.value.message + caught.value.hint


def test_an_authorization_left_in_the_checkout_is_replaced(world: World) -> None:
    address = world.server.url("")
    run_git(world.checkout, "config", f"http.{address}.extraHeader", "Authorization: Basic bGVmdDpvdmVy")
    base = world.origin.head()
    head = world.fork(7, base, {"app.yml": "ref: two\n"})
    assert len(world.heads().diff(7, head, base).changes) == 1


def test_an_inherited_configuration_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "http.userAgent")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "inherited")
    base = world.origin.head()
    world.heads().diff(7, world.fork(7, base, {"app.yml": "ref: two\n"}), base)
    assert {request.headers.get("User-Agent") for request in world.server.requests} == {"inherited"}


def test_a_shallow_clone_is_deepened_only_where_history_lacks(world: World, tmp_path: Path) -> None:
    start = world.origin.head()
    old = world.fork(1, start, {"app.yml": "ref: two\n"})
    for number in range(5):
        base = world.origin.commit(files={"other.yml": f"ref: {number}\n"})
    new = world.fork(2, base, {"app.yml": "ref: two\n"})
    world.checkout = tmp_path / "shallow"
    run_git(tmp_path, "clone", "--quiet", "--depth=1", world.origin.bare.as_uri(), str(world.checkout))
    run_git(world.checkout, "remote", "set-url", "origin", world.server.url("config.git"))
    boundary = (world.checkout / ".git" / "shallow").read_text()
    heads = world.heads()
    assert heads.diff(2, new, base).merge_base == base
    assert (world.checkout / ".git" / "shallow").read_text() == boundary
    before = traces(world.checkout)
    assert heads.diff(1, old, base).merge_base == start
    assert traces(world.checkout) == before
    assert isinstance(heads.push(world.commit(base)), str)


def test_modes_trees_and_dates(world: World) -> None:
    base = world.origin.head()
    heads = world.heads()
    assert heads.modes(base, ["app.yml", "run.sh", "none.yml"]) == {"app.yml": "100644", "run.sh": "100755"}
    assert heads.modes(base, []) == {}
    assert heads.tree_of(base) == run_git(world.origin.work, "rev-parse", "HEAD^{tree}")
    assert heads.date_of(base) == run_git(world.origin.work, "log", "-1", "--format=%cd", "--date=raw")
    with pytest.raises(ServerUnreachable):
        heads.tree_of("7" * 40)


def test_a_push_is_made_once_and_found_again(world: World) -> None:
    base = world.origin.head()
    before = traces(world.checkout)
    commit = world.commit(base)
    first = world.heads().push(commit)
    assert world.branch() == first
    assert world.heads().push(commit) == first  # the same call after a crash: the lease is lost to ourselves
    assert traces(world.checkout) == before
    assert world.heads().content_is(str(first), commit)
    assert not world.heads().content_is(str(first), replace(commit, files={"app.yml": b"ref: three\n"}))
    assert not world.heads().content_is(str(first), replace(commit, message="another"))
    assert not world.heads().content_is("9" * 40, commit)


def test_a_content_made_elsewhere_is_recognised(world: World) -> None:
    base = world.origin.head()
    world.origin.switch(BRANCH, base)
    head = world.origin.commit("promote app", {"app.yml": "ref: two\n"})
    assert world.heads().content_is(head, world.commit(base))
    more = world.origin.commit("by hand", {"app.yml": "ref: two\n", "more.yml": "x\n"})
    assert not world.heads().content_is(more, world.commit(base))


def test_a_lost_lease_is_refused_and_leaves_the_branch(world: World) -> None:
    base = world.origin.head()
    first = world.heads().push(world.commit(base))
    assert isinstance(first, str)
    world.origin.switch(BRANCH, base)
    theirs = world.origin.commit("by hand", {"app.yml": "ref: mine\n"})
    answer = world.heads().push(world.commit(base, "ref: three\n", expected=first))
    assert answer == Refused(f"somebody else moved {BRANCH}")
    assert world.branch() == theirs
    assert world.heads().push(world.commit(base, "ref: three\n")) == Refused(f"somebody else moved {BRANCH}")


def test_two_pushers_race_and_one_wins(world: World) -> None:
    base = world.origin.head()
    answers: list[str | Refused] = []
    texts = [f"ref: {number}\n" for number in range(4)]
    threads = [
        threading.Thread(target=lambda text=text: answers.append(world.heads().push(world.commit(base, text))))
        for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [answer for answer in answers if isinstance(answer, str)]
    assert winners == [world.branch()]
    assert set(answers) - {*winners} == {Refused(f"somebody else moved {BRANCH}")}


def test_a_hook_that_says_no_is_quoted(world: World) -> None:
    hook = world.origin.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho >&2\necho 'You are not allowed to push here' >&2\nexit 1\n")
    hook.chmod(0o755)
    answer = world.heads().push(world.commit(world.origin.head()))
    assert answer == Refused(f"{BRANCH} was not pushed: You are not allowed to push here")


def test_a_missing_right_is_refused_and_a_broken_server_is_unreachable(world: World) -> None:
    base = world.origin.head()
    world.server.answers.append(Canned(403, b"no\n"))
    answer = world.heads().push(world.commit(base))
    assert isinstance(answer, Refused)
    assert "403" in answer.text
    world.server.answers.append(Canned(502))
    with pytest.raises(ServerUnreachable):
        world.heads().push(world.commit(base))


def test_a_persons_commits_are_replayed(world: World) -> None:
    base = world.origin.head()
    own = world.heads().push(world.commit(base))
    assert isinstance(own, str)
    run_git(world.origin.work, "fetch", "--quiet", "origin")
    world.origin.switch(BRANCH, own)
    person = world.origin.commit("by hand", {"note.yml": "x\n"})
    world.origin.switch("main")
    onto = world.origin.commit("three", {"other.yml": "ref: y\n"})
    run_git(world.checkout, "fetch", "--quiet", str(world.origin.bare), "main")
    new = world.heads().push(world.commit(onto, "ref: three\n", expected=person, keep=person))
    assert world.branch() == new
    assert run_git(world.origin.bare, "log", "--format=%an %s", f"{onto}..{new}").splitlines() == [
        "alice by hand",
        "saasbot promote app",
    ]
    assert {change.path for change in branch_diff(world.origin.bare, onto, str(new)).changes} == {"app.yml", "note.yml"}
    lost = world.heads().push(world.commit(onto, keep="8" * 40))
    assert lost == Refused(f"somebody else moved {BRANCH}")


def test_the_forges_own_committer_counts_as_the_bot(world: World) -> None:
    base = world.origin.head()
    world.origin.switch(BRANCH, base)
    world.origin.write({"app.yml": "ref: two\n"})
    forge = {"GIT_AUTHOR_NAME": BOT.name, "GIT_AUTHOR_EMAIL": BOT.email, "GIT_COMMITTER_NAME": "project_1_bot"}
    run_git(world.origin.work, "commit", "--quiet", "-am", "promote app", env=forge)
    person = world.origin.commit("by hand", {"note.yml": "x\n"})
    commit = world.commit(base, "ref: three\n", expected=person, keep=person)
    refused = world.heads().push(commit)
    assert refused == Refused(f"the bot's own commit is not on {BRANCH} any more, as it was made")
    heads = CheckoutHeads(
        world.checkout,
        "main",
        BOT,
        refs=str,
        authorization=lambda: HEADER,
        committers=lambda: ["project_1_bot <alice@example.com>"],
    )
    assert heads.push(commit) == world.branch()


def test_a_signed_commit_verifies_and_is_recognised(world: World, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True, capture_output=True)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{BOT.email} {key.with_suffix('.pub').read_text()}")
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(key))):
        run_git(world.checkout, "config", name, value)
    base = world.origin.head()
    commit = world.commit(base)
    head = world.heads(sign=True).push(commit)
    assert world.branch() == head
    run_git(world.origin.bare, "-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", str(head))
    assert world.heads(sign=True).push(commit) == head
    assert world.heads().content_is(str(head), commit)
    # A key that signs differently each time, as most do, is no reason to push the same thing again.
    subprocess.run(("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(key) + "2"), check=True, capture_output=True)
    run_git(world.checkout, "config", "user.signingKey", str(key) + "2")
    assert world.heads(sign=True).push(commit) == head


def test_a_key_that_is_missing_is_refused(world: World, tmp_path: Path) -> None:
    for name, value in (("gpg.format", "ssh"), ("user.signingKey", str(tmp_path / "none"))):
        run_git(world.checkout, "config", name, value)
    answer = world.heads(sign=True).push(world.commit(world.origin.head()))
    assert isinstance(answer, Refused)
    assert answer.text.startswith(f"{BRANCH} was not built: ")
    assert world.pushes() == 0
