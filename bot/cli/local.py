"""`saasbot local`: be the human at the local forge, and look at its runs."""

from __future__ import annotations

import getpass
import json
import os
from typing import Any

import click

from bot.cli.session import Session
from bot.errors import WriteFailed, WrongUsage
from bot.model.observed import MergeRequest
from bot.ports import Refused


@click.group(help="Be the human at the local forge.")
def local() -> None:
    """Collect the commands."""


@local.group(help="Merge requests.")
def mr() -> None:
    """Collect the commands about merge requests."""


@local.group(help="Runs of command pipelines.")
def run() -> None:
    """Collect the commands about runs."""


AS = click.option("--as", "user", metavar="USER", default=getpass.getuser, show_default="you", help="Who does it.")
FORMAT = click.option(
    "--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is printed."
)


def people(session: Session) -> Any:
    """Whoever acts at the local forge of this config repository."""
    from bot.providers.build import people_forge  # noqa: PLC0415 - imported when a command needs it
    from bot.providers.forge.local_people import LocalPeople  # noqa: PLC0415

    return LocalPeople(people_forge(session.config, session.settings(), session.now).folder)


def done(answer: object, text: str) -> None:
    """Say that it is done, or raise what was refused."""
    if isinstance(answer, Refused):
        raise WriteFailed(answer.text)
    click.echo(text)


def as_document(each: MergeRequest) -> dict[str, object]:
    """A merge request as `local mr list --format json` prints it (DESIGN section 9)."""
    return {
        "iid": each.iid,
        "title": each.title,
        "state": each.state.value,
        "source_branch": each.source_branch,
        "target_branch": each.target_branch,
        "head_sha": each.head_sha,
        "author": each.author,
        "labels": list(each.labels),
        "draft": each.draft,
        "has_conflicts": each.has_conflicts,
        "description": each.description,
        "notes": [{"id": note.id, "author": note.author, "body": note.body} for note in each.notes],
    }


@mr.command("list", help="List all merge requests.")
@FORMAT
@click.pass_obj
def list_(session: Session, fmt: str) -> None:
    """Print every merge request in any state."""
    found = people(session).list_all()
    if fmt == "json":
        click.echo(json.dumps([as_document(each) for each in found], indent=2, ensure_ascii=False))
        return
    for each in found:
        marks = "".join([" (conflicts)" if each.has_conflicts else "", " (draft)" if each.draft else ""])
        click.echo(f"!{each.iid:<4} {each.state:<7} {each.source_branch}  {each.title}{marks}")
    if not found:
        click.echo("no merge requests")


@mr.command(help="Show one merge request with its comments.")
@click.argument("iid", type=int)
@FORMAT
@click.pass_obj
def show(session: Session, iid: int, fmt: str) -> None:
    """Print one merge request."""
    each = people(session).show(iid)
    if each is None:
        raise WrongUsage(f"there is no merge request {iid}", hint="`saasbot local mr list` lists them")
    if fmt == "json":
        click.echo(json.dumps(as_document(each), indent=2, ensure_ascii=False))
        return
    click.echo(
        f"!{each.iid} {each.title}\n{each.state}, {each.source_branch} -> {each.target_branch}, by {each.author}"
    )
    click.echo(f"head {each.head_sha}, CI {each.ci}{', has conflicts' if each.has_conflicts else ''}\n")
    click.echo(each.description)
    for note in each.notes:
        click.echo(f"\n--- {note.author} (note {note.id})\n{note.body}")


@mr.command("open", help="Open a merge request for a branch that was pushed to the forge.")
@click.argument("branch")
@click.argument("title")
@AS
@click.pass_obj
def open_(session: Session, branch: str, title: str, user: str) -> None:
    """Open a merge request as a person."""
    answer = people(session).open_as(user, branch, title)
    done(answer, f"opened !{answer.iid}" if isinstance(answer, MergeRequest) else "")


@mr.command(help="Write a comment.")
@click.argument("iid", type=int)
@click.argument("text")
@AS
@click.pass_obj
def comment(session: Session, iid: int, text: str, user: str) -> None:
    """Comment as a person."""
    done(people(session).comment_as(user, iid, text), f"{user} commented on !{iid}")


@mr.command(help="Say what the merge request's CI says of its present head.")
@click.argument("iid", type=int)
@click.argument("word", type=click.Choice(["success", "failed", "running"]))
@click.pass_obj
def ci(session: Session, iid: int, word: str) -> None:
    """Play the CI."""
    from bot.model.observed import CiStatus  # noqa: PLC0415 - one name

    done(people(session).set_ci(iid, CiStatus(word)), f"the CI of !{iid} says {word}")


@mr.command(help="Approve it.")
@click.argument("iid", type=int)
@AS
@click.pass_obj
def approve(session: Session, iid: int, user: str) -> None:
    """Approve as a person."""
    done(people(session).approve_as(user, iid), f"{user} approved !{iid}")


@mr.command(help="Make it a draft, or ready with --ready.")
@click.argument("iid", type=int)
@click.option("--ready", is_flag=True, help="It is no draft any more.")
@click.pass_obj
def draft(session: Session, iid: int, ready: bool) -> None:
    """Change the draft mark as a person."""
    done(people(session).set_draft(iid, draft=not ready), f"!{iid} is {'ready' if ready else 'a draft'}")


@mr.command(help="Put a label on it, or take one off with --remove, e.g. needs-attention.")
@click.argument("iid", type=int)
@click.argument("label")
@click.option("--remove", is_flag=True, help="Take it off.")
@click.pass_obj
def label(session: Session, iid: int, label: str, remove: bool) -> None:
    """Change the labels as a person."""
    text = f"!{iid} no longer has the label {label}" if remove else f"!{iid} has the label {label}"
    done(people(session).set_label(iid, label, on=not remove), text)


@mr.command(help="Merge it.")
@click.argument("iid", type=int)
@AS
@click.pass_obj
def merge(session: Session, iid: int, user: str) -> None:
    """Merge as a person."""
    done(people(session).merge_as(user, iid), f"{user} merged !{iid}")


@mr.command(help="Close it.")
@click.argument("iid", type=int)
@AS
@click.pass_obj
def close(session: Session, iid: int, user: str) -> None:
    """Close as a person."""
    done(people(session).close_as(user, iid), f"{user} closed !{iid}")


@run.command("list", help="List the runs of command pipelines.")
@FORMAT
@click.pass_obj
def runs(session: Session, fmt: str) -> None:
    """Print every run that there is a record of."""
    from bot.providers.build import command_pipelines  # noqa: PLC0415
    from bot.providers.cache import FolderCache, cache_root  # noqa: PLC0415
    from bot.render.words import utc  # noqa: PLC0415 - imported when a command needs it

    cache = FolderCache(cache_root(os.environ))
    rows = command_pipelines(session.config, session.settings(), os.environ, cache).list_runs()
    if fmt == "json":
        keys = ("key", "target", "status", "requested_at", "started_at", "finished_at", "text", "url")
        found = [{key: getattr(row, key) for key in keys} for row in rows]
        click.echo(json.dumps(found, indent=2, default=utc))
        return
    for row in rows:
        click.echo(f"{utc(row.requested_at)} {row.status:<9} {row.target}  {row.text}")
    if not rows:
        click.echo("no runs")
