"""What goes wrong at GitHub: limits, trouble, lost answers; each is one line for a human, without the token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from github_forge_world import API, OWN, TOKEN, GitHubWorld, github_world, granted, refused, status
from worlds.fake_github import primary_limit, secondary_limit
from worlds.fake_http import Answer

from bot.errors import ServerUnreachable
from bot.model.observed import MergeRequestStatus
from bot.model.state import Thread
from bot.providers.github_api import GitHubApi, client
from bot.providers.github_transport import PUBLIC, api_root

WRITES: dict[str, tuple[str, str, Callable[[Any, str], Any]]] = {
    "open": ("POST", "pulls", lambda forge, _: forge.open(OWN, "T", "D", [])),
    "update": ("PATCH", "pulls/1", lambda forge, _: forge.update(1, "New", "D")),
    "merge": ("PUT", "pulls/1/merge", lambda forge, head: forge.merge(1, head)),
    "close": ("PATCH", "pulls/1", lambda forge, _: forge.close(1, OWN, "")),
    "comment": ("POST", "issues/1/comments", lambda forge, _: forge.comment(Thread.MERGE_REQUEST, 1, "x")),
    "dashboard": ("POST", "issues", lambda forge, _: forge.put_dashboard(0, "Board", "x")),
}


def unreachable(call: Callable[[], object]) -> ServerUnreachable:
    """The error of a call; one line that holds no token."""
    with pytest.raises(ServerUnreachable) as caught:
        call()
    text = f"{caught.value.message} {caught.value.hint} {caught.value!r}"
    assert TOKEN not in text
    assert "\n" not in text
    return caught.value


def api(world: GitHubWorld, token: str = TOKEN) -> GitHubApi:
    """The API by itself."""
    return client(world.server.url, token)


def test_a_read_is_tried_again_while_the_server_is_in_trouble(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        for answer in (status(502), status(500), "drop before"):
            world.breaks("GET", "pulls", answer)
            assert forge.open_merge_requests() == []


@pytest.mark.parametrize("code", [429, 403])
def test_a_short_wait_is_waited_and_then_asked_again(tmp_path: Path, code: int) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        for method, path in (("GET", "pulls"), ("POST", "issues/1/comments")):
            world.breaks(method, path, status(code, "slow down", Retry_After="1"))
        began = time.monotonic()
        forge.open_merge_requests()
        granted(forge.comment(Thread.MERGE_REQUEST, 1, "x"))
        assert time.monotonic() - began >= 2
        assert len(world.people.show(1).notes) == 1


def test_a_long_wait_is_an_error_that_says_until_when(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        reset = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)
        for answer in (secondary_limit(1800), primary_limit(reset), status(429, "no", Retry_After="1800")):
            world.breaks("GET", "pulls", answer)
            error = unreachable(forge.open_merge_requests)
            assert f"{reset:%Y-%m-%dT%H:}" in error.message or f"{reset + timedelta(hours=1):%H:}" in error.message
            assert "Z" in error.message
        world.breaks("GET", "pulls", status(403, "You have exceeded a secondary rate limit."))
        assert "too many requests" in unreachable(forge.open_merge_requests).hint


@pytest.mark.parametrize("what", sorted(WRITES))
def test_a_limit_on_a_write_is_no_refusal(tmp_path: Path, what: str) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = granted(forge.push(world.change()))
        if what != "open":  # of which it would be seen that it is open, and that would do
            granted(forge.open(OWN, "T", "D", []))
        method, path, write = WRITES[what]
        world.breaks(method, path, secondary_limit(1800))
        error = unreachable(lambda: write(forge, head))
        assert "may have been carried out" not in error.message


@pytest.mark.parametrize("what", sorted(WRITES))
@pytest.mark.parametrize("fault", [status(500), "drop after"])
def test_a_write_whose_answer_is_lost_is_not_sent_again(tmp_path: Path, what: str, fault: Any) -> None:
    """Asked once more in the next pass it finds what the first one did."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        granted(forge.push(world.change()))
        if what != "open":
            granted(forge.open(OWN, "T", "D", []))
        head = world.heads()[OWN]
        method, path, write = WRITES[what]
        world.breaks(method, path, fault)
        if fault == "drop after" and what in {"open", "merge"}:  # it is looked at once more: something belongs to it
            granted(write(forge, head))
        else:
            unreachable(lambda: write(forge, head))
        again = write(world.forge(), head)
        granted(again)
        if what == "open":
            assert again.iid == 1
            assert len(world.people.list_all()) == 1
        if what == "merge":
            assert again.state is MergeRequestStatus.MERGED
        if what == "dashboard" and fault == "drop after":
            assert again.iid == 2


