"""Lost answers, silence and every kind of no: never a false refusal, never a write twice, one line for a human."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from worlds.fake_http import Answer, Fault
from worlds.object_stores import NOWHERE, Between, Store

from bot.errors import ServerUnreachable
from bot.ports import Refused
from bot.providers.state.objects import ObjectState
from bot.providers.state.objects_errors import explained

PUT = ("PUT", r".*")
GET = ("GET", r".*")
OLD, NEW = b'{"n": 1}', b'{"n": 2}'


@pytest.fixture
def proxy(moto: Store) -> Iterator[Between]:
    with Between(moto.url) as between:
        yield between


@pytest.fixture
def key(tmp_path: Path) -> str:
    return f"{tmp_path.name}/state"


@pytest.fixture
def state(proxy: Between, moto: Store, key: str) -> ObjectState:
    """A store behind the proxy with a statefile in it that was read; the proxy has seen nothing yet."""
    found = moto.behind(proxy).state(key)
    assert isinstance(found.write(OLD, ""), str)
    proxy.requests.clear()
    return found


def etag_of(state: ObjectState) -> str:
    """The present etag."""
    found = state.read()
    assert found is not None
    return found[1]


@pytest.mark.parametrize("lost", [1, 2])
def test_a_write_whose_answer_was_lost_has_happened(proxy: Between, state: ObjectState, lost: int) -> None:
    etag = etag_of(state)
    proxy.faults.append(Fault(PUT, "drop after", times=lost))
    newer = state.write(NEW, etag)
    assert isinstance(newer, str)
    assert state.read() == (NEW, newer)
    assert proxy.asked == ["GET 200", *["PUT lost"] * lost, "PUT 412", "GET 200", "GET 200"]
    assert isinstance(state.write(OLD, newer), str), "the etag is good for the next write"


def test_so_has_a_creation(proxy: Between, moto: Store, state: ObjectState, key: str) -> None:
    del state  # the store is known by now
    fresh = moto.behind(proxy).state(f"{key}-fresh")
    proxy.faults.append(Fault(lambda request: request.path.endswith("-fresh"), "drop after"))
    created = fresh.write(OLD, "")
    assert fresh.read() == (OLD, created)


def test_so_has_one_whose_repetitions_met_a_broken_gateway(proxy: Between, state: ObjectState) -> None:
    etag = etag_of(state)
    proxy.faults += [Fault(PUT, "drop after"), Fault(PUT, Answer(502, b"<html>Bad gateway</html>"), times=9)]
    newer = state.write(NEW, etag)
    assert state.read() == (NEW, newer)


def test_a_write_that_never_arrived_is_told_and_can_be_repeated(proxy: Between, state: ObjectState) -> None:
    etag = etag_of(state)
    proxy.faults.append(Fault(PUT, "drop before", times=9))
    with pytest.raises(ServerUnreachable, match="cannot write the state: the connection broke off") as caught:
        state.write(NEW, etag)
    assert "it may have been written all the same" in caught.value.hint
    assert state.read() == (OLD, etag)
    proxy.faults.clear()
    assert isinstance(state.write(NEW, etag), str)


def test_a_lost_race_whose_answer_was_lost_is_a_lost_race(
    proxy: Between, moto: Store, state: ObjectState, key: str
) -> None:
    etag = etag_of(state)
    other = moto.state(key)
    assert isinstance(other.write(b'{"n": 3}', etag_of(other)), str)
    proxy.faults.append(Fault(PUT, "drop before", times=9))
    assert isinstance(state.write(NEW, etag), Refused)
    assert isinstance(state.write(NEW, etag), Refused)
    assert moto.state(key).read() == (b'{"n": 3}', etag_of(other))


def test_a_statefile_that_was_removed_is_not_made_again(moto: Store, state: ObjectState, key: str) -> None:
    etag = etag_of(state)
    moto.client().delete(key)
    assert isinstance(state.write(NEW, etag), Refused)
    assert state.read() is None


def test_a_right_condition_that_is_refused_for_ever_is_a_refusal(proxy: Between, state: ObjectState, key: str) -> None:
    etag = etag_of(state)
    refusal = Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
    proxy.faults.append(Fault(("PUT", f".*/{key}"), refusal, times=9))
    told = state.write(NEW, etag)
    assert isinstance(told, Refused)
    assert told.text.endswith("refuses the write although nobody changed it")


CONFLICT = Answer(409, b"<Error><Code>ConditionalRequestConflict</Code><Message>Please retry.</Message></Error>")


def test_a_store_that_is_busy_is_neither_a_lost_race_nor_probed(
    proxy: Between, moto: Store, state: ObjectState, key: str
) -> None:
    etag = etag_of(state)
    fresh = moto.behind(proxy).state(f"{key}-fresh")
    proxy.faults.append(Fault(PUT, CONFLICT, times=99))
    with pytest.raises(ServerUnreachable, match=r"cannot write the state: the server is busy .*409") as caught:
        state.write(NEW, etag)
    assert caught.value.hint == "try again"
    assert proxy.asked.count("GET 200") == 2
    assert {*proxy.asked[1:-1]} == {"PUT 409"}
    with pytest.raises(ServerUnreachable, match=r"cannot probe the store of the state: the server is busy .*409"):
        fresh.write(NEW, "")
    proxy.faults.clear()
    assert isinstance(state.write(NEW, etag), str)


def test_a_write_that_was_carried_out_although_the_store_is_busy_has_happened(
    proxy: Between, state: ObjectState
) -> None:
    etag = etag_of(state)
    proxy.faults += [Fault(PUT, "drop after"), Fault(PUT, CONFLICT, times=99)]
    newer = state.write(NEW, etag)
    assert state.read() == (NEW, newer)


def test_a_lost_race_at_a_busy_store_is_a_lost_race(proxy: Between, moto: Store, state: ObjectState, key: str) -> None:
    etag = etag_of(state)
    other = moto.state(key)
    assert isinstance(other.write(b'{"n": 3}', etag_of(other)), str)
    proxy.faults.append(Fault(PUT, CONFLICT, times=99))
    assert isinstance(state.write(NEW, etag), Refused)


def test_when_nothing_answers_any_more_both_possibilities_are_named(proxy: Between, state: ObjectState) -> None:
    etag = etag_of(state)
    proxy.faults += [Fault(PUT, "drop after"), Fault(("*", r".*"), "drop before", times=99)]
    with pytest.raises(ServerUnreachable, match="cannot write the state") as caught:
        state.write(NEW, etag)
    assert "it may have been written all the same" in caught.value.hint


def test_a_refusal_that_cannot_be_looked_into_is_an_error_of_reading(proxy: Between, state: ObjectState) -> None:
    proxy.faults.append(Fault(GET, "drop before", times=9))
    with pytest.raises(ServerUnreachable, match="cannot read the state: the connection broke off"):
        state.write(NEW, '"00"')


def test_what_only_reads_is_tried_again(proxy: Between, state: ObjectState) -> None:
    proxy.faults += [Fault(GET, "drop before"), Fault(GET, Answer(503, b"<Error><Code>SlowDown</Code></Error>"))]
    assert state.read() is not None
    assert proxy.asked == ["GET lost", "GET 503", "GET 200"]


def test_a_busy_server_is_told_after_a_few_tries(proxy: Between, state: ObjectState) -> None:
    proxy.faults.append(Fault(GET, Answer(503, b"<Error><Code>SlowDown</Code></Error>"), times=99))
    begin = time.monotonic()
    with pytest.raises(ServerUnreachable, match=r"the server is busy \(503 SlowDown\)$"):
        state.read()
    assert time.monotonic() - begin < 10
    assert proxy.asked == ["GET 503"] * 4


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", r"access denied \(403 Acc"),
        (403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "this machine's clock is wrong"),
        (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", r"the credentials are wrong \(403 Sign"),
        (400, "<Error><Code>ExpiredToken</Code></Error>", "the credentials have expired"),
        (400, "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", "the bucket is in another region"),
        (301, "<Error><Code>PermanentRedirect</Code></Error>", "the bucket is in another region"),
        (418, "a teapot", r"an answer that makes no sense \(418\)$"),
    ],
)
def test_every_no_is_one_line(proxy: Between, state: ObjectState, status: int, body: str, words: str) -> None:
    proxy.faults.append(Fault(("*", r".*"), Answer(status, body.encode()), times=99))
    for doing in (state.read, lambda: state.write(NEW, '"00"')):
        with pytest.raises(ServerUnreachable, match=words) as caught:
            doing()
        assert "\n" not in caught.value.message + caught.value.hint
        assert caught.value.hint


def test_wrong_credentials_are_told_without_themselves(s3rver: Store, azurite: Store) -> None:
    wrong = "c2VjcmV0LXRoYXQtaXMtd3Jvbmc="
    for state in (
        s3rver.state(AWS_ACCESS_KEY_ID="nobody-here", AWS_SECRET_ACCESS_KEY=wrong),
        azurite.state(AZURE_STORAGE_ACCOUNT_KEY=wrong),
    ):
        with pytest.raises(ServerUnreachable, match=r"the credentials are wrong \(403 \w+: ") as caught:
            state.read()
        assert wrong not in caught.value.message + caught.value.hint


def test_missing_credentials_are_told(moto: Store, google: Store) -> None:
    """The machine's own are asked for at an address where nobody is (NOWHERE), as outside of a cloud."""
    with pytest.raises(ServerUnreachable) as caught:
        Store("s3", moto.url, NOWHERE).state().read()
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert caught.value.message.endswith("the environment names none, and this machine offers none")
    with pytest.raises(ServerUnreachable, match=r"the credentials are wrong \(401 Auth"):
        Store("gs", google.url, {"GOOGLE_BEARER_TOKEN": "another one"}).state().read()


