"""Placeholders in the texts that a pipeline is started with: `{sha}`, `{target}` and the like.

They are filled from what every run is told (`SAASBOT_*`, DESIGN section 9). `${name}` is left to the server, which may
have such a language of its own; so are braces around anything but a name in small letters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACEHOLDERS: Mapping[str, str] = {
    "sha": "SAASBOT_SHA",
    "sha7": "SAASBOT_SHA",
    "ref": "SAASBOT_REF",
    "target": "SAASBOT_TARGET",
    "saas_file": "SAASBOT_SAAS_FILE",
    "parameters": "SAASBOT_PARAMETERS",
    "run_key": "SAASBOT_RUN_KEY",
    "action": "SAASBOT_ACTION",
    "reasons": "SAASBOT_REASONS",
}
"""Each placeholder with the variable that it stands for; `{sha7}` is the first seven characters of its own."""

_SHORT = 7
_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z][a-z0-9_]*)\}")


def unknown(text: str) -> str:
    """The first placeholder in a text that there is not, or an empty string."""
    return next((name for name in _PLACEHOLDER.findall(text) if name not in PLACEHOLDERS), "")


def fill(text: str, environment: Mapping[str, str]) -> str:
    """The text with every known placeholder replaced by its value; one without a value by nothing."""
    return _PLACEHOLDER.sub(lambda found: _value(found, environment), text)


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name = found[1]
    if name not in PLACEHOLDERS:
        return found[0]
    value = environment.get(PLACEHOLDERS[name], "")
    return value[:_SHORT] if name == "sha7" else value