@pytest.mark.parametrize("path", ["git/trees", "git/commits", "git/refs"])
def test_a_push_whose_answer_is_lost_is_found_the_next_time(tmp_path: Path, path: str) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.breaks("POST", path, "drop after")
        assert "may have been carried out" in unreachable(lambda: forge.push(world.change())).message
        head = granted(forge.push(world.change()))
        assert world.heads()[OWN] == head
        world.breaks("PATCH", f"git/refs/heads/{OWN}", "drop after")
        unreachable(lambda: forge.push(world.change("ref: three\n", expected=head)))
        assert granted(forge.push(world.change("ref: three\n", expected=head))) == world.heads()[OWN]


@pytest.mark.parametrize("code", [405, 409, 422])
def test_an_ordinary_no_is_a_value_with_githubs_words(tmp_path: Path, code: int) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        head = world.opened(forge).head_sha
        for method, path, write in WRITES.values():
            if path == "pulls":
                continue
            said = {"message": "Not now", "errors": [{"message": "a\nb"}, "c"]}
            world.breaks(method, path, Answer(code, said))
            assert "Not now: a b; c" in refused(write(forge, head))


def test_a_missing_permission_is_named(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        answer = status(403, "Resource not accessible", X_Accepted_GitHub_Permissions="issues=write")
        world.breaks("POST", "issues/1/comments", answer)
        assert "it needs issues=write" in refused(forge.comment(Thread.MERGE_REQUEST, 1, "x"))
        world.breaks("GET", "pulls", answer)
        error = unreachable(forge.open_merge_requests)
        assert "it needs issues=write" in error.message
        assert "permissions" in error.hint


def test_a_wrong_token_says_so_and_is_never_shown(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        wrong = "ghp-wrong-and-secret"
        with pytest.raises(ServerUnreachable) as caught:
            world.forge(environ={"SAASBOT_TOKEN": wrong}).open_merge_requests()
        assert "401 Bad credentials" in caught.value.message
        assert "check the token" in caught.value.hint
        world.breaks("GET", "pulls", status(400, f"what is {wrong}?"))
        with pytest.raises(ServerUnreachable) as caught:
            world.forge().open_merge_requests()
        assert wrong not in caught.value.message


def test_a_repository_that_is_not_there_says_what_to_check(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        error = unreachable(world.forge(project="acme/other").open_merge_requests)
        assert "404 Not Found" in error.message
        assert "project" in error.hint


def test_a_repository_that_moved_is_read_on_but_not_written(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge()
        world.opened(forge)
        moved = {"Location": f"{world.server.web}{API}/pulls?state=open&base=main&per_page=100"}
        world.breaks("GET", "pulls", Answer(301, {"message": "Moved"}, moved))
        assert len(forge.open_merge_requests()) == 1
        world.breaks("POST", "issues/1/comments", Answer(307, {"message": "Moved"}, {"Location": "/elsewhere"}))
        error = unreachable(lambda: forge.comment(Thread.MERGE_REQUEST, 1, "x"))
        assert "forge.project" in error.hint


def test_an_answer_that_is_no_json_names_the_address(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        world.breaks("GET", "pulls", Answer(200, b"<html>log in</html>", {"Content-Type": "text/html"}))
        error = unreachable(world.forge().open_merge_requests)
        assert "no JSON" in error.message
        assert "forge.url" in error.hint


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        forge = world.forge(url="http://127.0.0.1:9")
    error = unreachable(forge.me)
    assert "127.0.0.1:9: GET /user" in error.message


def test_pages_are_followed_to_the_last(tmp_path: Path) -> None:
    with github_world(tmp_path) as world:
        for number in range(7):
            world.branch(f"b{number}", {f"f{number}": "x"})
            world.people.open_as("bob", f"b{number}", "T")
        found = api(world).pages("/repos/acme/config/pulls", per_page=3, direction="asc")
        assert [pull["number"] for pull in found] == [1, 2, 3, 4, 5, 6, 7]
        assert [each.query.count("page=") for each in world.server.requests] == [1, 2, 2]


def test_threads_share_one_client(tmp_path: Path) -> None:
    """PyGithub's own connection would mix up their requests."""
    with github_world(tmp_path) as world:
        forge = world.forge()
        expected = {"alice": "owner", "bob": "developer", "tina": "guest", "stranger": "none"}
        found: list[tuple[str, str]] = []
        users = [*expected] * 10
        threads = [threading.Thread(target=lambda user=user: found.append((user, forge.role(user)))) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == sorted((user, expected[user]) for user in users)


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("", PUBLIC),
        ("https://api.github.com/", PUBLIC),
        ("https://github.com", PUBLIC),
        ("https://github.example.com", "https://github.example.com/api/v3"),
        ("https://github.example.com/api/v3/", "https://github.example.com/api/v3"),
        ("https://api.tenant.ghe.com", "https://api.tenant.ghe.com"),
    ],
)
def test_the_address_of_the_api(given: str, root: str) -> None:
    assert api_root(given) == root
