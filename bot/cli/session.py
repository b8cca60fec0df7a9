"""Session: what all commands share: options, settings, and the job put together from them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.errors import InvalidConfiguration, WrongUsage

if TYPE_CHECKING:
    from bot.model.plan import Action, Outcome
    from bot.ports import Ports, Queue
    from bot.reconcile import Job
    from bot.settings import Settings


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Read an RFC 3339 time with a zone; a time without one is refused."""
    del ctx
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise click.BadParameter(f"{value!r} is not an RFC 3339 time such as 2026-01-02T08:00:00Z", param=param)


@dataclass
class Session:
    """The options before the command, and what is built from them on demand."""

    config: Path
    now: datetime | None = None
    log_format: str = "text"
    verbose: int = 0
    stopping: bool = field(default=False, init=False)

    def settings(self) -> Settings:
        """`saasbot.yml` of the working tree. Raises WrongUsage without one, InvalidConfiguration if it has errors."""
        from bot.config.schema import Schemas  # noqa: PLC0415 - commands that need none do not wait for it
        from bot.config.settings_file import settings  # noqa: PLC0415
        from bot.providers.resources import schemas  # noqa: PLC0415
        from bot.render.findings import render  # noqa: PLC0415

        path = self.config / "saasbot.yml"
        try:
            source = path.read_bytes()
        except OSError as error:
            raise WrongUsage(
                f"{path}: {error.strerror or error}",
                hint="`saasbot init DIR` makes a config repository, --config names one",
            ) from error
        found, findings = settings(source, Schemas(schemas()))
        errors = [finding for finding in findings if finding.severity == "error"]
        if found is None or errors:
            raise InvalidConfiguration(render(findings, "text", {}).rstrip())
        return found

    def ports(self, settings: Settings, *, writes: bool = False) -> Ports:
        """All ports; a command that writes refuses `--now` unless the forge is local, any other has ports that read."""
        from bot.providers.build import build  # noqa: PLC0415
        from bot.providers.read_only import read_only  # noqa: PLC0415

        if writes and self.now is not None and settings.forge.provider != "local":
            raise WrongUsage("--now and a command that writes go together with a local forge only")
        ports = build(self.config, settings, os.environ, self.now)
        if not writes:
            return read_only(ports)
        ports.config.require_root()
        return ports

    def queue(self, settings: Settings) -> Queue:
        """The work queue; nothing is asked yet. Raises WrongUsage where the settings cannot work."""
        from bot.cli.output import log  # noqa: PLC0415
        from bot.providers.build import work_queue  # noqa: PLC0415
        from bot.providers.clock import SystemClock  # noqa: PLC0415

        def tell(text: str) -> None:
            log(self.log_format, "warning", text)

        return work_queue(settings, os.environ, SystemClock(self.now), config=self.config, tell=tell)

    def shared_queue(self, settings: Settings) -> Queue:
        """The work queue that other processes see, too. Raises WrongUsage where there is none."""
        if not settings.queue.url:
            raise WrongUsage(
                "saasbot.yml has no queue.url: the work queue lives and ends with the process that works it",
                hint="`saasbot process --drain` collects and works all that is due; or set queue: {url: redis://...}",
            )
        return self.queue(settings)

    def job(self, settings: Settings | None = None, *, writes: bool = False, **more: Any) -> Job:
        """What a pass works with."""
        from bot.providers.resources import schemas  # noqa: PLC0415
        from bot.providers.secrets import read_secret  # noqa: PLC0415
        from bot.providers.state_place import state_place  # noqa: PLC0415
        from bot.reconcile import Job  # noqa: PLC0415

        settings = settings or self.settings()
        key = read_secret(settings.report_key, self.config)
        if key is None and settings.report_key.file:
            raise WrongUsage(f"saasbot.yml: report.key: {settings.report_key.file} cannot be read, or is empty")
        return Job(
            ports=self.ports(settings, writes=writes),
            settings=settings,
            schemas=schemas(),
            report_key=key.encode() if key else None,
            place=state_place(settings.state, self.config, os.environ),
            stopped=lambda: self.stopping,
            **more,
        )

    def stop_on_sigterm(self) -> None:
        """SIGTERM finishes the action at hand, saves, and ends with 0."""
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, _signal: int, _frame: object) -> None:
        self.stopping = True


Progress = Callable[["Action", "Outcome"], None]
