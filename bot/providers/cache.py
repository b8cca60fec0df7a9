"""A store of derived bytes and folders on this machine; losing any of it is always safe (DESIGN section 8, "Cache")."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from bot.providers.secrets import redact_bytes

try:
    import fcntl
except ImportError:  # pragma: no cover - no POSIX; there the caller's own care is all there is
    fcntl = None  # type: ignore[assignment] # the module's absence is the value

_DIGEST = 16  # bytes of sha256 in front of each entry: finds what a crash or a full disk cut short


def cache_root(environ: Mapping[str, str]) -> Path:
    """`$SAASBOT_CACHE_DIR`, else `$XDG_CACHE_HOME/saasbot`, else `~/.cache/saasbot`."""
    if environ.get("SAASBOT_CACHE_DIR"):
        return Path(environ["SAASBOT_CACHE_DIR"]).absolute()
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification says that a relative path there is to be ignored
        base = Path(os.path.expanduser("~/.cache"))  # noqa: PTH111 - pathlib's raises where there is no home
    # A user without a home (a random uid in a container) has no cache: nothing can be written below a device.
    return (base if base.is_absolute() else Path(os.devnull)) / "saasbot"


class FolderCache:
    """Implements `bot.ports.Cache` in one folder, shared by any number of processes and threads.

    An entry is one file with a checksum. What is damaged, unreadable or cannot be written is a miss, never an error.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, name: str) -> bytes | None:
        """The bytes kept under a name, or None."""
        try:
            stored = self._path(name).read_bytes()
        except OSError:
            return None
        digest, data = stored[:_DIGEST], stored[_DIGEST:]
        return data if _checksum(data) == digest else None

    def put(self, name: str, data: bytes) -> None:
        """Keep bytes under a name; the entry is there in full or not at all, and never one with a secret in it."""
        if redact_bytes(data) != data:
            return
        path = self._path(name)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(path, _checksum(data) + data)

    def folder(self, name: str) -> Path:
        """A folder under a name, created if need be; a temporary one where the cache cannot be written."""
        for root in (self._root, self._spare):
            path = root / "folders" / _file_name(name)
            try:
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError:
                continue
            if os.access(path, os.W_OK | os.X_OK):
                return path
        return self._spare / "folders" / _file_name(name)

    @cached_property
    def _spare(self) -> Path:
        import shutil  # noqa: PLC0415 - these two take longer to import than most commands take to use the cache
        import tempfile  # noqa: PLC0415

        path = Path(tempfile.mkdtemp(prefix="saasbot-"))
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        return path

    def _path(self, name: str) -> Path:
        return self._root / "entries" / _file_name(name)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder against other processes and threads; the kernel lets it go if the process dies."""
    descriptor = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _file_name(name: str) -> str:
    """A short readable part for a human who looks in, and a hash that makes it unique."""
    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[-40:].strip("-")
    return f"{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}-{readable}"


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_DIGEST]


def _replace(path: Path, data: bytes) -> None:
    """Write beside the file and rename over it."""
    temporary = path.with_name(f".new-{os.urandom(8).hex()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
