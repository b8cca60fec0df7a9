"""Many open merge requests: a pass with nothing to do asks for the list's pages and for the bot's own, no more.

`SAASBOT_OPEN` says how many: two hundred take a minute. By default there are few, and the servers' pages are short.
`pytest -rP tests/scenarios/test_two_hundred_open.py` prints what was asked.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from worlds.forge_world import TOKEN, Forge, ForgeWorld, served
from worlds.line_world import broken

from bot.providers.git import git

OWN = tuple(f"s{number}" for number in range(5))
OPEN = int(os.environ.get("SAASBOT_OPEN", "30"))
PAGE = 100 if OPEN > 100 else 20
NUMBER = re.compile(r"/\d+(?=/|$)")
LISTS = {"gitlab": "/merge_requests", "github": "/pulls"}


def asked(world: ForgeWorld) -> Counter[str]:
    """By method and path without numbers: the API requests since the last look."""
    assert world.server is not None
    found = Counter(
        f"{entry.method} {NUMBER.sub('/N', entry.path)}" for entry in world.server.requests if ".git/" not in entry.path
    )
    world.server.requests.clear()
    return found


def people_open(world: ForgeWorld, count: int) -> None:
    """People open merge requests; every tenth changes a SaaS file."""
    repo = world.folders.forge / "config.git"
    main = git(repo, "rev-parse", "main").decode().strip()
    stream: list[str] = []
    for number in range(count):
        path = f"{OWN[number % 5]}/saas.yml" if number % 10 == 0 else f"docs/page-{number}.md"
        text = world.on_main(path).replace("LEVEL: info", f"LEVEL: l{number}") if number % 10 == 0 else "A page.\n"
        stream += [
            f"commit refs/heads/people/{number}", "committer bob <bob@localhost> 1772445600 +0000",
            "data 8", "A change", f"from {main}", f"M 100644 inline {path}", f"data {len(text)}", text,
        ]  # fmt: skip
    git(repo, "fast-import", "--quiet", stdin="\n".join(stream).encode())
    for number in range(count):
        world.people.open_as("bob", f"people/{number}", f"Change {number}")


@pytest.mark.parametrize("kind", ["gitlab", "github"])
def test_a_pass_with_nothing_to_do(kind: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAASBOT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SAASBOT_TOKEN", TOKEN)
    with served(ForgeWorld(tmp_path / "world", kind=kind, services=OWN, soak="1h")) as world:
        world.reconcile()
        for name in OWN:
            world.commit(name)
        world.reconcile()
        world.later(hours=2).reconcile()
        for each in world.merge_requests():
            world.ci("success", each.iid)
        people_open(world, OPEN - len(OWN))
        assert world.server is not None
        world.server.most_on_a_page = PAGE
        for _ in range(3):
            assert broken(world.later(minutes=20).reconcile()) == []
        asked(world)
        idle = world.later(minutes=20).one_pass()
        found = asked(world)
        for request, count in sorted(found.items()):
            sys.stdout.write(f"{kind}: {count:3} {request}\n")
        assert idle.plan.actions == ()
        assert len(world.merge_requests()) == OPEN
        own = [each for each in world.merge_requests() if each.source_branch.startswith("saasbot/")]
        lists = sum(count for request, count in found.items() if request.endswith(LISTS[kind]))
        details = sum(count for request, count in found.items() if request.endswith(f"{LISTS[kind]}/N"))
        assert (lists, details) == (-(-OPEN // PAGE), len(own))
        assert found.total() - lists - details <= 4, "and a few that do not grow: who am I, branches, freezes"
        assert all(request.startswith("GET ") for request in found)
