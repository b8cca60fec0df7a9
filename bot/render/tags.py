"""Tags of images as templates: `{sha7}` (any number up to 40), `{sha}` and `{ref}`."""

from __future__ import annotations

import re

from bot.model.desired import SHA_DIGITS

_PLACEHOLDER = re.compile(r"\{(sha([0-9]{0,2})|ref)\}")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def image_tag(template: str, sha: str, ref: str) -> str:
    """The tag for a commit; what a tag cannot hold of the ref (a slash) becomes `-`, as build servers do it.

    A ref in full (`refs/heads/x`, `refs/tags/x`) is the branch or tag `x`, as it is to them.
    """
    return _PLACEHOLDER.sub(lambda found: _value(found, sha, ref), template)


def tag_fault(template: str) -> str:
    """Why a template can never be the tag of an image, or an empty text. Source: the OCI distribution specification."""
    digits = [int(found[2]) for found in _PLACEHOLDER.finditer(template) if found[2]]
    if any(not 0 < number <= SHA_DIGITS for number in digits):
        return "a commit has 40 digits: write `{sha1}` to `{sha40}`"
    filled = image_tag(template, "0" * SHA_DIGITS, "main")
    if "{" in filled or "}" in filled:
        return "only `{sha}`, `{sha7}` (any number up to 40) and `{ref}` are replaced"
    return "" if _TAG.fullmatch(filled) else "a tag has letters, digits, `_`, `.` and `-`, at most 128 of them"


def _value(found: re.Match[str], sha: str, ref: str) -> str:
    if found[1] == "ref":
        return _NOT_IN_TAGS.sub("-", ref.removeprefix("refs/heads/").removeprefix("refs/tags/"))
    return sha[: int(found[2] or SHA_DIGITS)]