@pytest.mark.parametrize(
    "asked",
    [
        "Error performing POST https://sts.eu-central-1.amazonaws.com/?Action=AssumeRoleWithWebIdentity in 9s",
        "Error performing token request: Error performing POST https://oauth2.googleapis.com/token in 9s",
        "Error performing token request: Error performing POST https://login.microsoftonline.com/t/oauth2 in 9ms",
    ],
)
def test_a_role_or_token_that_is_refused_is_told_apart_from_the_store_s_own_no(asked: str) -> None:
    """Such servers speak https under names of their own: what obstore says of them stands here in words."""
    words = "<Error><Code>InvalidIdentityToken</Code><Message>Over." + " Long ago." * 40 + "</Message></Error>"
    text = (
        f"Generic error: {asked} - Server returned non-2xx status code: 400 Bad Request: {words}\n\nDebug source: ..."
    )
    cause, hint = explained(text, "s3")
    server = asked.split("https://")[1].partition("/")[0]
    assert cause.startswith(f"{server} gives no credentials (400 InvalidIdentityToken: Over. Long ago.")
    assert len(cause) < 350
    assert "the role and the token" in hint


def test_a_server_that_is_not_there_is_told(moto: Store) -> None:
    begin = time.monotonic()
    with pytest.raises(
        ServerUnreachable, match=r"at http://127.0.0.1:9: cannot read the state: the connection was ref"
    ):
        Store("s3", "http://127.0.0.1:9", moto.environ).state().read()
    with pytest.raises(ServerUnreachable, match="its name cannot be resolved"):
        Store("s3", "https://s3.example.invalid", moto.environ).state().read()
    with pytest.raises(ServerUnreachable, match="TLS fails"):
        Store("s3", moto.url.replace("http:", "https:"), moto.environ).state().read()
    assert time.monotonic() - begin < 20
