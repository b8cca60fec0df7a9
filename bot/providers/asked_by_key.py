"""What every pipelines provider answers whose server can be asked by run key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.model.runs import Run
from bot.model.servers import Pipeline
from bot.ports import Refused


class AskedByKey:
    """What a pipelines provider answers whose server can be asked by run key, and of which nothing more is told."""

    def mark(self, pipeline: Pipeline) -> str:
        """Nothing: a run is found again by its key."""
        del pipeline
        return ""

    def probe(self, pipeline: Pipeline) -> Refused | None:
        """Up, as far as anybody asks."""
        del pipeline
        return None

    def details(self, pipeline: Pipeline, run: Run) -> Mapping[str, Any]:
        """Nothing beside the run itself."""
        del pipeline, run
        return {}
