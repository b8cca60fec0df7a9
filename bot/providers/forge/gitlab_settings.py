"""What `saasbot.yml` and the environment say of the GitLab forge: server, project, token."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import WrongUsage
from bot.model.desired import SecretRef
from bot.ports import Cache
from bot.providers.forge.gitlab_place import Place
from bot.providers.git import GitError, git, text
from bot.providers.gitlab_api import PUBLIC, client
from bot.providers.secrets import read_secret, remember
from bot.settings import Settings

TOKENS = ("SAASBOT_TOKEN", "GITLAB_TOKEN")
"""Environment variables that are looked at where `forge.token` is not set."""

JOB_TOKEN = "CI_JOB_TOKEN"  # noqa: S105 - the variable's name


def gitlab_place(settings: Settings, config: Path, environ: Mapping[str, str], cache: Cache) -> tuple[Place, str]:
    """Where the merge requests are, and the `Authorization` that git needs there.

    Raises `WrongUsage` where the project or the token is missing.
    """
    options = settings.forge.options
    project = str(options.get("project") or "").strip("/")
    if not project:
        raise WrongUsage("forge.project is missing: whose merge requests?", hint="e.g. project: acme/saas-config")
    url = str(options.get("url") or environ.get("CI_SERVER_URL") or PUBLIC).rstrip("/")
    if urlsplit(url).scheme not in ("http", "https"):
        raise WrongUsage(f"forge.url {url!r} is not the address of a server", hint=f"e.g. url: {PUBLIC}")
    token, ref = _token(options.get("token"), config, environ)
    job = ref.env == JOB_TOKEN or token == environ.get(JOB_TOKEN)
    ca = str(options.get("ca") or "")
    api = client(url, token, job=job, ca=str(config / ca) if ca else "", cache=cache)
    place = Place(api, project, settings.branch, str(options.get("user") or ""), _where(ref))
    login = base64.b64encode(f"{'gitlab-ci-token' if job else 'oauth2'}:{token}".encode()).decode()
    remember(login)
    return place, f"Basic {login}"


def served_by(config: Path, url: str) -> bool:
    """Whether the checkout's origin is reached over HTTP at the forge's own host: nobody else is shown the token."""
    try:
        origin = text(git(config, "remote", "get-url", "origin").strip())
    except GitError:
        return False
    here, there = urlsplit(origin), urlsplit(url)
    return here.scheme in ("http", "https") and (here.hostname, here.port) == (there.hostname, there.port)


def _token(option: object, config: Path, environ: Mapping[str, str]) -> tuple[str, SecretRef]:
    """The token and where it comes from; raises `WrongUsage` where there is none."""
    refs = [SecretRef(env=name) for name in TOKENS]
    if isinstance(option, Mapping):
        refs = [SecretRef(env=str(option.get("env") or ""), file=str(option.get("file") or ""))]
    for ref in refs:
        token = read_secret(ref, config, environ)
        if token:
            return token, ref
    raise WrongUsage(
        f"there is no token for GitLab in {' or '.join(map(_where, refs))}",
        hint="make a project access token with the scope api and the role Developer or Maintainer; "
        "forge.token says where it is",
    )


def _where(ref: SecretRef) -> str:
    """Where a secret comes from, in words."""
    return f"${ref.env}" if ref.env else f"the file {ref.file}"
