"""Two collectors, eight processors, 2,000 subjects, some killed, Redis restarted: nothing is lost or made twice."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rq import Queue as RqQueue
from worlds.queue_nursery import NAME, crew
from worlds.redis_server import RedisServer

from bot.model.work import Due
from bot.ports import Until

COUNT, PROCESSORS, KILLS = 2000, 8, 12


def until(true: Callable[[], object], seconds: float = 60.0, every: float = 0.05) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(every)


def poisoned(server: RedisServer) -> list[str]:
    """Put things into the queue that nobody can make anything of; the subjects they are seen as."""
    queue, client = server.queue(NAME), server.client
    now = datetime.now(UTC) - timedelta(hours=1)
    queue.add(Due("process_issue:RHEL-1", now))
    queue.add(Due("target:corrupt/t/1", now))
    client.hset("rq:job:crowd_3Atarget_3Acorrupt_2Ft_2F1", "meta", b"\x80\x04 no JSON")
    client.zadd(queue.store.waiting, {"a raw member": now.timestamp()})
    RqQueue(NAME, connection=client).enqueue("somebody.elses.function", job_id="somebody-elses-job")
    return ["a raw member", "process_issue:RHEL-1", "somebody-elses-job", "target:corrupt/t/1"]


def test_every_subject_is_handled_once_whoever_is_killed(tmp_path: Path) -> None:
    """The long one: about 15 seconds on two cores with nothing else to do."""
    random.seed(7)
    with crew(tmp_path, lease=2.0) as world:
        poison = poisoned(world.server)
        collectors = [world.order(f"collect {COUNT}") for _ in range(2)]
        hands = [world.order(f"process {Until.STOPPED}") for _ in range(PROCESSORS)]
        for kill in range(KILLS):
            share = (kill + 1) * COUNT // (KILLS + 4)
            until(lambda share=share: len(world.lines("made")) >= share)  # type: ignore[misc] # bound on purpose
            hands.remove(victim := random.choice(hands))  # noqa: S311 - no secret
            assert world.end(victim, signal.SIGKILL) == -signal.SIGKILL
            if kill == KILLS // 2:  # before the next one is born, which would be told that there is no server
                world.server.stop()
                world.server.start()
            hands.append(world.order(f"process {Until.STOPPED}"))
        assert [world.order(f"wait {collector}") for collector in collectors] == [0, 0], world.told()[-4000:]
        queue = world.server.queue(NAME)
        until(lambda: not [item for item in queue.items() if not item.dead], every=0.3)
        assert {world.end(hand, signal.SIGTERM) for hand in hands} == {0}, world.told()[-4000:]
        made = world.lines("made")
        assert {path.name for path in (world.folder / "effects").iterdir()} == set(map(str, range(COUNT)))
        assert len(set(made)) == len(made)
        assert list((world.folder / "overlaps").iterdir()) == []
        assert sorted(item.subject for item in queue.items()) == poison
        assert sum(map(int, world.lines("added"))) >= COUNT
        assert "it is tried again in" in world.told()


def test_a_killed_processors_subject_comes_back_after_its_lease_and_is_handled_once_more(tmp_path: Path) -> None:
    with crew(tmp_path, lease=1.0) as world:
        queue = world.server.queue(NAME)
        queue.add(Due("target:crowd/t/7", datetime.now(UTC)))
        (world.folder / "hang").touch()
        hands = [world.order(f"process {Until.STOPPED}") for _ in range(2)]
        until((world.folder / "hangs").exists)
        (world.folder / "hang").unlink()
        taken = queue.items()
        time.sleep(1.5)  # longer than the lease: it is renewed as long as somebody is at it
        assert [item.taken for item in taken] == [item.taken for item in queue.items()] == [True]
        for hand in hands:
            world.end(hand, signal.SIGKILL)
        world.order(f"process {Until.STOPPED}")
        until(lambda: not queue.items())
        assert world.lines("made") == ["target:crowd/t/7"]
        assert list((world.folder / "overlaps").iterdir()) == []
        assert "target:crowd/t/7: its processor is gone; it is looked at again" in world.told()
