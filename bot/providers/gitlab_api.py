"""GitLab's REST API through python-gitlab: one client, and its errors in our words.

Shared by the forge and the pipelines provider. Source: https://docs.gitlab.com/api/rest/ and its troubleshooting page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import requests
from gitlab import Gitlab
from gitlab.exceptions import GitlabError

from bot.errors import ServerUnreachable
from bot.ports import Cache, Refused
from bot.providers.http import Budget, RateLimited, cause, session
from bot.providers.secrets import redact, remember

PUBLIC = "https://gitlab.com"
"""The server where none is named."""

PER_PAGE = 100
"""The most that GitLab puts on a page."""

LONGEST = 300
"""Characters of a server's own words that are told."""

ORDINARY = frozenset({400, 405, 406, 409, 422})
"""Statuses of a write that are an ordinary no: a conflict, a race, a rule of the project."""

NOT_FOUND, FORBIDDEN, UNAUTHORIZED, TOO_MANY, BROKEN = 404, 403, 401, 429, 500

_JOB_TOKEN = "glcbt-"  # noqa: S105 - what GitLab puts in front of every CI job's token since 16.8
_SPACE = re.compile(r"\s+")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]+@")


class _Client(Gitlab):
    """python-gitlab without its own repetitions: the session repeats what may be repeated, and nothing else."""

    def http_request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As the library's, but a 429 that the session would not wait for is an answer."""
        return super().http_request(*args, **{**kwargs, "obey_rate_limit": False, "max_retries": 0})

    def _get_session_opts(self) -> dict[str, Any]:
        """As the library's, but a redirect is an answer: following it would hand the token to another server."""
        return {**super()._get_session_opts(), "allow_redirects": False}


def client(
    url: str,
    token: str,
    *,
    job: bool = False,
    ca: str = "",
    cache: Cache | None = None,
    budget: Budget | None = None,
) -> Gitlab:
    """A client that asks nothing yet; may be used by several threads.

    `token` is a personal, project or group access token; with `job`, or where it looks like one, a CI job's token.
    `ca` is a file of certificates, empty for the machine's. Answers that the server lets be kept are kept in `cache`,
    unless the token is a job's, which lives no longer than that.
    """
    remember(token)
    job = job or token.startswith(_JOB_TOKEN)
    return _Client(
        url or PUBLIC,
        private_token=None if job else token,
        job_token=token if job else None,
        per_page=PER_PAGE,
        keep_base_url=True,  # behind a proxy the server's own links to the next page lead elsewhere
        retry_transient_errors=False,
        # Answers are kept by token: what a job's own has seen, nobody could ever use again.
        session=session(ca=ca, budget=budget, conditional=None if job else cache),
    )


@contextmanager
def asking(server: str, request: str, *, token: str = "the token", project: str = "") -> Iterator[None]:  # noqa: S107 - says where the token is, not what
    """Turn whatever goes wrong inside into `ServerUnreachable`: one line with server and request, and advice.

    `request` says in words what is asked, `token` where the token comes from (`$GITLAB_TOKEN`), `project` whose it is.
    """
    where = f"{_CREDENTIALS.sub('', server)}: {request}"
    try:
        yield
    except GitlabError as error:
        raise ServerUnreachable(f"{where}: {said(error)}", hint=advice(error, token, project)) from error
    except RateLimited as error:
        raise ServerUnreachable(f"{where}: {_line(cause(error))}", hint="ask less often, or raise its limit") from error
    except requests.RequestException as error:
        hint = "try again later; check the address, the network, the proxy and the certificates"
        raise ServerUnreachable(f"{where}: {_line(cause(error))}", hint=hint) from error
    except msgspec.ValidationError as error:
        hint = "is this a GitLab of today? check the address"
        raise ServerUnreachable(f"{where}: the answer is not as documented: {_line(str(error))}", hint=hint) from error


def ordinary(error: GitlabError) -> bool:
    """Whether a write was turned down in an ordinary way; a thing that is gone counts, a whole project does not."""
    return error.response_code in ORDINARY or missing(error)


def missing(error: GitlabError) -> bool:
    """Whether the thing asked for is not there, while the project around it is."""
    return error.response_code == NOT_FOUND and "project not found" not in said(error).lower()


def refusal(error: GitlabError, what: str) -> Refused:
    """An ordinary no as one sentence: `what` was not done, and why in GitLab's words."""
    return Refused(f"{what}: {said(error)}")


def said(error: GitlabError) -> str:
    """What GitLab said, in one line without secrets, with the status in front of it."""
    words = _line(_words(error.error_message))
    code = str(error.response_code or "")
    return words if words.startswith(code) else f"{code} {words}".strip()


def _words(message: Any) -> str:
    """GitLab's messages are texts, lists of them, or both by field: `{"title": ["is too long"]}`."""
    if isinstance(message, bytes):
        return message.decode("utf-8", "replace")
    if isinstance(message, Mapping):
        return "; ".join(
            f"{key}: {_words(value)}" if key != "base" else _words(value) for key, value in message.items()
        )
    if isinstance(message, list | tuple):
        return ", ".join(map(_words, message))
    return str(message)


def _line(text: str) -> str:
    """The text in one line, cut, and without secrets; a page of HTML says nothing that could be told."""
    if text.lstrip().startswith("<"):
        return "the answer is a page for people, not the API's"
    line = _SPACE.sub(" ", redact(_CREDENTIALS.sub("", text))).strip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def advice(error: GitlabError, token: str, project: str) -> str:
    """What the user can do about a status."""
    code = error.response_code or 0
    if code == UNAUTHORIZED:
        return f"check {token}: it is missing, expired or revoked, or it may not ask this"
    if code == FORBIDDEN:
        return f"{token} needs the scope `api`, and its user the role Developer or higher in {project or 'the project'}"
    if code == NOT_FOUND:
        return f"check the path {project or 'of the project'}, and that {token} may see it"
    if code == TOO_MANY or code >= BROKEN:
        return "try again later"
    if code // 100 == 3:  # noqa: PLR2004 - the class of redirects
        return "the server is reached at another address, or the project was moved: correct url and project"
    return "check the address: is it a GitLab?" if not code else ""
