"""The story at GitLab and GitHub with one request going wrong at a time: afterwards nobody can tell.

The story is recorded once with its write requests; then it is walked again with the n-th of them lost, refused or
delayed. Each walk is followed by further passes, and must end where the story without faults ends.
By default each fault meets a sample of the writes, another one for each fault; SAASBOT_FAULTS=all is for all of them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from difflib import unified_diff
from functools import cache
from itertools import count
from pathlib import Path
from pprint import pformat
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from worlds.fake_http import Answer, Fault, Request
from worlds.forge_world import TOKEN, Forge, ForgeWorld, forge_world
from worlds.world import PROD

from bot.cli.reconcile import merged
from bot.errors import ServerUnreachable
from bot.model.plan import OutcomeStatus
from bot.providers.git import git
from bot.reconcile import until_idle

SERVERS: tuple[Forge, ...] = ("gitlab", "github")
MORE = 'dashboard: {title: "Deployments"}\npromotions: {merge: when_approved}\n'
ALL = os.environ.get("SAASBOT_FAULTS") == "all"
STEP = 40
"""By default every fortieth write is lost, before or after the server acts; other faults meet one write each."""

FAULTS: dict[str, Answer | Literal["drop before", "drop after"] | float] = {
    "drop-before": "drop before",
    "drop-after": "drop after",
    "500": Answer(500, {"message": "Internal Server Error"}),
    "503": Answer(503, {"message": "Service Unavailable"}),
    "429-now": Answer(429, {"message": "Too Many Requests"}, {"Retry-After": "0"}),
    "429-soon": Answer(429, {"message": "Too Many Requests"}, {"Retry-After": "1"}),
    "405": Answer(405, {"message": "405 Method Not Allowed"}),
    "409": Answer(409, {"message": "SHA does not match HEAD of source branch"}),
    "422": Answer(422, {"message": "Unprocessable Entity"}),
    "slow": 0.3,
}
REFUSALS = {"405", "409", "422"}
"""What is said to writes of merge requests themselves only: there, servers say it."""

ENDS = re.compile(r"(POST|PUT|PATCH) .*/(merge_requests|pulls)(/\d+(/merge)?)?")
"""Opening, changing and merging."""

HARMLESS = {"429-now", "429-soon", "slow"}
"""What the transport gets over by itself: no outcome may tell of it."""


@dataclass
class Nth:
    """Counts the write requests of a story and hits the one numbered `at`, from 1."""

    at: int = 0
    names: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> bool:
        """Whether this is the one."""
        if not writes(request):
            return False
        self.names.append(f"{request.method} {request.path}")
        return len(self.names) == self.at


def writes(request: Request) -> bool:
    """Whether a request changes the server: not a read, not git's fetch, not a GraphQL query."""
    if request.method in {"GET", "HEAD"} or request.path.endswith("git-upload-pack"):
        return False
    return not request.path.endswith("graphql") or b"mutation" in request.body


@dataclass
class Walk:
    """A story under way: its passes with the fault, and the passes that recover."""

    world: ForgeWorld
    broken: list[str] = field(default_factory=list)

    def on(self) -> None:
        """Go on until idle, whatever happens; where something broke, further passes recover. 20 minutes go by."""
        broken = self._passes()
        for _ in range(2):
            self.world.later(minutes=10)
            broken = broken and self._passes()
        self.world.check()

    def _passes(self) -> bool:
        """Whether something broke. Anything but an outcome or a server out of reach is a bug, and is raised."""
        before = len(self.broken)
        try:
            report = merged(tuple(until_idle(self.world.job(), None)))
        except ServerUnreachable as error:
            self.broken.append(error.message)
        else:
            self.broken += [each.text for each in report.outcomes if each.status is not OutcomeStatus.DONE]
        return len(self.broken) > before


def story(world: ForgeWorld) -> Walk:
    """Adoption, stage, merge request, conflict, commands, an approval, merge, production, and a second merge request.

    Beside it a person proposes a change and gets a plan.
    """
    walk = Walk(world)
    walk.on()
    world.commit()
    walk.on()
    world.later(hours=25)
    walk.on()
    (opened,) = world.merge_requests()
    world.edit("svc/saas.yml", "LEVEL: info", "LEVEL: debug")
    old = world.ref()
    world.edit("svc/saas.yml", f"ref: {old}", f"ref: {old}  # a note")
    world.people.comment_as("alice", opened.iid, "/saasbot status")
    world.people.comment_as("bob", opened.iid, '/saasbot override soak reason="now"')
    world.people.comment_dashboard_as("bob", f"/saasbot explain {PROD}")
    walk.on()
    text = world.on_main("svc/saas.yml").replace("LEVEL: debug", "LEVEL: trace")
    change = world.proposes({"svc/saas.yml": text})
    walk.on()
    world.close(change.iid)
    world.approve(opened.iid)
    walk.on()
    world.commit()
    walk.on()
    world.later(hours=25)
    walk.on()
    return walk


