"""Webhooks of both forges: who may, what is queued, what comes twice, and what is no event at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import webhook_events as events
from worlds.forge_world import TOKEN as BOT
from worlds.forge_world import Forge, forge_world
from worlds.served import SECRET, SETTINGS, Served, serving, signed, soon

from bot.serve import bodies

MORE = SETTINGS + 'commands: {poll: false}\ndashboard: {title: "Deployments"}\n'
SAID = "/saasbot hold"
COLLECT = "collect"


def at(kind: Forge, factory: pytest.TempPathFactory, **changes: Any) -> Iterator[Served]:
    root = factory.mktemp(f"hooks-{kind}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(root / "cache"))
        patch.setenv("SAASBOT_TOKEN", BOT)
        with forge_world(kind, root / "world", more=MORE) as world, serving(world, **changes) as found:
            yield found


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from at("gitlab", tmp_path_factory)


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from at("github", tmp_path_factory)


Send = Callable[..., Any]


@pytest.fixture(params=["gitlab", "github"])
def hook(request: pytest.FixtureRequest) -> Iterator[tuple[Served, Send]]:
    """A server, and how a comment is sent there."""
    served: Served = request.getfixturevalue(request.param)

    def send(text: str = SAID, key: str = "", **headers: str) -> Any:
        if request.param == "gitlab":
            return served.gitlab(events.gitlab_note(text), key, **headers)
        return served.github("issue_comment", events.github_comment(text), key, **headers)

    yield served, send
    served.emptied()


GITLAB = {
    "a comment": (events.gitlab_note(SAID), ["merge-request:!7"]),
    "a comment that mentions": (events.gitlab_note("@saasbot hold"), ["merge-request:!7"]),
    "a comment on the dashboard": (events.gitlab_note(SAID, "Issue", 3), ["dashboard"]),
    "a merge request": (events.gitlab_merge_request(8), ["merge-request:!8"]),
    "a merge request that was merged": (events.gitlab_merge_request(8, "merge"), ["merge-request:!8"]),
    "a push to the config branch": (events.gitlab_push(), [COLLECT]),
    "a pipeline of a branch": (events.gitlab_pipeline(), [COLLECT]),
    "a pipeline of a merge request": (events.gitlab_pipeline(9), ["merge-request:!9", COLLECT]),
    "a job": (events.gitlab_pipeline(kind="build"), [COLLECT]),
    "talk": (events.gitlab_note("What a nice version."), []),
    "a comment on a commit": (events.gitlab_note(SAID, "Commit"), []),
    "a note of GitLab": (
        events.gitlab_note(SAID) | {"object_attributes": {"noteable_type": "Issue", "system": True}},
        [],
    ),
    "a merge request into another branch": (events.gitlab_merge_request(8, target="next"), []),
    "a merge request without attributes": ({**events.gitlab_merge_request(), "object_attributes": []}, []),
    "a push to another branch": (events.gitlab_push("saasbot/svc"), []),
    "a tag": (events.gitlab_push() | {"object_kind": "tag_push"}, []),
    "an event without a project": (events.gitlab_push() | {"project": None}, []),
    "a comment without attributes": (events.gitlab_note(SAID, object_attributes=None), []),
    "a comment without a number": (events.gitlab_note(SAID, merge_request={}), []),
    "nothing": ({}, []),
}


@pytest.mark.parametrize("what", GITLAB)
def test_what_gitlab_tells_becomes_subjects(gitlab: Served, what: str) -> None:
    payload, expected = GITLAB[what]
    answer = gitlab.gitlab(payload)
    assert (answer.status_code, answer.json()["queued"]) == (202, expected)
    assert set(gitlab.queued()) == set(expected)
    assert bool(expected) is (answer.json()["msg"] == "queued")
    gitlab.emptied()


@pytest.mark.parametrize("what", [name for name, (_, queued) in GITLAB.items() if queued])
def test_other_projects_of_gitlab_are_none_of_our_business(gitlab: Served, what: str) -> None:
    other = events.GITLAB_PROJECT | {"path_with_namespace": "acme/other", "id": 2}
    answer = gitlab.gitlab(GITLAB[what][0] | {"project": other})
    assert (answer.status_code, answer.json()["queued"], gitlab.queued()) == (202, [], [])
    assert "acme/other, not in acme/config" in answer.json()["msg"]


GITHUB = {
    "a comment": ("issue_comment", events.github_comment(SAID), ["merge-request:!7"]),
    "a comment on the dashboard": ("issue_comment", events.github_comment(SAID, 3, pull=False), ["dashboard"]),
    "a pull request": ("pull_request", events.github_pull(8), ["merge-request:!8"]),
    "a review": ("pull_request_review", events.github_pull(8, "submitted", review={}), ["merge-request:!8"]),
    "a push to the config branch": ("push", events.github_push(), [COLLECT]),
    "a check": (
        "check_run",
        events.github_check("check_run", 8, 9, 8),
        ["merge-request:!8", "merge-request:!9", COLLECT],
    ),
    "a suite": ("check_suite", events.github_check("check_suite"), [COLLECT]),
    "a workflow": ("workflow_run", events.github_check("workflow_run", 8), ["merge-request:!8", COLLECT]),
    "a status": ("status", events.github_status(), [COLLECT]),
    "talk": ("issue_comment", events.github_comment("What a nice version."), []),
    "a comment that was edited": ("issue_comment", events.github_comment(SAID, action="edited"), []),
    "a comment without a number": ("issue_comment", events.github_comment(SAID) | {"issue": {}}, []),
    "a pull request into another branch": ("pull_request", events.github_pull(8, base="next"), []),
    "a pull request without a base": ("pull_request", events.github_pull() | {"pull_request": {"number": 1}}, []),
    "no pull request": ("pull_request", events.github_pull() | {"pull_request": None}, []),
    "a push to another branch": ("push", events.github_push("next"), []),
    "a star": ("star", events.github_push(), []),
    "an event without a repository": ("push", events.github_push() | {"repository": None}, []),
    "a comment under another name": ("", events.github_comment(SAID), []),
    "a comment of nothing": ("issue_comment", {}, []),
}


@pytest.mark.parametrize("what", GITHUB)
def test_what_github_tells_becomes_subjects(github: Served, what: str) -> None:
    kind, payload, expected = GITHUB[what]
    answer = github.github(kind, payload)
    assert (answer.status_code, answer.json()["queued"]) == (202, expected)
    assert set(github.queued()) == set(expected)
    github.emptied()


@pytest.mark.parametrize("what", [name for name, (_, _, queued) in GITHUB.items() if queued])
def test_other_repositories_are_none_of_our_business(github: Served, what: str) -> None:
    kind, payload, _ = GITHUB[what]
    other = events.GITHUB_REPOSITORY | {"full_name": "acme/other", "id": 2}
    answer = github.github(kind, payload | {"repository": other})
    assert (answer.status_code, answer.json()["queued"], github.queued()) == (202, [], [])


def test_a_check_with_odd_pull_requests_is_a_check(github: Served) -> None:
    for odd in ({"check_run": None}, {"check_run": {"pull_requests": None}}, {"check_run": {"pull_requests": [1, {}]}}):
        answer = github.github("check_run", events.github_check("check_run") | odd)
        assert (answer.status_code, answer.json()["queued"]) == (202, [COLLECT])
    github.emptied()


def test_a_ping_is_answered(github: Served) -> None:
    answer = github.github("ping", events.github_ping())
    assert (answer.status_code, answer.json()) == (202, {"msg": "the hook is in place", "queued": []})


def test_the_events_of_another_forge_are_not_read(gitlab: Served, github: Served) -> None:
    assert gitlab.github("push", events.github_push()).json() == {"msg": "the forge is a gitlab one", "queued": []}
    assert github.gitlab(events.gitlab_push()).json() == {"msg": "the forge is a github one", "queued": []}


def test_what_comes_twice_is_queued_once(hook: tuple[Served, Send]) -> None:
    served, send = hook
    assert send(key="one").json()["queued"] == ["merge-request:!7"]
    served.emptied()
    again = send(key="one")
    assert (again.status_code, again.json()) == (202, {"msg": "this delivery was taken in before", "queued": []})
    assert served.queued() == []
    assert send(key="two").json()["queued"] == ["merge-request:!7"]
    assert send().json()["queued"] == send().json()["queued"] == ["merge-request:!7"], "without an id it is anew"


def test_gitlab_repeats_under_the_same_key_only(gitlab: Served) -> None:
    note = events.gitlab_note(SAID)
    assert gitlab.gitlab(note, "k1", **{"X-Gitlab-Event-UUID": "u"}).json()["queued"]
    assert gitlab.gitlab(note, "k2", **{"X-Gitlab-Event-UUID": "u"}).json()["queued"], "one event follows from another"
    assert gitlab.gitlab(note, **{"X-Gitlab-Event-UUID": "v"}).json()["queued"]
    assert not gitlab.gitlab(note, **{"X-Gitlab-Event-UUID": "v"}).json()["queued"]
    gitlab.emptied()


WRONG = [None, "", "x", SECRET[:-1], f"{SECRET}x", SECRET.upper(), "\xe9\xff"]


@pytest.mark.parametrize("given", WRONG, ids=range(len(WRONG)))
def test_without_gitlabs_token_nothing_is_done(gitlab: Served, given: str | None) -> None:
    headers = {} if given is None else {"X-Gitlab-Token": given.encode("latin-1")}
    answer = gitlab.post("/hooks/gitlab", json=events.gitlab_note(SAID), headers=headers)
    assert (answer.status_code, answer.json(), gitlab.queued()) == (
        401,
        {"msg": "the signature is missing or wrong"},
        [],
    )


def test_without_githubs_signature_nothing_is_done(github: Served) -> None:
    body = json.dumps(events.github_comment(SAID)).encode()
    right = signed(body)
    wrong = [
        None,
        "",
        right[:-1],
        right.removeprefix("sha256="),
        right.replace("sha256", "sha1"),
        right.upper(),
        SECRET,
    ]
    wrong += [signed(body, "other"), signed(body + b" "), "\xe9"]
    for value in wrong:
        headers = {} if value is None else {"X-Hub-Signature-256": value.encode("latin-1")}
        answer = github.post("/hooks/github", data=body, headers={"X-GitHub-Event": "issue_comment", **headers})
        assert (answer.status_code, github.queued()) == (401, []), value


def test_a_signature_holds_for_the_bytes_as_they_came(github: Served) -> None:
    body = json.dumps(events.github_push(), indent=3).encode()
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": signed(body)}
    assert github.post("/hooks/github", data=body, headers=headers).json()["queued"] == [COLLECT]
    other = json.dumps(events.github_push()).encode()
    assert github.post("/hooks/github", data=other, headers=headers).status_code == 401
    github.emptied()


def test_a_wrong_delivery_does_not_use_up_its_id(hook: tuple[Served, Send]) -> None:
    served, send = hook
    wrong = {"X-Gitlab-Token": "x", "X-Hub-Signature-256": "x"}
    assert send(key="kept", **wrong).status_code == 401
    assert send(key="kept").json()["queued"] == ["merge-request:!7"]
    assert served.queued() == ["merge-request:!7"]


BROKEN = [b"", b"{", b"[]", b"\xff\xfe", b"null", b'"event"', b"[" * 100_000, b'{"a": ' * 50_000, b"1" * 5000]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_event_is_said_to_be_none(gitlab: Served, github: Served, body: bytes) -> None:
    for answer in (gitlab.gitlab(body), github.github("push", body)):
        assert answer.status_code == 400
        assert answer.json()["msg"].startswith("the payload is not ")


def test_a_form_is_refused_with_advice(hook: tuple[Served, Send]) -> None:
    _, send = hook
    answer = send(**{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["msg"]


def test_a_body_that_is_too_long_is_not_read(hook: tuple[Served, Send]) -> None:
    served, send = hook
    assert send("/saasbot hold " + "x" * (bodies.MOST - 4000)).status_code == 202
    served.emptied()
    for more in (b"", b"\r\nContent-Length: %d" % (bodies.MOST + 1), b"\r\nContent-Length: " + b"9" * 30):
        assert answered(served, more) in (400, 401, 413)
    assert served.queued() == []


def answered(served: Served, header: bytes) -> int:
    """The status that a delivery is answered with whose head says this of its length, and whose body never ends."""
    path = b"/hooks/gitlab" if served.desk.job.settings.forge.provider == "gitlab" else b"/hooks/github"
    signature = b"X-Gitlab-Token: " + SECRET.encode() + b"\r\nX-Hub-Signature-256: sha256=0"
    length = header or b"\r\nTransfer-Encoding: chunked"
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 20) as client:
        client.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + signature + length + b"\r\n\r\n")
        if not header:
            chunk = b"%x\r\n" % 65536 + b" " * 65536 + b"\r\n"
            try:
                for _ in range(bodies.MOST // 65536 + 2):
                    client.sendall(chunk)
            except OSError:
                pass  # it has said no already
        return int(client.makefile("rb").readline().split()[1])


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    for served in at("gitlab", tmp_path_factory, patience=0.1):
        assert answered(served, b"\r\nContent-Length: 100") == 408
        host, port = served.url.removeprefix("http://").split(":")
        head = b"POST /hooks/gitlab HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nX-Gitlab-Token: "
        with socket.create_connection((host, int(port)), 20) as client:
            client.sendall(head + SECRET.encode() + b"\r\n\r\n{")
        soon(lambda: any(line.get("status") == 400 for line in served.log.kept))  # noqa: B023 - called at once
        assert served.get("/healthz").status_code == 200, "one that hangs up is nobody's trouble"


def test_without_a_secret_they_are_closed(tmp_path_factory: pytest.TempPathFactory) -> None:
    for served in at("gitlab", tmp_path_factory, webhook_secret=lambda: None):
        for answer in (served.gitlab(events.gitlab_push()), served.github("push", events.github_push())):
            assert (answer.status_code, answer.json()["msg"].split(":")[0]) == (503, "not configured")
        assert served.queued() == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_event_of_whatever_shape_breaks_it(gitlab: Served, github: Served, data: st.DataObject) -> None:
    """Parts of a real event are replaced by anything."""
    kind, real, _ = data.draw(st.sampled_from(list(GITHUB.values())))
    mine = data.draw(st.sampled_from([payload for payload, _ in GITLAB.values()]))
    answers = []
    for payload in (mine, real):
        odd = json.loads(json.dumps(payload))
        for _ in range(data.draw(st.integers(1, 3))):
            place = odd
            while isinstance(place, dict) and place:
                key = data.draw(st.sampled_from(sorted(place)))
                if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
                    place[key] = data.draw(json_values)
                    break
                place = place[key]
        answers.append(gitlab.gitlab(odd) if payload is mine else github.github(kind, odd))
    assert [answer.status_code for answer in answers] == [202, 202]
    assert all(item.dead == "" for served in (gitlab, github) for item in served.desk.queue.items())  # type: ignore[union-attr]
    gitlab.emptied()
    github.emptied()
