"""What there is in a fake Jenkins: folders, jobs, queue items and builds, with the objects that its API writes.

The names, kinds and meanings of the attributes are those of Jenkins' own exported beans (`Job`, `Run`, `Queue.Item`,
`ParametersAction`), of the git plugin's `BuildData` and of the scm-api plugin's `SCMRevisionAction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from worlds.fake_jenkins_tree import Map

FORGOTTEN = timedelta(minutes=5)
"""How long Jenkins knows an item that left the queue."""

NEWEST = 100
"""How many builds a job's `builds` has."""

FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
MULTIBRANCH = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
ORGANIZATION = "jenkins.branch.OrganizationFolder"
PIPELINE = "org.jenkinsci.plugins.workflow.job.WorkflowJob"
FREESTYLE = "hudson.model.FreeStyleProject"

HIDDEN = "Password"


def git(sha: str, *remotes: str, branch: str = "refs/remotes/origin/main", marked: str = "") -> dict[str, Any]:
    """A `BuildData`; `marked` is the branch's commit where what was built is a merge made in the workspace."""
    of_branch = [{"SHA1": marked or sha, "name": branch}]
    revision = {"SHA1": sha, "branch": of_branch}
    built = {"buildNumber": 1, "buildResult": None, "marked": {"SHA1": marked or sha}, "revision": revision}
    return {
        "_class": "hudson.plugins.git.util.BuildData",
        "buildsByBranchName": Map({branch: {"_class": "hudson.plugins.git.util.Build", **built}}),
        "lastBuiltRevision": revision,
        "remoteUrls": list(remotes),
        "scmName": "",
    }


def revision(sha: str, *, pull: bool = False) -> dict[str, Any]:
    """A `SCMRevisionAction`, of a branch or of a pull request."""
    kind = "org.jenkinsci.plugins.github_branch_source.PullRequestSCMRevision"
    own = {"_class": kind, "pullHash": sha, "baseHash": "0" * 40}
    branch = {"_class": "jenkins.plugins.git.AbstractGitSCMSource$SCMRevisionImpl", "hash": sha}
    return {"_class": "jenkins.scm.api.SCMRevisionAction", "revision": own if pull else branch}


@dataclass
class Build:
    """One build; `result` is None as long as nothing has decided it."""

    number: int
    began: datetime
    parameters: dict[str, str] = field(default_factory=dict)
    scm: Sequence[dict[str, Any]] = ()
    result: str | None = None
    ended: datetime | None = None

    def end(self, now: datetime, result: str) -> None:
        """It is over."""
        self.result, self.ended = result, now


@dataclass
class Job:
    """A job, or a folder with others in it. `parameters` maps names to kinds; None: it is not parameterised."""

    name: str
    kind: str = PIPELINE
    parameters: dict[str, str] | None = None
    quiet: timedelta = timedelta(seconds=5)
    disabled: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    builds: dict[int, Build] = field(default_factory=dict)
    following: int = 1
    path: str = ""

    @property
    def container(self) -> bool:
        """Whether it is a folder of some kind."""
        return self.kind in {FOLDER, MULTIBRANCH, ORGANIZATION}

    def add(self, job: Job) -> Job:
        """Put a job into this folder."""
        job.path = f"{self.path}/job/{quote(job.name, safe='')}"
        self.jobs[job.name] = job
        return job

    def build(self, now: datetime, parameters: Mapping[str, str] = {}, scm: Sequence[dict[str, Any]] = ()) -> Build:
        """A build that begins."""
        made = Build(self.following, now, dict(parameters), scm)
        self.builds[made.number] = made
        self.following += 1
        return made

    def shown(self, url: str) -> dict[str, Any]:
        """The object that the API writes."""
        base = {"_class": self.kind, "name": self.name, "url": f"{url}{self.path}/"}
        if self.container:
            return base | {"jobs": [each.shown(url) for each in self.jobs.values()]}
        builds = [self._build(url, each) for _, each in sorted(self.builds.items(), reverse=True)]
        over = [each for each in builds if not each["building"]]
        definitions = [_definition(name, kind) for name, kind in (self.parameters or {}).items()]
        parameters = {"_class": "hudson.model.ParametersDefinitionProperty", "parameterDefinitions": definitions}
        return base | {
            "buildable": not self.disabled,
            "builds": builds[:NEWEST],
            "allBuilds": builds,
            "lastStableBuild": next((each for each in over if each["result"] == "SUCCESS"), None),
            "lastSuccessfulBuild": next((each for each in over if each["result"] in {"SUCCESS", "UNSTABLE"}), None),
            "nextBuildNumber": self.following,
            "property": [{}] + ([parameters] if self.parameters is not None else []),
        }

    def _build(self, url: str, build: Build) -> dict[str, Any]:
        duration = int((build.ended - build.began).total_seconds() * 1000) if build.ended else 0
        return {
            "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun",
            "actions": [{}, *_parameters(self, build.parameters), *build.scm],
            "building": build.ended is None,
            "duration": duration,
            "number": build.number,
            "result": build.result,
            "timestamp": int(build.began.timestamp() * 1000),
            "url": f"{url}{self.path}/{build.number}/",
        }

    def shown_build(self, url: str, number: int) -> dict[str, Any] | None:
        """The object of one build."""
        return self._build(url, self.builds[number]) if number in self.builds else None


@dataclass
class Item:
    """An item of the queue; `left` is when it became a build or was cancelled."""

    id: int
    job: Job
    parameters: dict[str, str]
    since: datetime
    left: datetime | None = None
    build: int = 0

    def shown(self, url: str, now: datetime, *, stuck: bool) -> dict[str, Any]:
        """The object that the API writes."""
        task = {"_class": self.job.kind, "name": self.job.name, "url": f"{url}{self.job.path}/"}
        shown: dict[str, Any] = {
            "_class": "hudson.model.Queue$WaitingItem",
            "actions": [*_parameters(self.job, self.parameters), {"_class": "hudson.model.CauseAction", "causes": []}],
            "id": self.id,
            "inQueueSince": int(self.since.timestamp() * 1000),
            "stuck": stuck and self.left is None,
            "task": task,
            "url": f"queue/item/{self.id}/",
            "why": None,
        }
        rest = (self.since + self.job.quiet - now).total_seconds()
        if self.left is not None:
            number = {"number": self.build, "url": f"{task['url']}{self.build}/"}
            executable = {"_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun", **number}
            left = {"cancelled": not self.build, "executable": executable if self.build else None}
            return shown | {"_class": "hudson.model.Queue$LeftItem"} | left
        if rest > 0:
            return shown | {"why": f"In the quiet period. Expires in {rest:.1f} sec"}
        return shown | {"_class": "hudson.model.Queue$BuildableItem", "why": "Waiting for next available executor"}


def _definition(name: str, kind: str) -> dict[str, Any]:
    return {"_class": f"hudson.model.{kind}ParameterDefinition", "name": name, "type": f"{kind}ParameterDefinition"}


def _parameters(job: Job, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """The action with the parameters; the values of some kinds are not written."""
    if not values:
        return []
    kinds = job.parameters or {}
    shown = [{"name": name} | ({} if kinds.get(name) == HIDDEN else {"value": text}) for name, text in values.items()]
    return [{"_class": "hudson.model.ParametersAction", "parameters": shown}]
