"""`saasbot validate`: every finding in the config repository, with its place."""

from __future__ import annotations

import os

import click

from bot.cli.session import Session
from bot.config.validate import validate as check
from bot.providers.cache import FolderCache, cache_root
from bot.providers.config_repo import GitConfig
from bot.providers.resources import schemas

FORMATS = ["text", "json", "github", "codequality", "sarif", "junit"]


@click.command(help="Check the config repository; every finding in one go, with file, line, column, rule and hint.")
@click.option(
    "--format", "fmt", type=click.Choice(FORMATS), default="text", show_default=True, help="How it is printed."
)
@click.pass_obj
def validate(session: Session, fmt: str) -> None:
    """Print the findings; exit 1 if one is an error."""
    repository = GitConfig(session.config)
    tree = repository.working_tree()
    behind = repository.behind("")
    if behind:
        from bot.cli.output import log  # noqa: PLC0415 - a checkout that is up to date does not wait for it

        log(session.log_format, "warning", f"warning: {behind}")
    findings = check(tree, FolderCache(cache_root(os.environ)), schemas())
    if fmt == "text" and not findings:
        click.echo("no findings")
    else:
        from bot.config.rules import RULES  # noqa: PLC0415 - a clean run, the common one, does not wait for it
        from bot.render.findings import render  # noqa: PLC0415

        click.echo(render(findings, fmt, RULES), nl=False)
    raise SystemExit(int(any(finding.severity == "error" for finding in findings)))
