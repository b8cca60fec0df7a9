"""What a store is like is found out before the first write, once, and written down in the statefile itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from worlds.fake_http import Answer, Fault, Request
from worlds.object_stores import Between, FakeGoogle, Store, refuses_quotes

from bot.errors import ServerUnreachable, WrongUsage
from bot.ports import Refused

PROBE = ["probe PUT 200", "probe PUT 412", "probe PUT 412", "probe PUT 200", "probe DELETE 204"]
REFUSED = r"so two bots would overwrite each other's state$"


@pytest.fixture
def proxy(moto: Store) -> Iterator[Between]:
    with Between(moto.url) as between:
        yield between


@pytest.fixture
def key(tmp_path: Path) -> str:
    return f"{tmp_path.name}/state"


def test_a_store_that_ignores_conditions_is_refused(s3rver: Store, key: str) -> None:
    state = s3rver.state(key)
    assert state.read() is None
    with pytest.raises(WrongUsage, match=REFUSED) as caught:
        state.write(b"{}", "")
    assert caught.value.message.startswith(f"s3://states/{key} at {s3rver.url}: this store overwrites an object that")
    assert "If-None-Match" in caught.value.message
    assert "\n" not in caught.value.message
    assert "git:" in caught.value.hint
    assert state.read() is None, "nothing was written"
    assert [each for page in s3rver.client().list(key) for each in page] == [], "nor left behind"


def test_so_is_one_that_ignores_if_match_alone(proxy: Between, moto: Store, key: str) -> None:
    proxy.edit = lambda request: without(request, "if-match")
    with pytest.raises(WrongUsage, match="whose ETag is another than demanded"):
        moto.behind(proxy).state(key).write(b"{}", "")


def test_so_is_google_if_it_ignored_generations(key: str) -> None:
    with FakeGoogle(ignoring=True) as server, pytest.raises(WrongUsage, match=REFUSED):
        server.store.state(key).write(b"{}", "")


def test_so_is_one_that_says_it_knows_no_conditions(proxy: Between, moto: Store, key: str) -> None:
    refusal = Answer(501, b"<Error><Code>NotImplemented</Code></Error>")
    proxy.edit = lambda request: refusal if "if-none-match" in request.headers else request
    with pytest.raises(WrongUsage, match="does not implement conditional writes"):
        moto.behind(proxy).state(key).write(b"{}", "")


def test_so_is_one_that_refuses_even_the_right_condition(proxy: Between, moto: Store, key: str) -> None:
    refusal = Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
    proxy.edit = lambda request: refusal if "if-match" in request.headers else request
    with pytest.raises(WrongUsage, match="refuses a write even with the right ETag"):
        moto.behind(proxy).state(key).write(b"{}", "")


def test_so_is_one_that_creates_nothing(proxy: Between, moto: Store, key: str) -> None:
    refusal = Answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
    proxy.edit = lambda request: refusal if request.method == "PUT" else request
    with pytest.raises(WrongUsage, match="refuses to create an object under a new name"):
        moto.behind(proxy).state(key).write(b"{}", "")


def test_a_store_is_probed_once_in_the_life_of_a_statefile(proxy: Between, moto: Store, key: str) -> None:
    first = moto.behind(proxy).state(key)
    assert first.read() is None
    etag = first.write(b'{"n": 1}', "")
    assert isinstance(etag, str)
    assert isinstance(first.write(b'{"n": 2}', etag), str)
    assert proxy.asked == ["GET 404", *PROBE, "PUT 200", "PUT 200"]
    proxy.requests.clear()
    later = moto.behind(proxy).state(key)
    found = later.read()
    assert found is not None
    assert isinstance(later.write(b'{"n": 3}', found[1]), str)
    assert proxy.asked == ["GET 200", "PUT 200"]


def test_what_was_found_out_about_another_store_counts_for_nothing(proxy: Between, moto: Store, key: str) -> None:
    """A statefile that was copied to another server is probed there."""
    moto.state(key).write(b"{}", "")
    state = moto.behind(proxy).state(key)
    found = state.read()
    assert found is not None
    assert isinstance(state.write(b"{}", found[1]), str)
    assert proxy.asked == ["GET 200", *PROBE, "PUT 200"]


def test_a_store_that_wants_the_bare_etag_gets_it(proxy: Between, moto: Store, key: str) -> None:
    proxy.edit = refuses_quotes
    state = moto.behind(proxy).state(key)
    etag = state.write(b'{"n": 1}', "")
    assert isinstance(etag, str)
    assert isinstance(newer := state.write(b'{"n": 2}', etag), str)
    assert isinstance(state.write(b'{"n": 3}', etag), Refused)
    proxy.requests.clear()
    later = moto.behind(proxy).state(key)
    assert later.read() == (b'{"n": 2}', newer)
    assert isinstance(later.write(b'{"n": 4}', newer), str)
    assert proxy.asked == ["GET 200", "PUT 200"], "the statefile says which form it needs"


def test_a_store_that_changed_its_mind_is_probed_again(proxy: Between, moto: Store, key: str) -> None:
    etag = moto.behind(proxy).state(key).write(b'{"n": 1}', "")
    assert isinstance(etag, str)
    proxy.edit = refuses_quotes  # as after a move to another server under the same name
    state = moto.behind(proxy).state(key)
    assert state.read() == (b'{"n": 1}', etag)
    assert isinstance(state.write(b'{"n": 2}', etag), str)


def test_a_probe_survives_lost_answers(proxy: Between, moto: Store, key: str) -> None:
    """Obstore sends a PUT again whose answer was lost, and is refused by what the first one did."""
    for condition in ("if-none-match", "if-match"):
        proxy.faults.append(Fault(partial(probes_with, condition), "drop after"))
    state = moto.behind(proxy).state(key)
    assert isinstance(state.write(b"{}", ""), str)
    assert "probe PUT lost" in proxy.asked


def test_credentials_that_may_not_delete_leave_the_probe_behind(proxy: Between, moto: Store, key: str) -> None:
    denied = Answer(403, b"<Error><Code>AccessDenied</Code></Error>")
    proxy.edit = lambda request: denied if request.method == "DELETE" else request
    assert isinstance(moto.behind(proxy).state(key).write(b"{}", ""), str)
    left = sorted(each["path"] for page in moto.client().list(key.rpartition("/")[0]) for each in page)
    assert [path.removeprefix(key)[:7] for path in left] == ["", ".probe-"]


def test_a_probe_that_cannot_be_made_says_so(proxy: Between, moto: Store, key: str) -> None:
    denied = Answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    proxy.edit = lambda request: denied if request.method == "PUT" else request
    with pytest.raises(ServerUnreachable, match=r"cannot probe the store of the state: access denied \(403"):
        moto.behind(proxy).state(key).write(b"{}", "")


def probes_with(header: str, request: Request) -> bool:
    """Whether it is a request of a probe with a header."""
    return ".probe-" in request.path and header in request.headers


def without(request: Request, header: str) -> Request:
    """The request as a server sees it that does not know a header."""
    headers = {name: value for name, value in request.headers.items() if name != header}
    return Request(request.method, request.path, request.query, headers, request.body)
