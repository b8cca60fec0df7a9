"""The statefile in a file: compare-and-swap that holds with many processes and threads at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.errors import ServerUnreachable, WrongUsage
from bot.ports import Refused, StateStore
from bot.providers.state.file import FileState, etag_of, file_state

INCREMENT = """
import sys
from pathlib import Path
from bot.ports import Refused
from bot.providers.state.file import FileState
store, done = FileState(Path(sys.argv[1])), 0
while done < int(sys.argv[2]):
    data, etag = store.read() or (b"0", "")
    done += not isinstance(store.write(b"%d" % (int(data) + 1), etag), Refused)
"""


def increment(path: Path, times: int) -> None:
    store = FileState(path)
    done = 0
    while done < times:
        data, etag = store.read() or (b"0", "")
        done += not isinstance(store.write(b"%d" % (int(data) + 1), etag), Refused)


def test_what_was_written_is_read_with_its_etag(tmp_path: Path) -> None:
    store: StateStore = file_state("file:state.json", tmp_path)
    assert store.read() is None
    etag = store.write(b"one", "")
    assert store.read() == (b"one", etag)
    assert etag == etag_of(b"one")


def test_an_empty_etag_means_that_there_must_be_none(tmp_path: Path) -> None:
    store = FileState(tmp_path / "state.json")
    assert isinstance(store.write(b"one", etag_of(b"other")), Refused)
    store.write(b"one", "")
    assert isinstance(store.write(b"two", ""), Refused)
    assert isinstance(store.write(b"two", etag_of(b"other")), Refused)
    assert store.read() == (b"one", etag_of(b"one"))


def test_five_processes_count_to_two_hundred(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    racers = [subprocess.Popen([sys.executable, "-c", INCREMENT, str(path), "40"]) for _ in range(5)]
    assert [racer.wait(30) for racer in racers] == [0] * 5
    assert path.read_bytes() == b"200"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state.json", "state.json.lock"]


def test_threads_are_kept_apart_as_well(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: increment(path, 10), range(4)))
    assert path.read_bytes() == b"40"


def test_a_writer_killed_between_its_steps_leaves_the_old_content_and_no_obstacle(tmp_path: Path) -> None:
    store = FileState(tmp_path / "state.json")
    etag = store.write(b"one", "")
    (tmp_path / "state.json.tmp").write_bytes(b"half of")
    assert store.read() == (b"one", etag)
    assert store.write(b"two", str(etag)) == etag_of(b"two")
    assert not (tmp_path / "state.json.tmp").exists()


def test_a_link_stays_a_link_and_a_mode_stays_a_mode(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    store = FileState(tmp_path / "state.json")
    (tmp_path / "state.json").symlink_to(real)
    etag = store.write(b"one", "")
    real.chmod(0o640)
    store.write(b"two", str(etag))
    assert (tmp_path / "state.json").is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"two", 0o640)


def test_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    FileState(tmp_path / "state.json").read()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:../state.json", "world/config/../state.json"),
        ("file:a%20b.json", "world/config/a b.json"),
        ("file:///tmp/state.json", "/tmp/state.json"),  # noqa: S108 - a name, no file
        ("file://localhost/srv/s.json", "/srv/s.json"),
        ("file:/srv/s.json", "/srv/s.json"),
    ],
)
def test_relative_paths_start_at_the_settings_file(url: str, path: str) -> None:
    assert str(file_state(url, Path("world/config")).path) == path


@pytest.mark.parametrize("url", ["s3://bucket/x", "file:", "file:///", "state.json", "", "file://server/share/x"])
def test_other_urls_are_wrong_usage(url: str) -> None:
    with pytest.raises(WrongUsage):
        file_state(url, Path())


def test_what_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    missing = FileState(tmp_path / "no" / "state.json")
    with pytest.raises(ServerUnreachable, match="its folder does not exist") as caught:
        missing.read()
    assert "\n" not in caught.value.message
    with pytest.raises(ServerUnreachable, match="its folder does not exist"):
        missing.write(b"", "")
    folder = FileState(tmp_path)
    with pytest.raises(ServerUnreachable, match="Is a directory"):
        folder.read()
    with pytest.raises(ServerUnreachable, match="Is a directory"):
        folder.write(b"", "")


def test_missing_rights_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    for path in (tmp_path, *tmp_path.parents):  # a stranger has to get to the folder, if not into it
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o001)
    with as_somebody(), pytest.raises(ServerUnreachable, match="Permission denied"):
        FileState(folder / "state.json").write(b"", "")


@contextmanager
def as_somebody() -> Iterator[None]:
    """Rights do not bind the superuser: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
