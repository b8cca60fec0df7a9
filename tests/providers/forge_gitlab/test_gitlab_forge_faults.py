"""When GitLab, or the way to it, fails: what is asked again, what is a value, and what the human is told."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from gitlab.exceptions import GitlabError
from worlds.fake_http import Answer, Fault
from worlds.git_world import run_git
from worlds.gitlab_forge_world import API, OWN, TOKEN, gitlab_world, granted, refused, status

from bot.errors import ServerUnreachable
from bot.model.observed import MergeRequestStatus
from bot.model.state import Thread
from bot.ports import Refused
from bot.providers.forge.gitlab import GitLabForge
from bot.providers.gitlab_api import asking, client, missing, refusal, said

MR = Thread.MERGE_REQUEST


def unreachable(do: Callable[[], object]) -> ServerUnreachable:
    """The error that something must end with."""
    with pytest.raises(ServerUnreachable) as caught:
        do()
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def writes(forge: GitLabForge) -> dict[str, Callable[[], object]]:
    """Every write, by the last part of its path."""
    return {
        "merge_requests": lambda: forge.open("saasbot/b.yml", "t", "d", []),
        "1": lambda: forge.update(1, "another", "d"),
        "merge": lambda: forge.merge(1, "a" * 40),
        "cancel_merge_when_pipeline_succeeds": lambda: forge.cancel_auto_merge(1),
        "notes": lambda: forge.comment(MR, 1, "hello"),
        "award_emoji": lambda: forge.react(MR, 1, "9001", ok=True),
        "issues": lambda: forge.put_dashboard(0, "t", "b"),
    }


WRITES = ("merge_requests", "1", "merge", "cancel_merge_when_pipeline_succeeds", "notes", "award_emoji", "issues")


@pytest.mark.parametrize("code", [500, 502, 503])
def test_questions_are_asked_again(tmp_path: Path, code: int) -> None:
    with gitlab_world(tmp_path) as world:
        world.breaks("GET", "freeze_periods", Answer(code, b"<html>oops</html>"))
        assert world.forge().freezes() == []


def test_a_lost_connection_is_no_end_of_questions(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.breaks("GET", "merge_requests", "drop after")
        assert world.forge().open_merge_requests() == []


def test_a_slow_answer_is_waited_for(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.breaks("GET", "merge_requests", 1.0)
        assert world.forge().open_merge_requests() == []


def test_a_server_that_stays_broken_is_unreachable(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.breaks("GET", "freeze_periods", Answer(502, b"<html>oops</html>"), times=9)
        error = unreachable(world.forge().freezes)
        assert (
            error.message == f"{world.server.url}: freeze periods: 502 the answer is a page for people, not the API's"
        )
        assert error.hint == "try again later"


@pytest.mark.parametrize("last", WRITES)
@pytest.mark.parametrize("answer", [Answer(500, {"message": "500 Internal Server Error"}), "drop after", "drop before"])
def test_a_write_in_doubt_is_never_sent_twice(tmp_path: Path, last: str, answer: Any) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.comment_as("alice", 1, "hello")
        granted(forge.push(world.change(branch="saasbot/b.yml")))
        before = len(world.writes())
        world.server.faults.append(
            Fault(lambda request: request.method != "GET" and request.path.endswith(f"/{last}"), answer, 9)
        )
        unreachable(writes(forge)[last])
        assert [each.path.rsplit("/", 1)[-1] for each in world.writes()[before:]] == [last]


@pytest.mark.parametrize("last", WRITES)
def test_a_write_that_was_turned_away_is_sent_again(tmp_path: Path, last: str) -> None:
    """429 says that nothing was done."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.people.comment_as("alice", 1, "hello")
        granted(forge.push(world.change(branch="saasbot/b.yml")))
        world.server.faults.append(
            Fault(
                lambda request: request.method != "GET" and request.path.endswith(f"/{last}"),
                status(429, "Retry later", Retry_After="1"),
            )
        )
        started = time.monotonic()
        answer = writes(forge)[last]()
        assert time.monotonic() - started >= 1
        assert last in ("merge", "cancel_merge_when_pipeline_succeeds") or not isinstance(answer, Refused)


