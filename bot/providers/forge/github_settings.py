"""What `saasbot.yml` and the environment say of the GitHub forge: server, repository, token or app."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import WrongUsage
from bot.ports import Cache
from bot.providers.forge_access import basic, ca_of, origin_of, ref_of, same_server, token_of, where
from bot.providers.github_api import GitHubApi, client
from bot.providers.github_transport import PUBLIC, AppKey, api_root
from bot.providers.secrets import read_secret
from bot.settings import Settings

TOKENS = ("SAASBOT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
"""Environment variables that are looked at where `forge.token` is not set."""

OWN_SERVERS = (".github.com", ".ghe.com")
"""How the names of servers end that GitHub itself runs."""

HINT = (
    "make a fine-grained token: contents, pull requests and issues to write, checks and commit statuses to read; "
    "forge.token says where it is"
)
"""How to come by a token."""

_PROJECT = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Given:
    """The settings of the forge, judged. `in_actions`: this process is a job of a GitHub workflow."""

    api: GitHubApi
    project: str
    user: str
    sign: bool
    in_actions: bool


def given(settings: Settings, config: Path, environ: Mapping[str, str], cache: Cache) -> Given:
    """What the forge is made of; asks no server. Raises `WrongUsage` with what to set where that cannot work."""
    options = settings.forge.options
    project = str(options.get("project") or "").strip("/")
    if not _PROJECT.fullmatch(project):
        raise WrongUsage(
            f"forge.project {project!r} is not owner/name: whose pull requests?", hint="e.g. project: acme/saas-config"
        )
    url = str(options.get("url") or environ.get("GITHUB_API_URL") or PUBLIC)
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise WrongUsage(f"forge.url {url!r} is not the address of a server", hint=f"e.g. url: {PUBLIC}")
    app = options.get("app")
    auth: str | AppKey
    if isinstance(app, Mapping):
        auth = _app(app, project, config, environ)
    else:
        auth, _ = token_of(options.get("token"), TOKENS, config, environ, forge="GitHub", hint=HINT)
    try:
        api = client(url, auth, ca=ca_of(options.get("ca"), config), cache=cache)
    except ValueError as error:
        raise WrongUsage(f"forge.app.key: {error}", hint="make a new private key on the app's page") from error
    return Given(
        api=api,
        project=project,
        user=str(options.get("user") or ""),
        sign=options.get("sign") is True,
        in_actions=environ.get("GITHUB_ACTIONS") == "true",
    )


def _app(app: Mapping[str, object], project: str, config: Path, environ: Mapping[str, str]) -> AppKey:
    installation = app.get("installation") or 0
    key = app.get("key")
    if not app.get("id") or not isinstance(key, Mapping) or not isinstance(installation, int):
        raise WrongUsage(
            "forge.app needs id, key and the number of its installation",
            hint="e.g. app: {id: 12345, installation: 67890, key: {env: SAASBOT_APP_KEY}}",
        )
    ref = ref_of(key)
    secret = read_secret(ref, config, environ)
    if not secret:
        raise WrongUsage(f"there is no key for the GitHub app in {where(ref)}", hint="forge.app.key says where it is")
    return AppKey(str(app["id"]), secret, installation, project)


def git_login(token: str) -> str:
    """The `Authorization` that git needs at GitHub for a token of any kind."""
    return basic("x-access-token", token) if token else ""


def served_by(config: Path, url: str) -> bool:
    """Whether the checkout's origin is reached over HTTP at the forge's own server: nobody else is shown the token."""
    return same_server(origin_of(config), _web(api_root(url)))


def _web(root: str) -> str:
    """Where git is served: beside the API, which has a name of its own at GitHub's own servers only."""
    parts = urlsplit(root)
    own = (parts.hostname or "").endswith(OWN_SERVERS)
    return f"{parts.scheme}://{parts.netloc.removeprefix('api.') if own else parts.netloc}"
