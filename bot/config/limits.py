"""How much one file may ask of its readers."""

from __future__ import annotations

from typing import Final

DEPTH_LIMIT: Final = 100
"""How deep collections may lie in each other in a data file."""

COLUMN_LIMIT: Final = 200
"""How far to the right a block collection may begin before its depth is counted: yaml-rs has no limit for those and
ends the whole process at some ten thousand."""

ALIAS_LIMIT: Final = 100_000
"""How many nodes the aliases of one file may stand for."""

TOO_DEEP: Final = "collections lie too deep in each other"