def walked(kind: Forge, root: Path, fault: Fault) -> tuple[Walk, dict[str, Any]]:
    """The story in a new world with at most one fault, and all that people see at its end."""
    os.environ["SAASBOT_CACHE_DIR"] = str(root / "cache")
    with forge_world(kind, root / "world", more=MORE) as world:
        assert world.server is not None
        world.server.faults.append(fault)
        walk = story(world)
        world.server.faults.clear()
        walk.on()
        return walk, seen(world)


CHANGE = "A change"
"""The title of the merge request of a person."""

TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
SPANS = re.compile(r" after -?\d[\dhms]*")
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
MARKS = re.compile(r"<!-- saasbot:(\w+) .*?-->", re.DOTALL)


def seen(world: ForgeWorld) -> dict[str, Any]:
    """All that people can see at the end, without times, addresses and signatures."""

    def plain(text: str) -> str:
        text = ADDRESS.sub("SERVER", text).replace(str(world.root), "ROOT")
        return SPANS.sub(" after SPAN", TIMES.sub("TIME", MARKS.sub(r"<\1>", text)))

    def notes(found: Any) -> list[tuple[str, str]]:
        return sorted((note.author, plain(note.body)) for note in found.notes)

    repo, state, board = world.folders.forge / "config.git", world.state(), world.people.dashboard()
    assert board is not None
    return {
        "merge_requests": [
            (each.iid, each.state, each.title, each.source_branch, each.labels, plain(each.description), notes(each))
            for each in world.people.list_all()
        ],
        "dashboard": (plain(board.body), notes(board)),
        "branches": git(repo, "branch", "--list", "--format=%(refname:short)").decode().split(),
        "main": world.on_main("svc/saas.yml").replace(str(world.root), "ROOT"),
        "runs": world.runs(),
        "targets": {
            key: (each.sha, each.deployed_sha, each.run and each.run.number) for key, each in state.targets.items()
        },
        "channels": {key: [each.sha for each in found] for key, found in state.channels.items()},
        "left": (
            dict(state.answers),
            {key: (each.iid, each.batch, each.edits, each.hold) for key, each in state.merge_requests.items()},
            state.vetoes,
        ),
    }


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that the bot reads; each walk has a cache of its own."""
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    monkeypatch.setenv("SAASBOT_CACHE_DIR", "set by each walk")


@cache
def without_faults(kind: Forge) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The write requests of the story in order, and what is seen at its end."""
    with TemporaryDirectory() as folder:
        nth = Nth()
        walk, end = walked(kind, Path(folder), Fault(nth, "drop before"))
        assert walk.broken == []
        return tuple(nth.names), end


def chosen(names: tuple[str, ...], name: str) -> list[int]:
    """The numbers of the writes that meet a fault."""
    numbers = [at for at, each in enumerate(names, 1) if name not in REFUSALS or ENDS.fullmatch(each)]
    place = list(FAULTS).index(name)
    if ALL:
        return numbers
    return numbers[place * 3 :: STEP] if name.startswith("drop") else [numbers[place * 7 % len(numbers)]]


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What is not as it would be without faults."""
    wrong = []
    for part in (part for part in wanted if found[part] != wanted[part]):
        there, here = pformat(wanted[part], width=200).splitlines(), pformat(found[part], width=200).splitlines()
        wrong.append(f"{part}:\n" + "\n".join(unified_diff(there, here, "wanted", "found", n=0, lineterm="")))
    return wrong


CASES = [
    (kind, name)
    for place, name in enumerate(FAULTS)
    for number, kind in enumerate(SERVERS)
    if ALL or name.startswith("drop") or place % len(SERVERS) == number
]
"""Lost writes at both servers, and by default each other fault at one of them."""


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_one_write_goes_wrong(kind: Forge, name: str, tmp_path: Path) -> None:
    names, end = without_faults(kind)
    wrong = []
    for at in chosen(names, name):
        nth = Nth(at)
        walk, found = walked(kind, tmp_path / str(at), Fault(nth, FAULTS[name]))
        assert len(nth.names) >= at, "the fault was not met"
        problems = differences(found, end) + (walk.broken if name in HARMLESS else [])
        wrong += [f"{name} of write {at}, {names[at - 1]} ({walk.broken}): {each}" for each in problems]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", SERVERS)
def test_lists_are_stale_now_and_then(kind: Forge, tmp_path: Path) -> None:
    reads = count(1)

    def third_list(request: Request) -> bool:
        return re.fullmatch(r".*/(merge_requests|pulls)", request.path) is not None and next(reads) % 3 == 0

    _, found = walked(kind, tmp_path, Fault(third_list, "stale", times=10_000))
    wanted = without_faults(kind)[1]
    own = {"merge_requests": [each for each in wanted["merge_requests"] if each[2] != CHANGE]}  # it closes too soon
    found["merge_requests"] = [each for each in found["merge_requests"] if each[2] != CHANGE]
    problems = differences(found, wanted | own)
    assert not problems, "\n".join(problems)
    assert next(reads) > 20, "lists were read"