def test_a_long_wait_is_an_error_that_says_until_when(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.breaks("GET", "freeze_periods", status(429, "Retry later", Retry_After="3600"), times=9)
        error = unreachable(world.forge().freezes)
        assert "too many requests" in error.message
        assert "Z" in error.message


def test_a_push_whose_answer_was_lost_is_found_again(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.breaks("POST", "repository/commits", "drop after")
        unreachable(lambda: forge.push(world.change()))
        head = granted(forge.push(world.change()))
        assert head == world.heads()[OWN]
        assert len(world.writes()) == 1


def test_an_opening_whose_answer_was_lost_is_adopted(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        granted(forge.push(world.change()))
        world.breaks("POST", "merge_requests", "drop after")
        unreachable(lambda: forge.open(OWN, "t", "d", []))
        world.breaks("GET", "merge_requests", "stale")
        assert granted(forge.open(OWN, "t", "d", [])).iid == 1
        assert len(world.server.main.merge_requests) == 1


def test_a_merge_whose_answer_was_lost_is_seen(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        world.breaks("PUT", "merge_requests/1/merge", "drop after")
        unreachable(lambda: forge.merge(1, head))
        assert granted(forge.merge(1, head)).state is MergeRequestStatus.MERGED


def test_a_close_whose_answer_was_lost_is_finished(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.breaks("PUT", "merge_requests/1", "drop after")
        unreachable(lambda: forge.close(1, OWN, "Done."))
        assert forge.close(1, OWN, "Done.") is None
        assert OWN not in world.heads()
        assert len([each for each in world.server.main.merge_requests[1].notes if not each.system]) == 1


def test_a_branch_that_cannot_be_deleted(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        world.breaks("DELETE", "repository/branches/.*", status(400, "it is protected"))
        assert refused(forge.close(1, OWN, "")) == f"{OWN} was not deleted: 400 it is protected"
        world.breaks("DELETE", "repository/branches/.*", "drop after")
        unreachable(lambda: forge.close(1, OWN, ""))
        assert forge.close(1, OWN, "") is None


def test_a_missing_right_is_a_value_with_advice(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        world.server.main.members["saasbot"] = 20
        text = refused(forge.push(world.change()))
        assert text.startswith(f"{OWN} was not pushed: 403 Forbidden")
        assert "$SAASBOT_TOKEN needs the scope `api`, and its user the role Developer or higher in acme/config" in text


def test_advice_by_status(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        expired = unreachable(world.forge(token="glpat-expired-token").freezes)  # noqa: S106 - opens nothing
        assert expired.message == f"{world.server.url}: freeze periods: 401 Unauthorized"
        assert "check $SAASBOT_TOKEN" in expired.hint
        elsewhere = unreachable(world.forge(project="acme/other").freezes)
        assert elsewhere.message == f"{world.server.url}: freeze periods: 404 Project Not Found"
        assert "acme/other" in elsewhere.hint
        world.breaks("GET", "freeze_periods", status(403, "403 Forbidden"))
        assert "Developer" in unreachable(world.forge().freezes).hint


@pytest.mark.parametrize("method", ["merge_request", "branch_head"])
def test_a_project_that_is_gone_is_no_merge_request_that_is_gone(tmp_path: Path, method: str) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge(project="acme/other")
        assert "Project Not Found" in unreachable(lambda: getattr(forge, method)(1)).message


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """It would hand the token to whoever is there."""
    with gitlab_world(tmp_path) as world, gitlab_world(tmp_path / "other") as other:
        target = f"{other.server.url}/api/v4/user"
        world.server.faults.append(
            Fault(("GET", "/api/v4/user"), Answer(301, {"message": "moved"}, {"Location": target}))
        )
        error = unreachable(world.forge().me)
        assert "301 moved" in error.message
        assert "correct url and project" in error.hint
        assert other.server.requests == []


@pytest.mark.parametrize("body", [[{"iid": "seven"}], {"iid": 1}, [7], b"<html>a login page</html>"])
def test_an_answer_of_another_shape(tmp_path: Path, body: Any) -> None:
    with gitlab_world(tmp_path) as world:
        headers = {"Content-Type": "text/html" if isinstance(body, bytes) else "application/json"}
        world.breaks("GET", "merge_requests", Answer(200, body, headers), times=9)
        error = unreachable(world.forge().open_merge_requests)
        assert "check the address" in error.hint


def test_nobody_listens_there(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        forge = world.forge(url="http://127.0.0.1:9")
        error = unreachable(forge.me)
        assert error.message.startswith("http://127.0.0.1:9: the user of the token: ")
        assert "refused" in error.message


def test_the_token_is_in_no_text(tmp_path: Path) -> None:
    """Servers and proxies like to repeat what they were sent."""
    with gitlab_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        basic = base64.b64encode(f"oauth2:{TOKEN}".encode()).decode()
        echo = f"bad header PRIVATE-TOKEN: {TOKEN} or Basic {basic} at https://oauth2:{TOKEN}@example.com/x"
        asked: tuple[Callable[[], object], ...] = (
            lambda: forge.push(world.change("ref: nine\n", expected=head)),
            lambda: forge.comment(MR, 1, "x"),
            lambda: forge.put_dashboard(0, "a", "b"),
            forge.freezes,
        )
        texts: list[str] = []
        for code in (400, 401, 403, 404, 405, 409, 422, 501):
            world.server.faults[:] = [Fault(("*", f"{API}/.*"), status(code, {"base": [echo]}), 99)]
            texts.extend(map(_words, asked))
        assert len(texts) == 32
        assert [each for each in texts if TOKEN in each or basic in each] == []
        assert any("[secret]" in each for each in texts)


def _words(do: Callable[[], object]) -> str:
    """Everything that an answer or an error says."""
    try:
        answer = do()
    except ServerUnreachable as error:
        return f"{error.message} {error.hint}"
    return repr(answer)


def test_git_shows_the_token_to_the_forges_own_host_only(tmp_path: Path) -> None:
    with gitlab_world(tmp_path) as world:
        world.server.git_login = True
        forge = world.forge()
        opened = world.opened(forge)
        assert forge.diff(opened).changes[0].path == "app.yml"
        elsewhere = world.server.clone_url.replace("127.0.0.1", "localhost")
        run_git(world.checkout, "remote", "set-url", "origin", elsewhere)
        stranger = world.forge()
        with pytest.raises(ServerUnreachable):
            stranger.diff(opened)


def test_what_gitlab_says_in_one_line() -> None:
    error = GitlabError({"title": ["is too\nlong", "is odd"], "base": ["no"]}, 422)  # type: ignore[arg-type] # as the library does
    assert said(error) == "422 title: is too long, is odd; no"
    assert refusal(error, "it was not opened") == Refused("it was not opened: 422 title: is too long, is odd; no")
    assert said(GitlabError(b"404 Not found", 404)) == "404 Not found"
    assert said(GitlabError(b"\xff bytes", 400)) == "400 \ufffd bytes"
    assert len(said(GitlabError("x" * 5000, 400))) < 400
    assert missing(GitlabError("404 Branch Not Found", 404))
    assert not missing(GitlabError("404 Project Not Found", 404))


def test_asking_names_server_and_request_without_credentials() -> None:
    def ask() -> None:
        with asking("https://me:word@gitlab.example.com", "runs"):
            raise requests.ConnectionError("nothing there")

    error = unreachable(ask)
    assert error.message == "https://gitlab.example.com: runs: nothing there"


def test_a_job_token_is_shown_as_one() -> None:
    for token, job, name in (("glpat-fake-fake", False, "PRIVATE-TOKEN"), ("word-fake-fake", True, "JOB-TOKEN")):
        api = client("https://gitlab.example.com", token, job=job)
        request = requests.Request("GET", "https://gitlab.example.com", auth=api._auth).prepare()
        assert request.headers[name] == token
    assert client("", "glcbt-64_fake-fake").job_token
