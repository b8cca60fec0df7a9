"""Words of SPARQL: URIs, strings and times written so that they stay what they are, and the prefixes of every request.

Source: SPARQL 1.1 Query Language, sections 19.2 to 19.8 (escapes in strings, characters of an IRI).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from bot.config.sparql_rules import is_uri

NAMESPACES = {
    "mu": "http://mu.semte.ch/vocabularies/core/",
    "task": "http://redpencil.data.gift/vocabularies/tasks/",
    "dct": "http://purl.org/dc/terms/",
    "adms": "http://www.w3.org/ns/adms#",
    "cogs": "http://vocab.deri.ie/cogs#",
    "oslc": "http://open-services.net/ns/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
"""The prefixes that queries use, all of them declared: not every store knows `xsd` by itself."""

PREFIXES = "".join(f"PREFIX {name}: <{namespace}>\n" for name, namespace in NAMESPACES.items())
"""What every query and update begins with."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\ufffd"})


def uri(text: str) -> str:
    """A URI between its brackets. Raises ValueError for what could end it early."""
    if not is_uri(text):
        raise ValueError(f"{text!r} is no URI")
    return f"<{text}>"


def uris(texts: Iterable[str]) -> str:
    """URIs as the items of a list."""
    return ", ".join(map(uri, texts))


def string(text: str) -> str:
    """A string between its quotes; what no document can hold (NUL, halves of characters) becomes a mark."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return f'"{whole.translate(_ESCAPES)}"'


def time(moment: datetime) -> str:
    """A moment in UTC, to the millisecond."""
    return f'"{moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}"^^xsd:dateTime'


def name(namespace: str, local: str) -> str:
    """A name of one of the namespaces, written out."""
    return NAMESPACES[namespace] + local
