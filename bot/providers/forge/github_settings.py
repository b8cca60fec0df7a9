"""What `saasbot.yml` and the environment say of the GitHub forge: server, repository, token or app."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bot.errors import WrongUsage
from bot.model.desired import SecretRef
from bot.ports import Cache
from bot.providers.git import GitError, git, text
from bot.providers.github_api import GitHubApi, client
from bot.providers.github_transport import PUBLIC, AppKey, api_root
from bot.providers.secrets import read_secret
from bot.settings import Settings

TOKENS = ("SAASBOT_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
"""Environment variables that are looked at where `forge.token` is not set."""

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
    project = str(options.get("project") or environ.get("GITHUB_REPOSITORY") or "").strip("/")
    if not _PROJECT.fullmatch(project):
        problem = f"forge.project {project!r} is not owner/name" if project else "forge.project is missing"
        raise WrongUsage(f"{problem}: whose pull requests?", hint="e.g. project: acme/saas-config")
    url = str(options.get("url") or environ.get("GITHUB_API_URL") or PUBLIC)
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise WrongUsage(f"forge.url {url!r} is not the address of a server", hint=f"e.g. url: {PUBLIC}")
    app = options.get("app")
    auth = _app(app, project, config, environ) if isinstance(app, Mapping) else _token(options, config, environ)
    try:
        api = client(url, auth, ca=_ca(options.get("ca"), config), cache=cache)
    except ValueError as error:
        raise WrongUsage(f"forge.app.key: {error}", hint="make a new private key on the app's page") from error
    return Given(
        api=api,
        project=project,
        user=str(options.get("user") or ""),
        sign=options.get("sign") is True,
        in_actions=environ.get("GITHUB_ACTIONS") == "true",
    )


def _token(options: Mapping[str, object], config: Path, environ: Mapping[str, str]) -> str:
    refs = [SecretRef(env=name) for name in TOKENS]
    option = options.get("token")
    if isinstance(option, Mapping):
        refs = [_ref(option)]
    found = next((token for ref in refs if (token := read_secret(ref, config, environ))), None)
    if found:
        return found
    raise WrongUsage(
        f"there is no token for GitHub in {' or '.join(map(_where, refs))}",
        hint="make a fine-grained token with write access to contents, pull requests and issues; "
        "forge.token says where it is",
    )


def _app(app: Mapping[str, object], project: str, config: Path, environ: Mapping[str, str]) -> AppKey:
    installation = app.get("installation") or 0
    key = app.get("key")
    if not app.get("id") or not isinstance(key, Mapping) or not isinstance(installation, int):
        raise WrongUsage(
            "forge.app needs id, key and the number of its installation",
            hint="e.g. app: {id: 12345, installation: 67890, key: {env: SAASBOT_APP_KEY}}",
        )
    ref = _ref(key)
    secret = read_secret(ref, config, environ)
    if not secret:
        raise WrongUsage(f"there is no key for the GitHub app in {_where(ref)}", hint="forge.app.key says where it is")
    return AppKey(str(app["id"]), secret, installation, project)


def _ca(option: object, config: Path) -> str:
    if not option:
        return ""
    file = config / str(option)
    if not file.is_file():
        raise WrongUsage(f"forge.ca: there is no file {option}", hint="a file of certificates in PEM, seen from here")
    return str(file)


def _ref(option: Mapping[str, object]) -> SecretRef:
    return SecretRef(env=str(option.get("env") or ""), file=str(option.get("file") or ""))


def _where(ref: SecretRef) -> str:
    """Where a secret comes from, in words."""
    return f"${ref.env}" if ref.env else f"the file {ref.file}"


def git_login(token: str) -> str:
    """The `Authorization` that git needs at GitHub for a token of any kind."""
    return f"Basic {base64.b64encode(f'x-access-token:{token}'.encode()).decode()}" if token else ""


def served_by(config: Path, url: str) -> bool:
    """Whether the checkout's origin is reached over HTTP at the API's own server: nobody else is shown the token."""
    try:
        origin = text(git(config, "remote", "get-url", "origin").strip())
    except GitError:
        return False
    here, there = urlsplit(origin), urlsplit(api_root(url))
    host = "github.com" if there.hostname == urlsplit(PUBLIC).hostname else there.hostname
    return here.scheme in {"http", "https"} and (here.hostname, here.port) == (host, there.port)
