"""Branches and tags of code repositories, one request each; implements `bot.ports.Refs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from bot.model.observed import Unreachable
from bot.providers.git import ASK, GitError, git, locate, text, without_credentials

_PEELED = "^{}"


class GitRefs:
    """Refs at any URL that git understands; `base` is the folder that relative paths are seen from."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def resolve(self, url: str, refs: Iterable[str]) -> Mapping[str, str] | Unreachable:
        """Each ref's commit, empty where there is no such branch or tag; a branch wins over a tag of its name."""
        wanted = [*dict.fromkeys(refs)]
        if not wanted:
            return {}
        names = [name for ref in wanted for name in _names(ref)]
        found = self._smart(url, names) if url.startswith(("http://", "https://")) else self._ls_remote(url, names)
        if isinstance(found, Unreachable):
            return found
        return {ref: next((found[name] for name in _names(ref) if name in found), "") for ref in wanted}

    def _smart(self, url: str, names: list[str]) -> Mapping[str, str] | Unreachable:
        from bot.providers import git_http  # noqa: PLC0415 - 40 ms that local repositories do not need

        if git_http.configured(url, self._configuration):
            return self._ls_remote(url, names)
        match git_http.ls_refs(url, names):
            case git_http.Failed(cause):
                return _unreachable(url, cause, "check the address and the network")
            case git_http.AskGit(cause):
                return self._ls_remote(url, names, cause)
            case answer:
                return answer

    def _ls_remote(self, url: str, names: list[str], cause: str = "") -> Mapping[str, str] | Unreachable:
        patterns = [pattern for name in names for pattern in _patterns(name)]
        address = locate(url, self._base)
        try:
            out = git(self._base, "ls-remote", "--", address, *patterns, timeout=ASK)
            # Git takes an empty page for an old repository without refs.
            if cause and not out and not git(self._base, "ls-remote", "--", address, timeout=ASK):
                return _unreachable(url, f"there is not one ref ({cause})", "check the address")
        except GitError as error:
            said = f"{error.line} ({cause})" if cause else error.line
            return _unreachable(url, said, "check the address, and the credentials that git uses there")
        rows = [line.partition(b"\t") for line in out.splitlines()]
        found = {text(name): sha.decode() for sha, _, name in rows}
        return {name: found.get(f"{name}{_PEELED}", found[name]) for name in names if name in found}

    @cached_property
    def _configuration(self) -> tuple[tuple[str, str], ...]:
        """What git's configuration says of addresses and HTTP, asked once a process."""
        try:
            out = git(self._base, "config", "--null", "--get-regexp", r"^(url|http)\.")
        except GitError:  # nothing is set, or there is no git: then ls-remote will say so
            return ()
        rows = (row.partition(b"\n") for row in out.split(b"\0")[:-1])
        return tuple((text(name), text(value)) for name, _, value in rows)


def _names(ref: str) -> tuple[str, ...]:
    """The full names that a ref may have, the winner first."""
    names = (f"refs/heads/{ref}", f"refs/tags/{ref}")
    return (ref, *names) if ref.startswith("refs/") else names


def _patterns(name: str) -> tuple[str, ...]:
    return (name, f"{name}{_PEELED}") if name.startswith("refs/tags/") else (name,)


def _unreachable(url: str, cause: str, advice: str) -> Unreachable:
    line = " ".join(cause.split())
    return Unreachable(without_credentials(f"{url}: asking for branches and tags failed: {line}; {advice}"))
