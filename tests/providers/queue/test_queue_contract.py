"""What every work queue does, in the process and in Redis alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from worlds import planted
from worlds.redis_server import RedisServer

from bot.errors import ServerUnreachable
from bot.model.work import Again, Attention, Done, Due, Ending, Failed, QueueItem, Wait
from bot.ports import Queue, Until
from bot.providers.clock import SystemClock
from bot.providers.queue.memory import MemoryQueue
from bot.providers.secrets import remember

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
PAST, LATER = NOW - MINUTE, NOW + 60 * MINUTE
A, B, C = "target:a/a/a", "target:b/b/b", "target:c/c/c"


@pytest.fixture(params=["memory", "redis"])
def queue(request: pytest.FixtureRequest) -> Queue:
    if request.param == "memory":
        return MemoryQueue(SystemClock())
    server: RedisServer = request.getfixturevalue("redis")
    return server.queue()


def drained(queue: Queue, handle: Callable[[QueueItem], Ending], until: Until = Until.DRAINED) -> int:
    return queue.work(handle, until=until, stopped=lambda: False)


def only(queue: Queue) -> QueueItem:
    (item,) = queue.items()
    return item


def test_a_subject_is_in_it_once_and_is_not_moved(queue: Queue) -> None:
    assert queue.add(Due(A, LATER, "first"))
    assert not queue.add(Due(A, PAST, "second"))
    assert only(queue) == QueueItem(A, LATER, text="first")


def test_items_stand_by_due_time_and_then_by_name_the_dead_last(queue: Queue) -> None:
    for subject, at in ((B, LATER), ("nobody:knows", PAST), (C, PAST), (A, LATER)):
        queue.add(Due(subject, at))
    assert [item.subject for item in queue.items()] == [C, A, B, "nobody:knows"]
    assert [item.dead for item in queue.items()][2:] == ["", "no such kind of subject is known to this release"]


def test_due_times_are_whole_seconds(queue: Queue) -> None:
    queue.add(Due(A, LATER + timedelta(microseconds=999_999)))
    assert only(queue).at == LATER


def test_what_is_asked_for_comes_forward_and_never_goes_back(queue: Queue) -> None:
    queue.add(Due(A, LATER, "its schedule"))
    queue.ask(Due(A, LATER + MINUTE, "too late"))
    assert only(queue) == QueueItem(A, LATER, text="its schedule")
    queue.ask(Due(A, PAST, "a push"))
    assert only(queue) == QueueItem(A, PAST, text="a push")


def test_what_is_asked_for_is_put_in(queue: Queue) -> None:
    queue.ask(Due(A, LATER, "a push"))
    assert only(queue) == QueueItem(A, LATER, text="a push")


def test_removing(queue: Queue) -> None:
    queue.add(Due(A, LATER))
    assert queue.remove(A)
    assert not queue.remove(A)
    assert queue.add(Due(A, PAST))
    assert only(queue).at == PAST


def test_clearing(queue: Queue) -> None:
    for subject in (A, B, "nobody:knows"):
        queue.add(Due(subject, LATER))
    assert queue.clear() == 3
    assert list(queue.items()) == []
    assert queue.clear() == 0


def test_the_earliest_is_taken_first_and_nothing_before_its_time(queue: Queue) -> None:
    for subject, at in ((A, NOW - MINUTE), (B, NOW - 2 * MINUTE), (C, LATER)):
        queue.add(Due(subject, at))
    seen: list[str] = []

    def handle(item: QueueItem) -> Ending:
        seen.append(item.subject)
        return Done("nothing to do")

    assert drained(queue, handle, Until.ONE) == 1
    assert seen == [B]
    assert drained(queue, handle) == 1
    assert seen == [B, A]
    assert drained(queue, handle, Until.ONE) == 0
    assert only(queue).subject == C


def test_what_is_handled_is_taken_and_stays(queue: Queue) -> None:
    queue.add(Due(A, PAST))
    queue.add(Due(B, LATER))
    seen: list[object] = []

    def handle(item: QueueItem) -> Ending:
        seen.extend((item.taken, [each.taken for each in queue.items()]))
        seen.extend((queue.add(Due(A, PAST)), queue.remove(A), queue.clear(), drained(queue, handle)))
        return Wait("later")

    drained(queue, handle)
    assert seen == [True, [True, False], False, False, 1, 0]
    assert (only(queue).subject, only(queue).taken) == (A, False)


@pytest.mark.parametrize("ending", [Done("done"), Attention("a person must look")])
def test_endings_after_which_it_leaves(queue: Queue, ending: Ending) -> None:
    queue.add(Due(A, PAST))
    assert drained(queue, lambda _: ending) == 1
    assert list(queue.items()) == []
    assert queue.add(Due(A, PAST))


def test_waiting(queue: Queue) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    queue.add(Due(A, PAST))
    assert drained(queue, lambda _: Wait("CI is running", 3 * MINUTE)) == 1
    item = only(queue)
    assert (item.text, item.attempts, item.agains, item.taken) == ("CI is running", 0, 0, False)
    assert timedelta(0) <= item.at - (began + 3 * MINUTE) < MINUTE


def test_again_is_bounded(queue: Queue) -> None:
    queue.add(Due(A, PAST))
    agains: list[int] = []

    def handle(item: QueueItem) -> Ending:
        agains.append(item.agains)
        return Again("it moved")

    assert drained(queue, handle) == 6
    assert agains == [0, 1, 2, 3, 4, 5]
    assert only(queue).at - NOW >= 20 * MINUTE


def test_one_that_is_looked_at_again_at_once_lets_others_go_first(queue: Queue) -> None:
    queue.add(Due(A, NOW - 2 * MINUTE))
    queue.add(Due(B, NOW - MINUTE))
    seen: list[str] = []

    def handle(item: QueueItem) -> Ending:
        seen.append(item.subject)
        return Again("it moved") if len(seen) == 1 else Done("done")

    drained(queue, handle)
    assert seen == [A, B, A]


def test_what_fails_rests_and_in_the_end_is_handed_over_for_a_person(queue: Queue) -> None:
    queue.add(Due(A, PAST))
    rests: list[timedelta] = []

    def handle(item: QueueItem) -> Ending:
        return Attention("five looks have failed") if item.attempts >= 5 else Failed(f"look {item.attempts}")

    for look in range(4):
        assert drained(queue, handle) == 1
        item = only(queue)
        assert (item.attempts, item.text) == (look + 1, f"look {look}")
        rests.append(item.at - datetime.now(UTC) + timedelta(seconds=59))
        queue.ask(Due(A, PAST))
    assert [rest // (15 * MINUTE) for rest in rests] == [1, 2, 4, 8]
    assert drained(queue, handle) == 2
    assert list(queue.items()) == []


def test_an_error_that_nobody_foresaw_is_a_look_that_failed(queue: Queue) -> None:
    queue.add(Due(A, NOW - 2 * MINUTE))
    queue.add(Due(B, NOW - MINUTE))

    def handle(item: QueueItem) -> Ending:
        if item.subject == B:
            raise ServerUnreachable("https://forge: no answer")
        raise KeyError(item.subject)

    assert drained(queue, handle) == 2
    texts = {item.subject: (item.text, item.attempts) for item in queue.items()}
    assert texts[B] == ("https://forge: no answer", 1)
    assert texts[A][0].startswith(f"KeyError: '{A}' (test_queue_contract.py:")


def test_an_interrupt_gives_the_subject_back(queue: Queue) -> None:
    queue.add(Due(A, PAST, "a push"))

    def handle(_: QueueItem) -> Ending:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drained(queue, handle)
    assert only(queue) == QueueItem(A, PAST, text="a push")
    assert drained(queue, lambda _: Done("done")) == 1


@pytest.mark.parametrize("ending", [Done("done"), Wait("later"), Failed("broken"), Attention("look")])
def test_what_changes_while_it_is_handled_is_looked_at_again(queue: Queue, ending: Ending) -> None:
    queue.add(Due(A, PAST))
    seen: list[int] = []

    def handle(_: QueueItem) -> Ending:
        seen.append(1)
        if len(seen) == 1:
            queue.ask(Due(A, LATER, "a comment"))
            queue.ask(Due(A, NOW, "a push"))
            queue.ask(Due(A, LATER, "another comment"))
            return ending
        return Done("done")

    assert drained(queue, handle) == 2
    assert list(queue.items()) == []


def test_it_works_until_it_is_told_to_stop(queue: Queue) -> None:
    seen: list[str] = []

    def handle(item: QueueItem) -> Ending:
        seen.append(item.subject)
        return Done("done")

    worker = threading.Thread(
        target=queue.work, args=(handle,), kwargs={"until": Until.STOPPED, "stopped": lambda: bool(seen)}
    )
    worker.start()
    queue.add(Due(A, PAST))
    worker.join(10)
    assert (seen, worker.is_alive()) == ([A], False)


def test_what_is_handled_is_finished_before_it_stops(queue: Queue) -> None:
    queue.add(Due(A, NOW - 2 * MINUTE))
    queue.add(Due(B, NOW - MINUTE))
    seen: list[str] = []

    def handle(item: QueueItem) -> Ending:
        seen.append(item.subject)
        return Done("done")

    assert queue.work(handle, until=Until.DRAINED, stopped=lambda: bool(seen)) == 1
    assert [item.subject for item in queue.items()] == [B]


def test_unknown_subjects_are_seen_and_block_nobody(queue: Queue) -> None:
    queue.add(Due("process_issue:RHEL-1", NOW - 3 * MINUTE))
    queue.ask(Due("target:", NOW - 2 * MINUTE))
    queue.add(Due(A, PAST))
    for _ in range(2):
        assert [bool(item.dead) for item in queue.items()] == [False, True, True]
        assert drained(queue, lambda item: Done("done") if item.subject == A else Failed("never")) == 1
        assert not queue.add(Due("process_issue:RHEL-1", PAST))
        queue.ask(Due("target:", PAST))
        queue.add(Due(A, PAST))
    assert queue.remove("process_issue:RHEL-1")
    assert queue.clear() == 2


def test_no_two_processors_are_at_one_subject(queue: Queue) -> None:
    subjects = [f"target:t/t/{number}" for number in range(60)]
    for subject in subjects:
        queue.add(Due(subject, PAST))
    at: set[str] = set()
    seen: list[str] = []
    lock = threading.Lock()

    def handle(item: QueueItem) -> Ending:
        with lock:
            assert item.subject not in at
            at.add(item.subject)
            seen.append(item.subject)
        queue.ask(Due(item.subject, PAST)) if seen.count(item.subject) == 1 else None
        with lock:
            at.discard(item.subject)
        return Done("done")

    workers = [threading.Thread(target=drained, args=(queue, handle)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(seen) == sorted(subjects * 2)
    assert list(queue.items()) == []


def test_no_secret_is_kept(queue: Queue) -> None:
    secret = planted.token("queue")
    remember(secret)
    queue.add(Due(A, PAST, f"because of {secret}"))
    assert only(queue).text == "because of [secret]"
    drained(queue, lambda _: Wait(f"{secret} was refused"))
    assert only(queue).text == "[secret] was refused"
