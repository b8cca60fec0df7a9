"""Channels: what a success publishes, what a failure takes back (DESIGN section 4)."""

from __future__ import annotations

from datetime import timedelta

from core_values import HOUR, NOW, STAGE, a_run, published, sha, stage, target
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.channels import KEPT, Channels, publish, rename, withdraw

A, B = sha("a"), sha("b")


def success(channels: Channels, what: str, after: timedelta = timedelta(0), by: str = STAGE) -> Channels:
    given = stage(by)
    return publish(channels, given, a_run(given, what, key=f"k{what[:4]}"), NOW + after)


def test_a_success_says_sha_configuration_and_time() -> None:
    (entry,) = success({}, A)["ok"]
    assert (entry.target, entry.sha, entry.first_at, entry.finished_at) == (STAGE, A, NOW, NOW)
    assert entry.config_hash == a_run(stage()).config_hash


def test_the_first_success_of_a_sha_keeps_its_time() -> None:
    (entry,) = success(success({}, A), A, HOUR)["ok"]
    assert (entry.first_at, entry.finished_at) == (NOW, NOW + HOUR)


def test_a_channel_keeps_the_last_fifty_of_each_publisher() -> None:
    channels = success({}, A, by="svc/web/other")
    for number in range(KEPT + 5):
        channels = success(channels, sha(str(number)), number * HOUR)
    own = [each.sha for each in channels["ok"] if each.target == STAGE]
    assert own == [sha(str(number)) for number in range(5, KEPT + 5)]
    assert len(channels["ok"]) == KEPT + 1, "the other publisher keeps its own"


def test_who_is_disabled_or_has_no_channel_publishes_nothing() -> None:
    assert publish({}, stage(disable=True), a_run(stage()), NOW) == {}
    assert publish({}, target(), a_run(target()), NOW) == {}


def test_a_failure_withdraws_its_own_sha_only() -> None:
    channels = success(success(success({}, A), B), A, by="svc/web/other")
    left = withdraw(channels, STAGE, A)["ok"]
    assert {(each.target, each.sha) for each in left} == {(STAGE, B), ("svc/web/other", A)}
    assert withdraw(channels, STAGE, sha("c")) is channels


def test_a_new_name_keeps_what_was_published() -> None:
    channels = {"ok": (published(STAGE, A), published("svc/web/other", A))}
    assert rename(channels, STAGE, "svc/web/new") == {
        "ok": (published("svc/web/new", A), published("svc/web/other", A))
    }


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y"])), max_size=12))
def test_publishing_twice_is_publishing_once(successes: list[tuple[str, str]]) -> None:
    channels: Channels = {}
    for number, (what, by) in enumerate(successes):
        channels = success(channels, sha(what), number * HOUR, by=f"svc/web/{by}")
        assert success(channels, sha(what), number * HOUR, by=f"svc/web/{by}") == channels
    keys = [(each.target, each.sha) for each in channels.get("ok", ())]
    assert len(keys) == len(set(keys))
