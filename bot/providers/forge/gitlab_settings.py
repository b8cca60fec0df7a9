"""What `saasbot.yml` and the environment say of the GitLab forge: server, project, token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import WrongUsage
from bot.ports import Cache
from bot.providers.forge.gitlab_place import Place
from bot.providers.forge_access import basic, ca_of, origin_of, same_server, token_of, where
from bot.providers.gitlab_api import PUBLIC, client
from bot.settings import Settings

TOKENS = ("SAASBOT_TOKEN", "GITLAB_TOKEN")
"""Environment variables that are looked at where `forge.token` is not set."""

HINT = (
    "make a project access token with the scope api and the role Developer or Maintainer; forge.token says where it is"
)
"""How to come by a token."""

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
    token, ref = token_of(options.get("token"), TOKENS, config, environ, forge="GitLab", hint=HINT)
    job = ref.env == JOB_TOKEN or token == environ.get(JOB_TOKEN)
    api = client(url, token, job=job, ca=ca_of(options.get("ca"), config), cache=cache)
    place = Place(api, project, settings.branch, str(options.get("user") or ""), where(ref))
    return place, basic("gitlab-ci-token" if job else "oauth2", token)


def served_by(config: Path, url: str) -> bool:
    """Whether the checkout's origin is at the forge's own server: nobody else is shown the token."""
    return same_server(origin_of(config), url)
