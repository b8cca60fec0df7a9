"""The command line (DESIGN section 9): parse, build, call, print, exit code.

Every command lives in a module of its own that is imported when it is called: `validate` runs as a pre-commit hook,
and must not wait for what only `demo` needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import click

from bot.cli.session import Session, moment

COMMANDS = {
    "validate": ("bot.cli.validate:validate", "Check the config repository; every finding with its place."),
    "plan": ("bot.cli.plan:plan", "Show what a reconcile would do, and what is held and why."),
    "reconcile": ("bot.cli.reconcile:reconcile", "Do all that is due: one pass, until idle, or for ever."),
    "explain": ("bot.cli.explain:explain", "Show every reason and gate of one target."),
    "status": ("bot.cli.status:status", "Show what runs where, what is promoted, what is stuck."),
    "trigger": ("bot.cli.trigger:trigger", "Trigger definitions by hand: start, clean, look, import."),
    "collect": ("bot.cli.collect:collect", "Put into the work queue what is due and missing."),
    "process": ("bot.cli.process:process", "Work the queue, or look at one subject."),
    "queue": ("bot.cli.work_queue:queue", "Look at the work queue, and mend it."),
    "say": ("bot.cli.say:say", "Give a comment command without a merge request."),
    "comment": ("bot.cli.comment:comment", "Handle one merge request comment event."),
    "serve": ("bot.serve.command:serve", "Serve webhooks, health, metrics, pages and background jobs over HTTP."),
    "state": ("bot.cli.state:state", "Look at the statefile, and mend it."),
    "local": ("bot.cli.local:local", "Be the human at the local forge."),
    "schema": ("bot.cli.schema:schema", "Print JSON Schemas for editors."),
    "init": ("bot.cli.init:init", "Start a new config repository."),
    "graph": ("bot.cli.graph:graph", "Draw the promotion graph."),
    "demo": ("bot.cli.demo:demo", "Lay out a world in a folder and tell its story."),
    "version": ("bot.cli.version:version", "Print the version."),
}
"""Name -> (where it is, its line in `--help`)."""


class Lazy(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the documentation."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing any."""
        del ctx
        rows: Sequence[tuple[str, str]] = [(name, text) for name, (_, text) in COMMANDS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="the current folder",
    help="The config repository's checkout.",
)
@click.option("--now", callback=moment, metavar="TIME", help="RFC 3339 time that replaces the clock.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How standard error is written.",
)
@click.option("-v", "--verbose", count=True, help="Say more on standard error.")
@click.option("--debug", is_flag=True, help="Trace each request and each git command that asks a server; implies -v.")
@click.pass_context
def saasbot(ctx: click.Context, /, *, debug: bool, **options: object) -> None:
    """A GitOps bot: promotes, deploys and reports from a declarative SaaS config repository."""
    ctx.obj = session = Session(**options)  # type: ignore[arg-type] # click has checked and converted them
    if debug:
        session.verbose += 1
        _trace(ctx, session.log_format)


def _trace(ctx: click.Context, log_format: str) -> None:
    """Write traces to standard error until the command has ended."""
    from bot.cli.output import log  # noqa: PLC0415 - only what is traced waits for it
    from bot.providers import trace  # noqa: PLC0415 - as above

    def write(message: str, /, **fields: object) -> None:
        log(log_format, "debug", f"debug: {message}", **fields)

    trace.begin(write)
    ctx.call_on_close(trace.end)
