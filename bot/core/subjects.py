"""Subjects as people write them: `target:ID`, a merge request by its number or its page's address; pure."""

from __future__ import annotations

import re

from bot.core.focus import is_subject
from bot.core.queueing import COLLECT
from bot.errors import WrongUsage
from bot.settings import Settings

_NUMBER = re.compile(r"!(\d+)")
_PAGE = re.compile(r"[a-z]+://(?P<path>.*/(?:-/)?(?:merge_requests|pull)/(?P<number>\d+))(?:\.json|[/?#].*)?")

HINT = "write target:ID, merge-request:BRANCH (or !7, or its address), trigger:NAME or dashboard"


def subject_named(text: str, settings: Settings) -> str:
    """The subject that a person names. Raises WrongUsage where it is none, or a page of another project."""
    number = _NUMBER.fullmatch(text)
    page = _PAGE.fullmatch(text)
    if number is not None:
        return f"merge-request:!{number[1]}"
    if page is not None:
        project = str(settings.forge.options.get("project") or "").strip("/").casefold()
        if project and not project.isdecimal() and f"/{project}/" not in page["path"].casefold():
            raise WrongUsage(f"{text} is no merge request of {project}", hint=HINT)
        return f"merge-request:!{page['number']}"
    if text == COLLECT or is_subject(text):
        return text
    raise WrongUsage(f"{text!r} is no subject", hint=HINT)
