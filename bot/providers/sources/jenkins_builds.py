"""Builds of Jenkins jobs as upstreams (`provider: jenkins`): the newest one that succeeded, and the commit it built.

`lastSuccessfulBuild` is not asked: to Jenkins an unstable build is successful, too. Of a multibranch project the job of
the followed branch or tag counts, of an organization folder that of the code repository within it. Sources:
https://www.jenkins.io/doc/book/using/remote-access-api/ and Jenkins' own `Job` and `Permalink`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.errors import ServerUnreachable
from bot.model.observed import Unreachable
from bot.model.servers import Instance
from bot.model.state import Build
from bot.ports import Cache
from bot.providers.jenkins_api import NOT_FOUND, WINDOWS, JenkinsApi, No, jenkins_api
from bot.providers.jenkins_names import branch_job, names, path
from bot.providers.sources.jenkins_commits import COMMIT_TREE, NoCommit, commit, repository_name

SUCCESS = "SUCCESS"
"""The only result that counts."""

_BUILD = f"number,result,building,timestamp,url,{COMMIT_TREE}"
_FIRST = f"builds[{_BUILD}]{{{WINDOWS[0][1]},{WINDOWS[0][2]}}},lastStableBuild[{_BUILD}],jobs[name]{{0,1}}"


def jenkins_builds(
    instance: Instance, environ: Mapping[str, str], config: Path, cache: Cache
) -> JenkinsBuilds | Unreachable:
    """The provider for an instance; `Unreachable` where its token cannot be read.

    In `cache` stands only which job a multibranch project has for a branch.
    """
    api = jenkins_api(instance, environ, config)
    return api if isinstance(api, Unreachable) else JenkinsBuilds(api, cache)


class JenkinsBuilds:
    """A `bot.ports.Builds` of the jobs of one Jenkins."""

    def __init__(self, api: JenkinsApi, cache: Cache) -> None:
        self._api = api
        self._cache = cache

    def newest(self, job: str, ref: str, url: str) -> Build | None:
        """The newest successful build, by number, that says which commit of `url` it built; None where none succeeded.

        One request in the ordinary case. Raises ServerUnreachable for a job that is not there or may not be seen, and
        where builds succeeded but none within reach says a commit.
        """
        way = names(job, self._api.server)
        if not way:
            raise ServerUnreachable(
                f"{self._api.server}: `{job}` names no job there",
                hint="an upstream is called by its job's name with its folders, such as folder/job",
            )
        found, answer = self._asked(way, ref, url)
        passed: list[str] = []
        for build in self._successes(found, answer):
            built = commit(build.get("actions") or (), url, ref)
            if not isinstance(built, NoCommit):
                at = datetime.fromtimestamp(build["timestamp"] / 1000, UTC)
                return Build(int(build["number"]), built, at, str(build.get("url") or ""))
            passed.append(f"#{build['number']} {built.text}")
        if not passed:
            return None
        raise ServerUnreachable(
            f"{self._api.server}: no successful build of {'/'.join(found)} says which commit of {url} it built: "
            f"{passed[0]}",
            hint="the job has to check out that repository with the git plugin, on the branch that the target follows",
        )

    def _asked(self, way: tuple[str, ...], ref: str, url: str) -> tuple[tuple[str, ...], Mapping[str, Any]]:
        """The job whose builds count, and what it says; the last step of the way is known from the time before."""
        name = f"jenkins-{hashlib.sha256(repr((self._api.server, way, ref, url)).encode()).hexdigest()}"
        known = self._cache.get(name)
        if known is not None:
            there = tuple(known.decode("utf-8", "replace").split("\n"))
            answer = self._api.get(path(there), _FIRST)
            if not isinstance(answer, No) and not _within(answer, ref, url):
                return there, answer
        there, answer = way, self._job(way)
        while step := _within(answer, ref, url):
            there = (*there, step)
            answer = self._job(there)
        if "jobs" in answer:
            raise ServerUnreachable(
                f"{self._api.server}: {'/'.join(there)} is a folder, not a job",
                hint="name the job in it: folder/job",
            )
        if there != way:
            self._cache.put(name, "\n".join(there).encode())
        return there, answer

    def _job(self, way: tuple[str, ...]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] | No = self._api.get(path(way), _FIRST)
        if isinstance(answer, No):
            raise (
                self._api.missing("/".join(way), answer) if answer.status == NOT_FOUND else self._api.refused(answer)
            )
        return answer

    def _successes(self, way: tuple[str, ...], first: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The successful builds, newest first; those far back only where one is known to be there."""
        page, seen = _in_order(first.get("builds")), set[int]()
        stable = first.get("lastStableBuild")
        for (_, start, stop), following in zip(WINDOWS, (*WINDOWS[1:], None), strict=True):
            for build in (*page, *([stable] if stable else ())):
                succeeded = build.get("result") == SUCCESS and not build.get("building")
                if succeeded and int(build["number"]) not in seen:
                    seen.add(int(build["number"]))
                    yield build
            if not stable or following is None or len(page) < stop - start:
                return
            page = self._page(way, *following)

    def _page(self, way: tuple[str, ...], name: str, start: int, stop: int) -> list[Mapping[str, Any]]:
        answer = self._api.get(path(way), f"{name}[{_BUILD}]{{{start},{stop}}}")
        if isinstance(answer, No):
            raise self._api.refused(answer)
        return _in_order(answer.get(name))


def _in_order(builds: Iterable[Mapping[str, Any]] | None) -> list[Mapping[str, Any]]:
    """Newest first, whatever order they came in."""
    return sorted(builds or (), key=lambda build: int(build["number"]), reverse=True)


def _within(container: Mapping[str, Any], ref: str, url: str) -> str:
    """Which of its jobs counts, for what Jenkins fills by itself; empty for a job, and for a plain folder."""
    kind = str(container.get("_class") or "")
    if kind.endswith("MultiBranchProject"):
        return branch_job(ref)
    return repository_name(url) if kind.endswith("OrganizationFolder") else ""
