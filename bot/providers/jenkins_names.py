"""How Jenkins names things: jobs in folders, the branch jobs of multibranch projects, and their addresses.

Sources: Jenkins' `Item.getUrl` (`job/NAME/` for each folder on the way) and the branch-api plugin's `NameEncoder`.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import SplitResult, quote, unquote, urlsplit

_ESCAPED = {character: f"%{ord(character):02X}" for character in "#%/?[]\\"}
_DOTS = {".": "%2E", "..": "%2E."}


def names(job: str, server: str) -> tuple[str, ...]:
    """The names of a job and the folders around it, outermost first; empty for what names no job of this server.

    `job` is `folder/sub/job`, the same as a path (`job/folder/job/sub/job/x`), or a job's whole address.
    """
    text = job.strip()
    if "://" in text:
        found = _addressed(_below(urlsplit(text), urlsplit(server)))
    else:
        segments = text.strip("/").split("/")
        found = _addressed(segments) if segments[0] == "job" and len(segments) > 1 else tuple(segments)
    return () if any(name in {"", ".", ".."} for name in found) else found


def path(way: Iterable[str]) -> str:
    """The path of a job below the server's address: `/job/folder/job/x`."""
    return "".join(f"/job/{quote(name, safe='')}" for name in way)


def branch_job(ref: str) -> str:
    """The name of the job that a multibranch project makes for a branch or tag: `feature/x` is `feature%2Fx`."""
    plain = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    return _DOTS.get(plain) or "".join(_ESCAPED.get(character, character) for character in plain)


def _below(job: SplitResult, server: SplitResult) -> list[str]:
    """The segments of a job's address below the server's; none for another server's."""
    base = f"{server.path.rstrip('/')}/"
    if job.netloc.rpartition("@")[2].lower() != server.netloc.rpartition("@")[2].lower():
        return []
    return job.path.removeprefix(base).strip("/").split("/") if job.path.startswith(base) else []


def _addressed(segments: list[str]) -> tuple[str, ...]:
    """The names in the segments of an address; views, in which a browser may show a job, are left out."""
    pairs = list(zip(segments[::2], segments[1::2], strict=False))
    known = len(segments) % 2 == 0 and {word for word, _ in pairs} <= {"job", "view"}
    return tuple(unquote(name) for word, name in pairs if word == "job") if known else ()
