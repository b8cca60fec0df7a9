"""Runs as Jenkins shows them: queue items and builds in our words, and the search for one by its run key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from bot.model.observed import RunFact
from bot.model.runs import RunStatus
from bot.providers.jenkins_api import WINDOWS, JenkinsApi, No

WORDS: Mapping[str, RunStatus] = {
    "queued": RunStatus.PENDING,
    "cancelled": RunStatus.CANCELED,
    "building": RunStatus.RUNNING,
    "SUCCESS": RunStatus.SUCCEEDED,
    "UNSTABLE": RunStatus.FAILED,
    "FAILURE": RunStatus.FAILED,
    "ABORTED": RunStatus.CANCELED,
    "NOT_BUILT": RunStatus.CANCELED,
}
"""Jenkins' words for the state of a queue item or the result of a build in ours."""

SENTENCES: Mapping[str, str] = {
    "cancelled": "it was taken out of Jenkins' queue",
    "UNSTABLE": "Jenkins calls it unstable: a test or a check failed",
    "NOT_BUILT": "Jenkins did not build it",
}
"""What is worth saying of a state besides its word."""

BUILD_TREE = "number,url,result,building,timestamp,duration,actions[parameters[name,value]]"
"""What is asked for of a build."""

_QUEUE_TREE = "items[id,why,stuck,task[url],actions[parameters[name,value]]]"
_HANDLE = re.compile(r"(?:queue/(?P<item>\d+)/(?P<queued>job/.+)|(?P<job>job/.+)/(?P<number>\d+))")
_COUNTDOWN = re.compile(r"\s*(?:\(ETA:[^)]*\)|\.? *Expires in .*)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: the path of its job (`/job/a/job/b`), and a queue item's or a build's number."""

    job: str
    number: int
    queued: bool = False

    @property
    def handle(self) -> str:
        """The run's handle; `place_of` reads it back."""
        return f"queue/{self.number}{self.job}" if self.queued else f"{self.job[1:]}/{self.number}"

    @property
    def name(self) -> str:
        """The job's name with its folders."""
        return "/".join(unquote(part) for part in self.job.split("/job/")[1:])


@dataclass(frozen=True, slots=True)
class Lost:
    """The run was not found, but what is there may not be everything there was."""

    text: str


def place_of(handle: str) -> Place | None:
    """The place that a handle names; None for what is no handle of this provider."""
    found = _HANDLE.fullmatch(handle)
    if found is None:
        return None
    if found["item"]:
        return Place(f"/{found['queued']}", int(found["item"]), queued=True)
    return Place(f"/{found['job']}", int(found["number"]))


def queue_fact(server: str, place: Place, item: Mapping[str, Any], key: str) -> RunFact | Place | None:
    """What a queue item says; its build, once there is one; None where it is not this run's item.

    Jenkins counts items from 1 again when it has lost its queue.
    """
    if not _carries(item, key):
        return None
    build = item.get("executable")
    if build:
        return Place(place.job, int(build["number"]))
    word = "cancelled" if item.get("cancelled") else "queued"
    why = _COUNTDOWN.sub("", str(item.get("why") or "")).strip()
    text = SENTENCES.get(word) or (f"stuck in the queue: {why}" if item.get("stuck") else why)
    return RunFact(WORDS[word], place.handle, f"{server}{place.job}/", text)


def build_fact(place: Place, build: Mapping[str, Any]) -> RunFact:
    """What a build says; a result that this program does not know is no success."""
    result = "" if build.get("building") else str(build.get("result") or "")
    word = result or "building"
    status = WORDS.get(word, RunStatus.UNKNOWN)
    began = _moment(build.get("timestamp"))
    ended = None if status.in_flight else _moment((build.get("timestamp") or 0) + (build.get("duration") or 0))
    text = SENTENCES.get(word) or ("" if word in WORDS else f"Jenkins calls it {word}")
    return RunFact(status, place.handle, str(build.get("url") or ""), text, began, ended)


def search(api: JenkinsApi, job: str, key: str, since: datetime) -> RunFact | No | Lost | None:
    """The run with this key among the queue's items and the job's builds since then.

    None where it clearly is not there, `Lost` where it may have been. The queue is read first: what leaves it becomes a
    build. The first build with the key is the run; Jenkins gives what is built again the same parameters.
    """
    queue = api.get("/queue", _QUEUE_TREE)
    if isinstance(queue, No):
        return queue
    found = _builds(api, job, since)
    if isinstance(found, _Builds) and not found.all_there:
        found = _builds(api, job, since)  # a build has its number a moment before it is listed
    if isinstance(found, No):
        return found
    builds = [build for build in found.builds if _carries(build, key)]
    if builds:
        first = min(builds, key=lambda build: int(build["number"]))
        return build_fact(Place(job, int(first["number"])), first)
    items = [item for item in queue.get("items") or () if _of(item, job) and _carries(item, key)]
    if items:
        first = min(items, key=lambda item: int(item["id"]))
        fact = queue_fact(api.server, Place(job, int(first["id"]), queued=True), first, key)
        return fact if isinstance(fact, RunFact) else None
    return None if found.all_there else Lost("builds of that time are deleted, or there are too many")


@dataclass(frozen=True, slots=True)
class _Builds:
    """Builds of a job, and whether they are all that began since a moment."""

    builds: tuple[Mapping[str, Any], ...]
    all_there: bool


def _builds(api: JenkinsApi, job: str, since: datetime) -> _Builds | No:
    """The builds that began since then. A number that is missing among them is of a build that was deleted."""
    read: dict[int, Mapping[str, Any]] = {}
    following = 1
    for name, start, stop in WINDOWS:
        answer = api.get(job, f"nextBuildNumber,{name}[{BUILD_TREE}]{{{start},{stop}}}")
        if isinstance(answer, No):
            return answer
        page = answer.get(name) or ()
        following = following if start else int(answer.get("nextBuildNumber") or 1)
        read |= {int(build["number"]): build for build in page}
        earlier = [number for number, build in read.items() if (_moment(build.get("timestamp")) or since) < since]
        if earlier or len(page) < stop - start:
            wanted = range(max(earlier, default=0) + 1, following)
            return _Builds(tuple(read.values()), all(number in read for number in wanted))
    return _Builds(tuple(read.values()), all_there=False)


def _of(item: Mapping[str, Any], job: str) -> bool:
    """Whether a queue item is of this job; Jenkins may call itself by another name than we do."""
    _, found, way = urlsplit(str((item.get("task") or {}).get("url") or "")).path.partition("/job/")
    return unquote(f"{found}{way}".rstrip("/")) == unquote(job)


def _carries(thing: Mapping[str, Any], key: str) -> bool:
    """Whether a queue item or build has this run key for a parameter."""
    actions: Iterable[Mapping[str, Any] | None] = thing.get("actions") or ()
    return any(each.get("value") == key for action in actions for each in (action or {}).get("parameters") or ())


def _moment(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if isinstance(milliseconds, int) else None
