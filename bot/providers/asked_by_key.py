"""What pipelines providers answer alike: those that can be asked by run key, and those that keep no jobs of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bot.model.runs import Run
from bot.model.servers import Pipeline
from bot.ports import Refused


class KeepsNoJobs:
    """What a pipelines provider answers whose server keeps its own account of what ran there."""

    def clean(self, pipeline: Pipeline, *, force: bool) -> tuple[str, ...] | Refused:
        """Nothing of ours is kept there."""
        del pipeline, force
        return ()


class AskedByKey(KeepsNoJobs):
    """What a pipelines provider answers whose server can be asked by run key, and of which nothing more is told."""

    def known(self, runs: Iterable[Run]) -> None:
        """Nothing is noted: a run is found by its key, and is never taken for another."""
        del runs

    def mark(self, pipeline: Pipeline) -> str:
        """Nothing: a run is found again by its key."""
        del pipeline
        return ""

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Up, as far as anybody asks."""
        del pipeline
        return None

    def details(self, pipeline: Pipeline | None, run: Run) -> Mapping[str, Any]:
        """Nothing beside the run itself."""
        del pipeline, run
        return {}

    def preview(self, pipeline: Pipeline, run: Run, environment: Mapping[str, str]) -> Mapping[str, Any]:
        """What a run is started with, in our words; the request is made of it."""
        del run
        return {"instance": pipeline.instance.name, "with": dict(pipeline.options), "environment": dict(environment)}
