"""The statefile as a local file (`file:` URLs): a lock, a whole replacement, compare-and-swap on the content's hash."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import unquote

from bot.errors import ServerUnreachable, WrongUsage
from bot.ports import Refused
from bot.providers.files import locked, replace


class FileState:
    """A `bot.ports.StateStore` on one file.

    The etag is the sha256 of the content in hex. `<file>.lock` beside it is the kernel lock and stays. Every failure
    of the file system is a `ServerUnreachable` of one line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[bytes, str] | None:
        """Content and etag, or None where there is none; needs no lock, since the file is only ever replaced."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            if self.path.parent.is_dir():
                return None
            raise self._unreachable("read", "its folder does not exist") from None
        except OSError as error:
            raise self._unreachable("read", error.strerror or str(error)) from error
        return data, etag_of(data)

    def write(self, data: bytes, etag: str) -> str | Refused:
        """Replace the content if its etag still is `etag` (empty: there must be none); return the new etag."""
        # A link is followed here and not replaced by a file.
        path = self.path.resolve()
        try:
            with locked(path.with_name(path.name + ".lock")):
                present = path.read_bytes() if path.exists() else None
                if ("" if present is None else etag_of(present)) != etag:
                    return Refused(f"another writer changed {self.path} since it was read")
                replace(path, data)
        except FileNotFoundError:
            raise self._unreachable("write", "its folder does not exist") from None
        except OSError as error:
            raise self._unreachable("write", error.strerror or str(error)) from error
        return etag_of(data)

    def _unreachable(self, verb: str, cause: str) -> ServerUnreachable:
        """One line for the human: the file, what was tried, why it failed."""
        return ServerUnreachable(
            f"cannot {verb} the statefile {self.path}: {cause}",
            hint="check state.url in saasbot.yml and the rights of that folder",
        )


def etag_of(data: bytes) -> str:
    """The etag of a content: its sha256 in hex."""
    return hashlib.sha256(data).hexdigest()


def file_state(url: str, folder: Path) -> FileState:
    """The store for a `file:` URL; a relative path starts at `folder`, the one of `saasbot.yml`.

    Raises `WrongUsage` for another scheme, another host, or no path at all.
    """
    scheme, _, path = url.partition(":")
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in {"", "localhost"}:
            raise WrongUsage(f"state.url {url!r} names the host {host!r}", hint="write file:PATH for a local file")
        path = slash + rest
    if scheme != "file" or not path.strip("/") or "\0" in unquote(path):
        raise WrongUsage(f"state.url {url!r} is not the URL of a file", hint="write file:PATH, e.g. file:../state.json")
    return FileState(folder / unquote(path))
