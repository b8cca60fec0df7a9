"""The way to a forge as settings and environment give it: its token, its CA, and whether git may show the token."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import WrongUsage
from bot.model.servers import SecretRef
from bot.providers.git import GitError, git, text, without_credentials
from bot.providers.secrets import read_secret, remember

PORTS = {"http": 80, "https": 443}
"""The port of an address that names none."""


def token_of(
    option: object, names: Sequence[str], config: Path, environ: Mapping[str, str], *, forge: str, hint: str
) -> tuple[str, SecretRef]:
    """The token and where it comes from: what `option` (`{env}` or `{file}`) says, else the first of these variables.

    Raises `WrongUsage` where there is none; `hint` says how to come by one.
    """
    refs = [ref_of(option)] if isinstance(option, Mapping) else [SecretRef(env=name) for name in names]
    for ref in refs:
        token = read_secret(ref, config, environ)
        if token:
            return token, ref
    raise WrongUsage(f"there is no token for {forge} in {' or '.join(map(where, refs))}", hint=hint)


def ref_of(option: Mapping[str, object]) -> SecretRef:
    """Where a secret is, as the settings say it."""
    return SecretRef(env=str(option.get("env") or ""), file=str(option.get("file") or ""))


def where(ref: SecretRef) -> str:
    """Where a secret comes from, in words."""
    return f"${ref.env}" if ref.env else f"the file {ref.file}"


def ca_of(option: object, config: Path) -> str:
    """The file of certificates that `forge.ca` names, seen from `config`; empty where it names none.

    Raises `WrongUsage` where there is no such file.
    """
    if not option:
        return ""
    file = config / str(option)
    if not file.is_file():
        raise WrongUsage(f"forge.ca: there is no file {option}", hint="a file of certificates in PEM, seen from here")
    return str(file)


def basic(user: str, token: str) -> str:
    """The `Authorization` that git needs for a token, which stays a secret in this form too."""
    login = base64.b64encode(f"{user}:{token}".encode()).decode()
    remember(login)
    return f"Basic {login}"


def origin_of(checkout: Path) -> str:
    """The address of a checkout's origin; empty where it has none."""
    try:
        return text(git(checkout, "remote", "get-url", "origin").strip())
    except GitError:
        return ""


def require_origin(checkout: Path, project: str) -> None:
    """Raise `WrongUsage` where the checkout's origin is another project than the forge's: each would get half of it.

    A project that is named by its number, and an origin that is no address of a server, are not compared.
    """
    origin = origin_of(checkout)
    path = origin.partition("://")[2].partition("/")[2] or ("" if "://" in origin else origin.partition(":")[2])
    name = project.strip("/").casefold()
    if not path or name.isdecimal() or f"/{path.strip('/').removesuffix('.git').casefold()}".endswith(f"/{name}"):
        return
    raise WrongUsage(
        f"origin is {without_credentials(origin)}, but forge.project is {project}",
        hint="run in a clone of the project that saasbot.yml names, or correct forge.project",
    )


def same_server(origin: str, url: str) -> bool:
    """Whether two addresses are of one server over HTTP, by the same scheme, host and port: who sees one's token.

    An origin without TLS is another server than a forge with it, since the token would travel in the clear.
    """
    here, there = _server(origin), _server(url)
    return here is not None and here == there


def _server(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what is not reached over HTTP."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or PORTS[parts.scheme]
