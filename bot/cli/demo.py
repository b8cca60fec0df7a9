"""`saasbot demo`: lays out a world in a folder and tells its story with real reconciles."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from bot.cli.explain import explain
from bot.cli.local import local
from bot.cli.output import pass_text, style
from bot.cli.reconcile import merged
from bot.cli.session import Session
from bot.errors import WriteFailed, WrongUsage
from bot.model.plan import Report
from bot.providers.demo_world import World, commit_to_service, edit_as, lay_out
from bot.render.words import utc

MONDAY = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
ORDERS = "services/orders/saas.yml"
PRODUCTION = "orders/orders/production"


@click.command(
    help="Lay out three services, a config repository and a local forge in DIR, and tell a promotion's story."
)
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), required=False)
def demo(folder: Path | None) -> None:
    """Tell the story, and leave the world for the reader to play with."""
    root = folder or Path(tempfile.mkdtemp(prefix="saasbot-demo-"))
    if root.exists() and any(root.iterdir()):
        raise WrongUsage(f"{root} is not empty", hint="name a new folder")
    try:
        story = Story(lay_out(root, MONDAY - timedelta(days=7)))
    except OSError as error:
        raise WriteFailed(f"{root}: {error.strerror or error}", hint="name a folder that can be made") from error
    for step in STEPS:
        step(story)
    click.echo(f"\nThe world stays in {story.world.root}; go on with it:")
    click.echo(f"  cd {story.world.config}")
    for line in ("saasbot status", f"saasbot explain {PRODUCTION}", "saasbot local mr list", "saasbot local run list"):
        click.echo(f"  {line}")


@dataclass
class Story:
    """The world and the time in it."""

    world: World
    now: datetime = MONDAY
    chapter: int = 0

    def tell(self, title: str, *lines: str) -> None:
        """Begin a chapter."""
        self.chapter += 1
        paint = style().paint
        click.echo(f"\n{paint(f'{self.chapter}. {title}', '1')}")
        for line in lines:
            click.echo(f"   {line}")

    def reconcile(self) -> Report:
        """A real reconcile at the story's time."""
        from bot.reconcile import until_idle  # noqa: PLC0415 - the line's imports are paid by commands that walk it

        click.echo(style().paint(f"   $ saasbot --now {utc(self.now)} reconcile --until-idle", "2"))
        job = Session(self.world.config, self.now).job(writes=True)
        report = merged(tuple(until_idle(job, None)))
        for line in pass_text(report, "text").splitlines():
            click.echo(f"   | {line}")
        return report

    def local(self, *words: str) -> None:
        """Be a person at the local forge, through the same command that people use."""
        click.echo(style().paint(f"   $ saasbot local {' '.join(words)}", "2"))
        context = click.Context(local, obj=Session(self.world.config, self.now))
        with context:
            local.main(list(words), standalone_mode=False, obj=context.obj)


def _adopt(story: Story) -> None:
    story.tell("Adoption", "The first pass records what is there. It starts nothing and publishes nothing.")
    story.reconcile()


def _commit(story: Story) -> None:
    story.now += timedelta(minutes=10)
    sha = commit_to_service(story.world, "orders", "Accept vouchers at checkout", story.now)
    story.tell(
        "A commit on `main` of the orders service",
        f'dana pushes {sha[:7]} "Accept vouchers at checkout". Stage follows `main`, so it runs; its success publishes',
        "the channel; production subscribes to it and soaks 24 hours.",
    )
    story.reconcile()


def _explain(story: Story) -> None:
    story.tell("Why does production not move?")
    click.echo(style().paint(f"   $ saasbot explain {PRODUCTION}", "2"))
    with click.Context(explain, obj=Session(story.world.config, story.now)) as context:
        explain.main([PRODUCTION], standalone_mode=False, obj=context.obj)
    story.now += timedelta(hours=25)


def _promote(story: Story) -> None:
    story.tell(
        "A day later the soak is over", "The promotion merge request opens. It changes one scalar, nothing else."
    )
    story.reconcile()
    story.local("mr", "list")


def _conflict(story: Story) -> None:
    story.now += timedelta(minutes=5)
    ref = _production_ref(story)
    edit_as(story.world, "bob", ORDERS, f"ref: {ref}", f"ref: {ref}  # see CHANGE-42", "Note the change ticket")
    story.tell("A person edits the same line on `main`", "bob adds a comment behind the ref. The branch conflicts now.")
    story.local("mr", "list")


def _regenerate(story: Story) -> None:
    story.now += timedelta(minutes=5)
    story.tell(
        "The next pass regenerates the same merge request",
        "Nothing is merged textually: the branch is built anew from the new base.",
    )
    story.reconcile()
    story.local("mr", "list")


def _merge(story: Story) -> None:
    story.now += timedelta(minutes=5)
    story.tell("alice merges it")
    story.local("mr", "merge", "1", "--as", "alice")


def _run(story: Story) -> None:
    story.now += timedelta(minutes=5)
    story.tell("Production runs, once")
    story.reconcile()
    story.local("run", "list")


def _idle(story: Story) -> None:
    story.now += timedelta(minutes=5)
    story.tell("Another pass has nothing to do")
    story.reconcile()


def _production_ref(story: Story) -> str:
    content = (story.world.config / ORDERS).read_text()
    found: list[str] = re.findall(r"ref: ([0-9a-f]{40})", content)
    return found[0]


STEPS: tuple[Callable[[Story], None], ...] = (
    _adopt,
    _commit,
    _explain,
    _promote,
    _conflict,
    _regenerate,
    _merge,
    _run,
    _idle,
)
