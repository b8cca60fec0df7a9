"""The origin of a checkout, asked with an authorization that git itself does not know.

The authorization goes through git's environment, never over a command line or into a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from bot.providers.git import ASK, FETCH, TIMEOUT, GitError, git, resolve, text, without_credentials
from bot.providers.secrets import remember, remember_surroundings

_MOVED = re.compile(r"\((?:stale info|fetch first|non-fast-forward)\)|cannot lock ref|failed to update ref")
_NO_REF = re.compile(r"couldn't find remote ref|[Rr]emote branch .* not found")


REFUSED_LOGIN = "the server refused the login: check the bot's token (forge.token), or what git has for this address"
"""What to do where `refused_login`."""


def refused_login(error: GitError) -> bool:
    """Whether the server wanted another login than the one it got, or one at all."""
    return any(word in error.stderr for word in ("could not read Username", "Authentication failed", "error: 401"))


def lost_lease(error: GitError) -> bool:
    """Whether a push failed because the ref is not where it was expected."""
    return bool(_MOVED.search(error.stderr))


def _served(url: str) -> str:
    """The address of a repository with the `.git` that forges redirect to where it is left out."""
    if not url.startswith(("http://", "https://")) or url.rstrip("/").endswith(".git"):
        return url
    return f"{url.rstrip('/')}.git"


class AuthorizedOrigin:
    """Fetches from and pushes to a checkout's origin; moves nothing in the checkout.

    `authorization` gives the value of an `Authorization` header, asked for before each request; without it, or where
    it is empty, git uses what it has. A server that is shown it must be at that address itself: redirects are not
    followed. Everything raises `GitError`.
    """

    def __init__(self, checkout: Path, authorization: Callable[[], str] | None = None, ca: str = "") -> None:
        self._checkout = checkout
        self._authorization = authorization
        self._ca = ca

    @property
    def address(self) -> str:
        """Where origin is, without credentials; the word itself where there is none."""
        try:
            return without_credentials(self._url)
        except GitError:
            return "origin"

    def fetch(self, refs: Sequence[str], *options: str) -> None:
        """Fetch refs or commits in one go."""
        self._run(self._source, *FETCH, *options, "--", None, *refs)

    def fetch_refs(self, refs: Sequence[str]) -> None:
        """Fetch refs in one go; those that are gone are left out in a second one."""
        try:
            self.fetch(refs)
        except GitError as error:
            if not _NO_REF.search(error.stderr):
                raise
            out = text(self._run(self._source, "ls-remote", "--", None, *refs, timeout=ASK))
            there = {line.partition("\t")[2] for line in out.splitlines()}.intersection(refs)
            if there:
                self.fetch(sorted(there))

    def fetch_commit(self, sha: str) -> bool:
        """Whether the server gave a commit by its id, as most do even where no ref has it any more."""
        try:
            self.fetch([sha])
        except GitError as error:
            if "not our ref" in error.stderr or "unadvertised object" in error.stderr:
                return False
            raise
        return bool(resolve(self._checkout, sha))

    def head(self, ref: str) -> str:
        """Where a ref (by its full name) is now at the place that pushes go to, or empty."""
        out = text(self._run(self._source, "ls-remote", "--", None, ref, timeout=ASK))
        rows = (line.split("\t") for line in out.splitlines())
        return next((sha for sha, found in rows if found == ref), "")

    def push(self, ref: str, new: str, expected: str) -> None:
        """Move a ref to a commit if it still is at `expected` (empty: must not exist)."""
        # A person's hooks and settings for pushes are about their own work.
        options = ("--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
        lease = f"--force-with-lease={ref}:{expected}"
        self._run(self._source, "push", *options, lease, "--", None, f"{new}:{ref}")

    def _run(self, url: str, *args: str | None, timeout: float = TIMEOUT) -> bytes:
        """Run git with the url in the place of None."""
        words = [url if arg is None else arg for arg in args]
        return git(self._checkout, *words, env=self._environment(), timeout=timeout)

    def _environment(self) -> Mapping[str, str]:
        """The authorization as configuration, beside what is inherited of that kind."""
        value = self._authorization() if self._authorization else ""
        if not value:
            return {}
        remember(value.rpartition(" ")[2])
        pairs = []
        url = _served(self.address)
        if url.startswith(("http://", "https://")):
            # The empty value takes away what CI systems leave in a checkout: two authorizations are refused.
            pairs += [(f"http.{url}.extraHeader", ""), (f"http.{url}.extraHeader", f"Authorization: {value}")]
            # After a redirect git would hand the header to whatever server that leads to.
            pairs.append((f"http.{url}.followRedirects", "false"))
            pairs += [(f"http.{url}.sslCAInfo", self._ca)] if self._ca else []
            # A helper is told to forget a login that was refused, and the login that it keeps is a person's.
            pairs.append(("credential.helper", ""))
        inherited = os.environ.get("GIT_CONFIG_COUNT", "")
        first = int(inherited) if inherited.isdecimal() else 0
        env = {"GIT_CONFIG_COUNT": str(first + len(pairs))}
        for number, (name, said) in enumerate(pairs, first):
            env |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": said}
        return env

    @cached_property
    def _url(self) -> str:
        url = text(git(self._checkout, "remote", "get-url", "origin").strip())
        remember_surroundings({}, url)
        return url

    @property
    def _source(self) -> str:
        """Where to fetch: origin by its name, with all that git knows of it, unless there are better credentials."""
        better = self._url.startswith("http") and self._authorization is not None and self._authorization()
        return _served(self.address) if better else "origin"
