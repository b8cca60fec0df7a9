"""Stories of a config that moves under the bot: targets get other names and leave, a file breaks, a freeze runs out."""

from __future__ import annotations

from typing import Any

from worlds.memory_stories import BOARD, a_day_later, commit, nothing
from worlds.memory_walk import Story

STAGING = "svc/svc/staging"
PRODUCTION = "svc/svc/production"


def stage_renamed(world: Any) -> None:
    """A person gives staging another name, and somebody commits at the same time."""
    world.edit("svc/saas.yml", "  - name: stage\n", "  - name: staging\n")
    world.commit()


def prod_renamed(world: Any) -> None:
    """Production gets another name while a merge request of the bot moves it."""
    assert len(world.merge_requests()) == 1
    world.edit("svc/saas.yml", "  - name: prod\n", "  - name: production\n")


def a_bad_one(world: Any) -> None:
    """The next commit is a bad one."""
    world.commit()
    world.fail(STAGING)


def broken(world: Any) -> None:
    """A person breaks the file, and somebody commits."""
    world.edit("svc/saas.yml", "resourceTemplates:", "resourceTemplate:")
    world.commit()


def mended(world: Any) -> None:
    """It is mended, and so is the program."""
    world.fail(STAGING, fails=False)
    world.edit("svc/saas.yml", "resourceTemplate:", "resourceTemplates:")


def frozen(world: Any) -> None:
    """An owner freezes everything for two hours."""
    world.people.comment_dashboard_as("alice", "/saasbot freeze all 2h lunch")


def production_leaves(world: Any) -> None:
    """Production leaves the config."""
    text = world.on_main("svc/saas.yml")
    world.push({"svc/saas.yml": text[: text.index("  - name: production")]})


def moved(world: Any) -> None:
    """What was known of the old names is known of the new ones; nothing ran twice, and nothing was promoted."""
    first, second, bad, last, later = world.shas
    ran = [(target, sha) for target, sha, _ in world.runs()]
    assert ran == [("svc/svc/stage", first), *((STAGING, sha) for sha in (second, bad, last, later))], ran
    assert [str(each.state) for each in world.people.list_all()] == ["closed"]
    assert dict(world.state().merge_requests) == {}
    assert {name: each.removed_at is not None for name, each in world.state().targets.items()} == {
        STAGING: False,
        PRODUCTION: True,
    }
    assert world.state().freezes == ()


MOVES = Story(
    "moves",
    (
        nothing, commit, stage_renamed, a_day_later, prod_renamed, a_bad_one, broken, mended, frozen, commit,
        a_day_later, production_leaves,
    ),
    moved,
    {"more": BOARD},
)  # fmt: skip
