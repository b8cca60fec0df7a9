"""The statefile as a ref of the config repository (`git:` URLs), pushed with a lease: no other server is needed.

The ref holds one commit without a parent, with the statefile as `state.json`; the etag is that commit's sha. Each write
replaces it, so the repository does not grow with every pass; what is replaced is swept away by the server in its time.
"""

from __future__ import annotations

import os
from pathlib import Path

from bot.errors import SaasbotError, ServerUnreachable, WrongUsage
from bot.ports import Refused
from bot.providers.git import GitError, git, resolve
from bot.providers.git_origin import REFUSED_LOGIN, AuthorizedOrigin, lost_lease, refused_login
from bot.providers.working_tree import not_a_checkout
from bot.settings import BotSettings

NAME = "state.json"
TRIES = 3
"""How often a read follows a ref that moves between the question and the fetch."""


class GitState:
    """A `bot.ports.StateStore` on a ref of origin.

    A failure of git is one line: `ServerUnreachable`, or `WrongUsage` where there is no origin.
    """

    def __init__(self, checkout: Path, ref: str, origin: AuthorizedOrigin, bot: BotSettings) -> None:
        self._checkout = checkout
        self._ref = ref
        self._origin = origin
        self._bot = bot

    def read(self) -> tuple[bytes, str] | None:
        """Content and etag, or None where there is no such ref."""
        try:
            for _ in range(TRIES):
                sha = self._origin.head(self._ref)
                if not sha:
                    return None
                if not resolve(self._checkout, sha):
                    self._origin.fetch_refs([self._ref])
                if resolve(self._checkout, sha):
                    return git(self._checkout, "cat-file", "blob", f"{sha}:{NAME}"), sha
        except GitError as error:
            raise self._unreachable("read", error) from error
        raise ServerUnreachable(f"{self._origin.address}: {self._ref} moves faster than it is read", hint="try again")

    def write(self, data: bytes, etag: str) -> str | Refused:
        """Push a commit of this content if the ref still is at `etag` (empty: must not exist); return its sha."""
        try:
            new = self._commit(data)
            self._origin.push(self._ref, new, etag)
        except GitError as error:
            if lost_lease(error):
                return Refused(f"another writer moved {self._ref} since it was read")
            raise self._unreachable("write", error) from error
        return new

    def _commit(self, data: bytes) -> str:
        blob = git(self._checkout, "hash-object", "-w", "--stdin", stdin=data).strip()
        tree = git(self._checkout, "mktree", stdin=b"100644 blob %s\t%s\n" % (blob, NAME.encode())).decode().strip()
        who = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", self._bot.name), ("EMAIL", self._bot.email))
        }
        # Two writers of the same content in the same second must not make the same commit: both pushes would succeed.
        message = f"The state of saasbot\n\nWriter: {os.urandom(8).hex()}\n".encode()
        out = git(self._checkout, "commit-tree", "--no-gpg-sign", tree, stdin=message, env=who)
        return out.decode().strip()

    def _unreachable(self, verb: str, error: GitError) -> SaasbotError:
        if not_a_checkout(error) or "No such remote" in error.stderr:
            return WrongUsage(
                f"{self._checkout} is no clone with an origin, where {self._ref} is to be",
                hint="run in a clone of the config repository, or name it by --config",
            )
        hint = "check the address and the network"
        if refused_login(error):
            hint = REFUSED_LOGIN
        elif verb == "write":
            hint = "the bot's token needs the right to push this ref"
        return ServerUnreachable(
            f"{self._origin.address}: cannot {verb} the state in {self._ref}: {error.line}", hint=hint
        )


def git_state(url: str, checkout: Path, origin: AuthorizedOrigin, bot: BotSettings) -> GitState:
    """The store for a `git:` URL such as `git:refs/saasbot/state`. Raises `WrongUsage` for what is no name of a ref."""
    ref = url.removeprefix("git:")
    hint = "write git:refs/saasbot/state"
    if not ref.startswith("refs/"):
        raise WrongUsage(f"state.url {url!r} is not a ref of the config repository", hint=hint)
    try:
        git(checkout, "check-ref-format", ref)
    except GitError as error:
        raise WrongUsage(f"state.url {url!r} is not the name of a ref", hint=hint) from error
    return GitState(checkout, ref, origin, bot)
