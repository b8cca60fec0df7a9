"""The fake GitLab's pages and faults, and that it tells on who breaks the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from worlds.contract import Contract, NoSpecs, specs_folder
from worlds.fake_gitlab_world import PROJECT, GitLabWorld, gitlab_world
from worlds.fake_http import Answer, Fault


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GitLabWorld]:
    """A server with a first commit, and a checkout."""
    with gitlab_world(tmp_path) as made:
        yield made


def test_what_the_client_has_already_is_not_sent_again(world: GitLabWorld) -> None:
    first = world.session.get(f"{world.server.url}/api/v4/user", timeout=10)
    headers = {"If-None-Match": first.headers["ETag"]}
    again = world.session.get(f"{world.server.url}/api/v4/user", headers=headers, timeout=10)
    assert (again.status_code, again.content) == (304, b"")


def test_lists_come_in_pages(world: GitLabWorld) -> None:
    for number in range(5):
        world.commit(f"saasbot/{number}", f"{number}\n")
        world.opens(f"saasbot/{number}")
    response = world.session.get(
        f"{world.server.url}/api/v4/{PROJECT}/merge_requests", params={"per_page": 2, "page": 2}, timeout=10
    )
    assert [found["iid"] for found in response.json()] == [3, 2]
    assert {response.headers[f"X-{name}"] for name in ("Next-Page", "Total-Pages")} == {"3"}
    following = world.session.get(response.links["next"]["url"], timeout=10).json()
    assert [found["iid"] for found in following] == [1]
    assert len(world.listed(source_branch="saasbot/3", author_username="saasbot")) == 1


@pytest.mark.parametrize("acted", [False, True], ids=["before", "after"])
def test_a_lost_connection_may_have_acted_or_not(world: GitLabWorld, acted: bool) -> None:
    world.commit("change", "two\n")
    world.opens()
    word: Any = "drop after" if acted else "drop before"
    world.server.faults.append(Fault(("POST", r".*/notes"), word))
    with pytest.raises(requests.ConnectionError):
        world.ask("POST", f"{PROJECT}/merge_requests/1/notes", json={"body": "hello"})
    assert len(world.notes()) == acted
    assert world.server.faults == []


def test_faults_answer_wait_and_tell_old_news(world: GitLabWorld) -> None:
    world.server.faults.append(
        Fault(("GET", r"/api/v4/user"), Answer(429, {"message": "slow"}, {"Retry-After": "1"}), 2)
    )
    world.server.faults.append(Fault(lambda request: request.path.endswith("/user"), 0.05))
    for status in (429, 429, 200):
        world.ask("GET", "user", status=status)
    before = world.listed()
    world.commit("change", "two\n")
    world.opens()
    world.server.faults.append(Fault(("GET", r".*/merge_requests"), "stale"))
    assert world.listed() == before == []
    assert len(world.listed()) == 1
    assert world.server.counts["GET", "/api/v4/user"] == 3
    assert [entry.status for entry in world.server.requests if entry.path == "/api/v4/user"] == [429, 429, 200]


WRONG: dict[str, Callable[[GitLabWorld], object]] = {
    "unknown query parameter 'target_brnch'": lambda world: world.listed(target_brnch="main"),
    "query parameter draft is 'maybe'": lambda world: world.listed(draft="maybe"),
    "body: .: Additional properties": lambda world: world.opens(labls="x"),
    'body: .: "title" is a required property': lambda world: world.ask(
        "POST", f"{PROJECT}/issues", status=400, json={"description": "x"}
    ),
    "the document has no such operation": lambda world: world.ask("GET", "projects/acme/config", status=404),
    "the fake does not serve this operation": lambda world: world.ask("GET", f"{PROJECT}/labels", status=404),
    "the fake does not honour 'milestone'": lambda world: world.listed(milestone="x"),
}


@pytest.mark.parametrize("problem", WRONG)
def test_a_wrong_request_is_told_on(world: GitLabWorld, problem: str) -> None:
    world.commit("change", "two\n")
    WRONG[problem](world)
    assert any(problem in violation for violation in world.server.violations), world.server.violations
    world.server.violations.clear()


def test_leaving_the_server_with_a_broken_contract_fails(tmp_path: Path) -> None:
    world = GitLabWorld(tmp_path)
    with pytest.raises(AssertionError, match="unknown query parameter 'nme'"), world.server:
        world.ask("GET", "users", params={"nme": "bob"})


ANSWERS: tuple[tuple[int, bytes, str], ...] = (
    (200, b'{"id": 1, "username": "bot", "avatar_url": null}', ""),
    (200, b'{"id": "one"}', "answer: id"),
    (200, b'{"user_name": "bot"}', "user_name"),
    (200, b"<html>", "no JSON"),
    (206, b"{}", "the document has only 200"),
    (418, b"{}", ""),
)


@pytest.mark.parametrize(("status", "body", "problem"), ANSWERS)
def test_answers_are_held_to_the_document(status: int, body: bytes, problem: str) -> None:
    contract = Contract("gitlab-openapi.json", "")
    found = contract.check_response("GET", "/api/v4/user", status, {"Content-Type": "application/json"}, body)
    assert (problem in found[0]) if problem else found == []


def test_a_missing_folder_of_documents_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_SPECS", str(tmp_path / "nowhere"))
    with pytest.raises(NoSpecs, match="SAASBOT_SPECS"):
        specs_folder()
