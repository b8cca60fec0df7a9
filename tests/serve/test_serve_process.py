"""`saasbot serve` as a process, and as a processor: from an event to what the bot does, and from SIGTERM to the end."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from worlds import planted
from worlds import webhook_events as events
from worlds.forge_world import TOKEN as BOT
from worlds.forge_world import forge_world
from worlds.redis_server import redis_server
from worlds.served import SECRET, SETTINGS, TOKEN, bearer, secrets, serving, signed, soon
from worlds.world import STAGE, NewWorld, World

MORE = SETTINGS + 'dashboard: {title: "Deployments"}\n'


@contextmanager
def process(world: World, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str], list[str]]]:
    """`saasbot serve` in a process of its own: its address, itself, and the lines that it has written so far."""
    with secrets():
        begun = world.process("--log-format", "json", "serve", "--port", "0", *arguments)
    assert begun.stderr is not None
    lines: list[str] = []
    try:
        while True:
            lines.append(begun.stderr.readline())
            assert lines[-1], "it ended before it served"
            url = json.loads(lines[-1]).get("url")
            if url:
                break
        yield url, begun, lines
    finally:
        begun.kill()
        begun.wait()
        begun.stderr.close()
        assert begun.stdout is not None
        begun.stdout.close()


def test_it_says_where_it_serves_keeps_its_secrets_and_ends_when_asked(new_world: NewWorld) -> None:
    world = new_world(more=SETTINGS)
    with process(world, "--process") as (url, begun, lines):
        soon(lambda: requests.get(f"{url}/healthz", timeout=5).ok)
        body = json.dumps(events.github_push()).encode()
        for path in (f"/hooks/gitlab?token={SECRET}", f"/{TOKEN}", f"/x%1b[31m%0a{SECRET}/healing-jobs"):
            requests.post(url + path, data=body, headers=bearer() | {"X-Gitlab-Token": SECRET}, timeout=20)
        signature = {"X-Hub-Signature-256": signed(body), "X-GitHub-Event": "push"}
        assert requests.post(f"{url}/hooks/github", data=body, headers=signature, timeout=20).status_code == 202
        begun.send_signal(signal.SIGTERM)
        out, err = begun.communicate(timeout=20)
        assert (begun.returncode, out) == (0, "")
    told = [json.loads(line) for line in [*lines, *err.splitlines()]]
    planted.printed("its log", str(told))
    assert "\x1b" not in str(told)
    statuses = {line["path"]: line["status"] for line in told if "path" in line}
    assert statuses["/hooks/gitlab"] == 202
    assert statuses["/[secret]"] == 404
    assert len(statuses) == 4
    assert any(line.get("subject") == "collect" and line["ending"] == "wait" for line in told)


def test_what_is_begun_is_finished_when_it_is_asked_to_end(new_world: NewWorld) -> None:
    world = new_world(more=SETTINGS)
    world.one_pass()
    world.commit()
    with process(world, "--process") as (_, begun, _lines):
        soon(lambda: world.state().targets[STAGE].run is not None)
        begun.send_signal(signal.SIGTERM)
        begun.communicate(timeout=20)
    assert begun.returncode == 0
    world.reconcile()
    run = world.state().targets[STAGE].run
    assert run is not None
    assert (run.status, (world.root / "log").read_text().count(run.key)) == ("succeeded", 1)


@pytest.mark.parametrize("kind", ["gitlab", "github"])
def test_a_comment_is_answered_a_moment_after_its_event(kind: str, tmp_path: Path) -> None:
    """The collector has looked, and would look again in twenty minutes: the event alone brings the processor to it."""
    now = datetime.now(UTC).replace(microsecond=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
        patch.setenv("SAASBOT_TOKEN", BOT)
        with forge_world(kind, tmp_path / "world", now=now, soak="0h", more=MORE) as world:  # type: ignore[arg-type]
            world.reconcile()
            world.commit()
            world.reconcile()
            iid = world.the_merge_request().iid
            with serving(world, process=True) as served:
                soon(lambda: "collect" in served.queued())
                text = "/saasbot hold the release party"
                world.people.comment_as("alice", iid, text)
                if kind == "gitlab":
                    answer = served.gitlab(events.gitlab_note(text, iid=iid), "1")
                else:
                    answer = served.github("issue_comment", events.github_comment(text, iid), "1")
                assert answer.json()["queued"] == [f"merge-request:!{iid}"]
                soon(
                    lambda: any(
                        "release party" in note.body for note in world.show(iid).notes if note.author == "saasbot"
                    )
                )


def test_nobody_works_what_nobody_would_see(new_world: NewWorld) -> None:
    world = new_world(more=SETTINGS)
    with process(world) as (url, _, lines):
        answer = requests.post(f"{url}/hooks/gitlab", json={}, headers={"X-Gitlab-Token": SECRET}, timeout=20)
        assert answer.status_code == 202, "at a local forge there is nothing to queue"
        assert requests.get(f"{url}/readyz", timeout=20).json()["parts"] == {"state": "reached", "forge": "reached"}
    assert "nobody works the queue" in lines[0]


def test_an_event_is_not_taken_in_while_nobody_works_the_queue(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
        patch.setenv("SAASBOT_TOKEN", BOT)
        with forge_world("gitlab", tmp_path / "world", more=MORE) as world:
            pass
        with serving(world, queue=None) as served:
            for _ in range(2):
                answer = served.gitlab(events.gitlab_push(), "the same")
                assert answer.status_code == 503
                assert answer.json()["msg"].startswith("nobody works the queue: ")


def test_processors_elsewhere_find_what_was_queued_in_redis(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, redis_server(tmp_path) as redis:
        patch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
        patch.setenv("SAASBOT_TOKEN", BOT)
        more = f"{MORE}queue: {{url: '{redis.url}', prefix: served}}\n"
        with forge_world("gitlab", tmp_path / "world", more=more) as world, serving(world) as served:
            assert served.gitlab(events.gitlab_pipeline(9), "1").json()["queued"] == ["merge-request:!9", "collect"]
            elsewhere = redis.queue("served")
            assert {item.subject for item in elsewhere.items()} == {"merge-request:!9", "collect"}
            assert served.get("/readyz").json()["parts"] == dict.fromkeys(("queue", "state", "forge"), "reached")
            redis.stop()
            answer = served.gitlab(events.gitlab_push(), "2")
            assert (answer.status_code, set(answer.json())) == (503, {"msg"})
            redis.start()
            assert served.gitlab(events.gitlab_push(), "2").json()["queued"] == ["collect"], (
                "it was not taken in before"
            )


def test_wrong_usage(new_world: NewWorld) -> None:
    world = new_world(more=SETTINGS)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = world.saasbot("serve", "--port", str(taken.getsockname()[1]), now=False)
    assert (ended.code, ended.out) == (2, "")
    assert re.match(r"saasbot: cannot listen at 127.0.0.1 port \d+: .*in use", ended.err)
    ended = world.saasbot("serve", "--host", "no.such.host.example", now=False)
    assert (ended.code, ended.err.partition(":")[0]) == (2, "saasbot")
    settings = world.config / "saasbot.yml"
    settings.write_text(settings.read_text() + "queue: {url: 'redis://127.0.0.1:1'}\n")
    ended = world.saasbot("serve", "--process", now=False)
    assert (ended.code, ended.err.splitlines()[1]) == (2, "  start `saasbot process`")
