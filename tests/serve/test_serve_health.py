"""Health, readiness, metrics and the status page: what they say while all is well, and when something is away."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from worlds.forge_world import TOKEN as BOT
from worlds.forge_world import forge_world
from worlds.served import SETTINGS, Served, serving, soon
from worlds.world import PROD, STAGE, NewWorld, World

from bot.errors import ServerUnreachable
from bot.serve.answers import Refusal
from bot.serve.desk import MOST_KNOWN, Deliveries, Turns
from bot.serve.looking import Looking, Trouble


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that logs what it logs without `-v`."""
    root = tmp_path_factory.mktemp("serve-health")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(root / "cache"))
        world = World(root / "world", more=SETTINGS)
        world.reconcile()
        with serving(world) as found:
            yield found


def test_it_lives(quiet: Served) -> None:
    answer = quiet.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True, "msg": "alive"})


def test_a_processor_that_has_ended_is_a_reason_to_start_anew(new_world: NewWorld) -> None:
    with serving(new_world(more=SETTINGS), dead=lambda: "the processor has ended: see the log") as served:
        answer = served.get("/healthz")
    assert (answer.status_code, answer.json()["alive"]) == (503, False)


def test_it_is_ready_when_everything_answers(quiet: Served) -> None:
    answer = quiet.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert set(answer.json()["parts"].values()) == {"reached"}


def test_probes_are_told_with_v_only(quiet: Served) -> None:
    quiet.get("/healthz"), quiet.get("/metrics"), quiet.get("/nowhere?token=x")
    end = time.monotonic() + 10  # the line is written when the answer is out already
    while "/nowhere" not in (paths := [line["path"] for line in quiet.log.kept if "path" in line]):
        assert time.monotonic() < end
    assert not {"/healthz", "/readyz", "/metrics"} & set(paths)
    assert "token=x" not in str(quiet.log.kept)


def test_which_part_is_away_is_said_and_no_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("serve-ready")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAASBOT_CACHE_DIR", str(root / "cache"))
        patch.setenv("SAASBOT_TOKEN", BOT)
        with forge_world("gitlab", root / "world", more=SETTINGS) as world:
            pass  # its server ends here
        with serving(world) as served:
            answer = served.get("/readyz")
            assert (answer.status_code, answer.json()) == (
                503,
                {"ready": False, "parts": {"queue": "reached", "state": "reached", "forge": "unreachable"}},
            )
            soon(lambda: any("not ready: forge: " in str(line["message"]) for line in served.log.kept))


def test_a_part_that_does_not_answer_holds_nobody_up(new_world: NewWorld) -> None:
    release = threading.Event()
    parts = {"forge": Looking(lambda: str(release.wait(20)), 10), "state": Looking(lambda: "reached", 10)}
    with serving(new_world(more=SETTINGS), parts=parts) as served:
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: served.get("/readyz"), range(4)))
        assert time.monotonic() - began < 10
        assert served.get("/healthz").status_code == 200
        release.set()
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json()["parts"] == {"forge": "unreachable", "state": "reached"}


def test_metrics_are_those_of_the_statefile(quiet: Served) -> None:
    answer = quiet.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert 'saasbot_targets{run_status="succeeded"} ' in answer.text
    assert answer.text.endswith("# EOF\n")


def test_metrics_of_a_statefile_that_cannot_be_read(new_world: NewWorld) -> None:
    world = new_world(more=SETTINGS)
    (world.root / "state.json").write_text("{")
    with serving(world) as served:
        for path in ("/metrics", "/"):
            answer = served.get(path)
            assert (answer.status_code, set(answer.json())) == (503, {"msg"})


def test_the_status_page_is_that_of_the_command(quiet: Served) -> None:
    answer = quiet.get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert STAGE.rpartition("/")[2] in answer.text
    assert PROD.rpartition("/")[2] in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_many_visitors_look_once() -> None:
    asked: list[int] = []

    def look() -> str:
        asked.append(1)
        time.sleep(0.2)
        return "<p>all</p>"

    page = Looking(look, 60)

    async def visits() -> list[Any]:
        return await asyncio.gather(*(page.within(5) for _ in range(50)))

    assert set(asyncio.run(visits())) == {"<p>all</p>"}
    assert len(asked) == 1


def test_an_old_answer_is_better_than_none_for_a_page_but_not_for_readiness() -> None:
    slow = threading.Event()
    answers = iter(["first"])
    looking = Looking(lambda: next(answers, None) or str(slow.wait(20)), 0.05)
    assert asyncio.run(looking.within(5)) == "first"
    time.sleep(0.06)
    assert asyncio.run(looking.within(0.05)) == "first"
    assert isinstance(asyncio.run(looking.now(0.05)), Trouble)
    slow.set()


def test_a_look_that_fails_is_made_again() -> None:
    tries: list[int] = []

    def look() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ServerUnreachable("the forge is away")
        return "there"

    looking = Looking(look, 0.0001)
    assert asyncio.run(looking.within(1)) == Trouble("the forge is away")
    time.sleep(0.001)
    while asyncio.run(looking.within(1)) != "there":
        assert len(tries) < 10


def test_a_bug_is_one_line_here_and_there(new_world: NewWorld) -> None:
    with serving(new_world(more=SETTINGS), token=lambda: str(1 // 0)) as served:
        answer = served.post("/healing-jobs")
        assert (answer.status_code, answer.json()) == (500, {"msg": "internal error"})
        assert served.get("/healthz").status_code == 200
    (line,) = (line for line in served.log.kept if line["level"] == "error")
    assert line["message"] == "internal error: ZeroDivisionError: integer division or modulo by zero"


def test_a_turn_is_not_waited_for_for_ever() -> None:
    turns = Turns()
    with turns.taken(), pytest.raises(Refusal) as refused, turns.asked(0.01):
        pass
    assert (refused.value.status_code, refused.value.detail) == (503, "another pass is at work")
    with turns.asked(0.01):
        pass


def test_as_many_deliveries_are_remembered_as_a_forge_may_repeat() -> None:
    known = Deliveries()
    for number in range(MOST_KNOWN + 1):
        known.keep(str(number))
    assert [known.known(str(number)) for number in (0, 1, MOST_KNOWN)] == [False, True, True]
