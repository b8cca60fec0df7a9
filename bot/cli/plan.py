"""`saasbot plan`: what a reconcile would do; reads the working tree and writes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

import click

from bot.cli.output import pass_text, refuse_unknown, warn_behind, warn_invalid
from bot.cli.session import Session
from bot.core.saved import save
from bot.model.plan import Report
from bot.providers.secrets import redact_bytes


@click.command(help="Show what a reconcile of the working tree would do, and what is held and why.")
@click.option("--target", "targets", multiple=True, metavar="ID", help="Only what concerns this target; repeatable.")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How it is printed.",
)
@click.option("--save-context", type=click.File("wb"), metavar="FILE", help="Keep all that the decision was made from.")
@click.pass_obj
def plan(session: Session, targets: tuple[str, ...], fmt: str, save_context: BinaryIO | None) -> None:
    """Print the plan."""
    from bot import reconcile as line  # noqa: PLC0415 - the line's imports are paid by commands that walk it

    job = session.job()
    warn_behind(session, job)
    tree = job.ports.config.working_tree()
    context, report = line.plan(job, tree)
    for target in targets:
        refuse_unknown(context, target)
    if save_context is not None:
        save_context.write(redact_bytes(save(context)))
    warn_invalid(session, report)
    click.echo(pass_text(_only(report, targets), fmt), nl=False)


def _only(report: Report, targets: tuple[str, ...]) -> Report:
    """The report of these targets alone; a merge request concerns every target that it moves."""
    if not targets:
        return report
    wanted = {f"target:{target}" for target in targets}
    actions = tuple(
        action
        for action in report.plan.actions
        if action.subject in wanted or any(edit.target in targets for edit in getattr(action, "edits", ()))
    )
    held = tuple(held for held in report.plan.held if held.subject in wanted)
    return replace(report, plan=replace(report.plan, actions=actions, held=held))
