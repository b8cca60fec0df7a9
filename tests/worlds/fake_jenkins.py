"""A fake Jenkins over HTTP: folders, jobs, the queue, builds, permissions, crumbs, and the remote API's `tree=`.

    with FakeJenkins(now=lambda: clock.now) as server:
        job = server.add("folder/deploy", parameters={"SAASBOT_RUN_KEY": "String"})
        ...                                    # POST /jenkins/job/folder/job/deploy/buildWithParameters
        job.builds[1].end(clock.now, "SUCCESS")

No Jenkins can be installed for tests and there is no official document of its API, so this rests on its sources, read
in 2026: `ParameterizedJobMixIn` and `ParametersDefinitionProperty` (201 with the queue item's address; a job without
parameters breaks; parameters that are not defined are dropped, missing ones get their default), `Queue` (an item equal
to one that waits is folded into it; items are known for five minutes after they left; 204, 404 or 422 to a
cancellation), `Executor` and `Run` (stop is a POST, answered with a redirect), `CrumbFilter` and `DefaultCrumbIssuer`
(a crumb belongs to a session; who comes with an API token needs none), `AccessDeniedException3` (the headers that name
a missing permission), `Job` (a job that may not be read is a 404), branch-api's `NameEncoder` and Stapler's pruner.
Whatever is asked without `tree=` counts as broken: a real server would answer with everything it has.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from worlds import planted
from worlds.contract import Contract
from worlds.fake_http import Answer, FakeServer, Request, Route
from worlds.fake_jenkins_model import FOLDER, FORGOTTEN, PIPELINE, Item, Job
from worlds.fake_jenkins_tree import parse, pruned

JOB = r"/jenkins((?:/job/[^/]+)+)"
USER, API_TOKEN, PASSWORD = "saasbot", planted.token("api"), planted.token("password")


class Undocumented(Contract):
    """The contract of a server that no document describes."""

    def __init__(self) -> None:
        self.prefix = ""

    def operation(self, method: str, path: str) -> None:
        """There is no document."""

    def check_request(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> list[str]:
        """The fake looks at requests itself."""
        del method, path, query, headers, body
        return []

    def check_response(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """Nothing is known of its answers."""
        del method, path, status, headers, body
        return []


class FakeJenkins(FakeServer):
    """The server, below the path `/jenkins`; it has one user with all permissions, and nobody else may see anything."""

    routes = (
        Route("GET", rf"{JOB}/api/json", "job"),
        Route("GET", rf"{JOB}/(\d+)/api/json", "build"),
        Route("POST", rf"{JOB}/(\d+)/stop", "stop"),
        Route("POST", rf"{JOB}/buildWithParameters", "build_with_parameters"),
        Route("GET", r"/jenkins/queue/api/json", "queue_items"),
        Route("GET", r"/jenkins/queue/item/(\d+)/api/json", "queue_item"),
        Route("POST", r"/jenkins/queue/cancelItem", "cancel_item"),
        Route("GET", r"/jenkins/crumbIssuer/api/json", "crumb_issuer"),
    )

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(Undocumented())
        self.now = now
        self.root = Job("", FOLDER)
        self.queue: dict[int, Item] = {}
        self.permissions = {"Job/Read", "Job/Build", "Job/Cancel"}
        self.bearer = ""
        self.crumbs = True
        """Whether posts need a crumb where no API token comes with them."""
        self.idle = True
        """Whether an executor is free."""
        self.stuck = False
        self.stubborn = False
        """Whether builds take their time to stop."""
        self.bodies: list[dict[str, str]] = []
        """The forms that were posted."""
        self._sessions: dict[str, str] = {}
        self._items = 1000

    @property
    def url(self) -> str:
        """Scheme, host, port and path."""
        return f"{super().url}/jenkins"

    def add(self, name: str, kind: str = PIPELINE, **more: Any) -> Job:
        """A job at `folder/sub/job`; folders come by themselves."""
        *folders, last = name.split("/")
        place = self.root
        for folder in folders:
            place = place.jobs[folder] if folder in place.jobs else place.add(Job(folder, FOLDER))
        return place.add(Job(last, kind, **more))

    def forget_sessions(self) -> None:
        """Sessions expire, and their crumbs with them."""
        self._sessions.clear()

    def advance(self) -> None:
        """What waits in the queue becomes a build, if its quiet period is over and an executor is free."""
        for item in self.queue.values():
            if item.left is None and self.idle and item.since + item.job.quiet <= self.now():
                item.build = item.job.build(self.now(), item.parameters).number
                item.left = self.now()

    def authorized(self, request: Request) -> Answer | None:
        """Who asks, and whether a crumb is there."""
        self.advance()
        kind, _, said = request.headers.get("authorization", "").partition(" ")
        user, _, secret = base64.b64decode(said).decode().partition(":") if kind == "Basic" else ("", "", "")
        right = (user == USER and secret in {API_TOKEN, PASSWORD}) or (kind == "Bearer" and said == self.bearer)
        if not right:
            return (
                _page(401, "Invalid password/token for user")
                if kind
                else _denied("anonymous", "hudson.model.Hudson.Read")
            )
        if request.method == "POST" and self.crumbs and secret != API_TOKEN and not self._crumb_fits(request):
            return _page(403, "No valid crumb was included in the request")
        if request.method == "GET" and request.path.endswith("/api/json") and not request.get("tree"):
            self.violations.append(f"{request.path} was asked for without tree=")
        return None

    def missing(self, request: Request) -> Answer:
        """Also what Jenkins says of a thing that may not be read."""
        del request
        return _page(404, "Not Found")

    def job(self, request: Request) -> Answer:
        """One job or folder."""
        job = self._job(request)
        return self._written(request, job.shown(self.url)) if job is not None else self.missing(request)

    def build(self, request: Request) -> Answer:
        """One build."""
        job = self._job(request)
        shown = job.shown_build(self.url, int(request.groups[1])) if job is not None else None
        return self._written(request, shown) if shown is not None else self.missing(request)

    def build_with_parameters(self, request: Request) -> Answer:
        """A new item of the queue, or the one that waits with the same parameters."""
        job = self._job(request)
        given = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        self.bodies.append(given)
        if job is None or job.container:
            return self.missing(request)
        if "Job/Build" not in self.permissions:
            return _denied(USER, "hudson.model.Item.Build")
        if job.disabled:
            return _trace(409, f"java.io.IOException: {job.name} is not buildable!")
        if job.parameters is None:
            return _page(500, "This build is not parameterized!")
        values = {name: given.get(name, "") for name in job.parameters}
        item = self._waiting(job, values) or self._new(job, values)
        self.advance()
        return Answer(201, headers={"Location": f"{self.url}/queue/item/{item.id}/"})

    def stop(self, request: Request) -> Answer:
        """A build is told to stop; one that is over is left as it is."""
        job = self._job(request)
        build = job.builds.get(int(request.groups[1])) if job is not None else None
        if build is None:
            return self.missing(request)
        if "Job/Cancel" not in self.permissions:
            return _denied(USER, "hudson.model.Item.Cancel")
        if build.ended is None and not self.stubborn:
            build.end(self.now(), "ABORTED")
        return Answer(302, headers={"Location": f"{self.url}{request.groups[0]}/"})

    def queue_items(self, request: Request) -> Answer:
        """What waits."""
        waiting = [self._item(item) for item in self.queue.values() if item.left is None]
        return self._written(request, {"_class": "hudson.model.Queue", "items": waiting[::-1]})

    def queue_item(self, request: Request) -> Answer:
        """One item, also for a while after it left."""
        item = self.queue.get(int(request.groups[0]))
        if item is None or (item.left is not None and self.now() - item.left > FORGOTTEN):
            return self.missing(request)
        return self._written(request, self._item(item))

    def cancel_item(self, request: Request) -> Answer:
        """An item leaves the queue without a build."""
        item = self.queue.get(int(request.get("id")))
        if item is None or item.left is not None:
            return _trace(404, f"java.lang.Exception: Provided id ({request.get('id')}) not found")
        if "Job/Cancel" not in self.permissions:
            return _trace(422, f"java.lang.Exception: Item for id ({item.id}) is not cancellable")
        item.left = self.now()
        return Answer(204)

    def crumb_issuer(self, request: Request) -> Answer:
        """A crumb for the caller's session, a new one where it has none."""
        if not self.crumbs:
            return self.missing(request)
        session = _session(request)
        if session not in self._sessions:
            session = f"node0{len(self._sessions)}{self.now():%f}{len(self.requests)}"
            self._sessions[session] = f"crumb-of-{session}"
        issuer = "hudson.security.csrf.DefaultCrumbIssuer"
        shown = {"_class": issuer, "crumb": self._sessions[session], "crumbRequestField": "Jenkins-Crumb"}
        answer = self._written(request, shown)
        cookie = {"Set-Cookie": f"JSESSIONID.fake={session}; Path=/jenkins; HttpOnly"}
        return Answer(answer.status, answer.body, cookie)

    def _crumb_fits(self, request: Request) -> bool:
        crumb = self._sessions.get(_session(request))
        return crumb is not None and request.headers.get("jenkins-crumb") == crumb

    def _job(self, request: Request) -> Job | None:
        if "Job/Read" not in self.permissions:
            return None
        place: Job | None = self.root
        for name in _names(request.groups[0]):
            place = place.jobs.get(name) if place is not None else None
        return place

    def _waiting(self, job: Job, values: Mapping[str, str]) -> Item | None:
        found: Iterable[Item] = self.queue.values()
        return next((i for i in found if i.left is None and i.job is job and i.parameters == values), None)

    def _new(self, job: Job, values: dict[str, str]) -> Item:
        self._items += 1
        made = self.queue[self._items] = Item(self._items, job, values, self.now())
        return made

    def _item(self, item: Item) -> dict[str, Any]:
        return item.shown(self.url, self.now(), stuck=self.stuck)

    def _written(self, request: Request, value: Mapping[str, Any]) -> Answer:
        try:
            return Answer(200, pruned(dict(value), parse(request.get("tree"))))
        except (ValueError, IndexError) as error:
            self.violations.append(f"{request.path}: tree={request.get('tree')}: {error}")
            return _page(500, "expected name")


def _names(path: str) -> list[str]:
    return [unquote(name) for name in path.split("/job/")[1:]]


def _session(request: Request) -> str:
    found = re.search(r"JSESSIONID\.fake=([^;]+)", request.headers.get("cookie", ""))
    return found[1] if found else ""


def _page(status: int, words: str) -> Answer:
    """An error as people see it; every page names the crumb's header for its scripts."""
    head = f'<title>Error {status} {words}</title></head><body data-crumb-header="Jenkins-Crumb">'
    return Answer(status, f"<html><head>{head}{words}</body></html>".encode(), {"Content-Type": "text/html"})


def _denied(user: str, permission: str) -> Answer:
    page = _page(403, "Access Denied")
    named = {"X-You-Are-Authenticated-As": user, "X-Required-Permission": permission}
    return Answer(403, page.body, {**page.headers, **named})


def _trace(status: int, words: str) -> Answer:
    """What `HttpResponses.error` writes: an exception with its stack."""
    return Answer(status, f"{words}\n\tat hudson.util.HttpResponses.error(HttpResponses.java:79)\n".encode())
