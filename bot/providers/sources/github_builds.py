"""Workflow runs of GitHub as upstreams (`provider: github`): the newest one of a branch or tag that succeeded.

A job is `<owner>/<repository>/<workflow>`, the workflow by its file's name, its own name or its number. Source:
https://docs.github.com/en/rest/actions/workflow-runs and .../workflows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.model.state import Build
from bot.ports import Cache
from bot.providers.downstream import budget_of, moment, secret_text
from bot.providers.github_api import GitHubApi, No, client
from bot.providers.secrets import read_secret

OF_A_PULL_REQUEST = frozenset(
    {"pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment"}
)
"""Events whose runs build somebody's proposal, whatever its branch is called."""

PAGE = 10
"""Runs that one request brings (some 15 kB each); nearly always the first one is it."""

PAGES = 10
"""How many requests look for a run that built the branch."""

WORKFLOWS = 100
"""Workflows on one page."""


def github_builds(
    instance: Instance, environ: Mapping[str, str], config: Path, cache: Cache
) -> GitHubBuilds | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read.

    Public repositories need no token. Answers are kept in `cache` and asked for conditionally, which costs nothing of
    the hour's budget.
    """
    budget = budget_of(instance)
    if isinstance(budget, Unreachable):
        return budget
    token = read_secret(instance.token, config, environ)
    if token is None and instance.token is not None:
        return Unreachable(f"instance {instance.name}: {secret_text(instance.token)} holds no token")
    ca = str(config / instance.ca) if instance.ca else ""
    return GitHubBuilds(client(instance.url, token or "", ca=ca, cache=cache, budget=budget))


class GitHubBuilds:
    """A `bot.ports.Builds` of the workflows of one GitHub; a build's number is its run's id, which a re-run keeps."""

    def __init__(self, api: GitHubApi) -> None:
        self._api = api

    def newest(self, job: str, ref: str, url: str) -> Build | None:
        """The newest run of the workflow for `ref` that succeeded; None where none did.

        One request in the ordinary case, two where the workflow is called by its name. Raises ServerUnreachable for a
        workflow that is not there or may not be seen, and where the run lies behind too many others.
        """
        del url  # a run builds its own repository
        owner, _, rest = job.partition("/")
        name, _, workflow = rest.partition("/")
        if not owner or not name or not workflow:
            raise ServerUnreachable(
                f"{self._api.server}: {job} names no workflow", hint="an upstream is called owner/repository/workflow"
            )
        actions = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/actions"
        path = f"{actions}/workflows/{quote(self._workflow(actions, workflow), safe='')}/runs"
        for run in self._runs(path, ref.removeprefix("refs/heads/").removeprefix("refs/tags/")):
            build = _build(run)
            if build is not None:
                return build
        return None

    def _workflow(self, actions: str, word: str) -> str:
        """What the server takes for a workflow: its number or its file's name."""
        if word.isdecimal() or word.endswith((".yml", ".yaml")):
            return word.rpartition("/")[2]
        path = f"{actions}/workflows"
        found = self._asked(path, per_page=WORKFLOWS)["workflows"]
        numbers = [str(each["id"]) for each in found if each["name"] == word]
        if len(numbers) != 1:
            raise ServerUnreachable(
                f"{self._api.server}: GET {path}: {len(numbers) or 'no'} workflows are called {word}",
                hint="call it by the name of its file, such as build.yml",
            )
        return numbers[0]

    def _runs(self, path: str, ref: str) -> Iterator[Mapping[str, Any]]:
        """The runs that succeeded for a branch or tag of this name, in this repository or a fork, newest first."""
        for page in range(1, PAGES + 1):
            runs = self._asked(path, branch=ref, status="success", per_page=PAGE, page=page)["workflow_runs"]
            yield from runs
            if len(runs) < PAGE:
                return
        raise ServerUnreachable(
            f"{self._api.server}: GET {path}: the newest {PAGE * PAGES} successful runs for {ref} are of pull requests",
            hint="does this workflow run when the branch is pushed?",
        )

    def _asked(self, path: str, **parameters: str | int) -> Any:
        answer = self._api.look(path, **parameters)
        if isinstance(answer, No):
            raise ServerUnreachable(
                f"{self._api.server}: GET {path}: {answer.status} {answer.text}",
                hint="check the upstream's name, and that the token has the permission `actions: read` there",
            )
        return answer


def _build(run: Mapping[str, Any]) -> Build | None:
    """What a run built; None for a proposal's, for a fork's branch of the same name, and where it does not say."""
    own, head = ((run.get(name) or {}).get("id") for name in ("repository", "head_repository"))
    sha, at = str(run.get("head_sha") or ""), moment(run.get("created_at"))
    if run.get("event") in OF_A_PULL_REQUEST or own is None or own != head or not sha or at is None:
        return None
    return Build(int(run["id"]), sha, at, str(run.get("html_url") or ""))
