"""Does a store keep its word? One that writes although the condition fails is of no use for the statefile.

Some servers that are compatible with S3 ignore `If-None-Match` and `If-Match`: two bots would overwrite each other
there in silence. Others compare `If-Match` with the bare ETag and so refuse it in quotes, as RFC 9110 wants it. Both
are found with an object beside the statefile, before the first write.
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from bot.errors import WrongUsage
from bot.providers import trace
from bot.providers.state.objects_client import Client, Place
from bot.providers.state.objects_errors import LOST_RACE, Trouble, busy, not_implemented, unreachable

if TYPE_CHECKING:
    from obstore import PutMode, PutResult


class Form(StrEnum):
    """How a store wants to be told which version a write replaces."""

    QUOTED = "quoted"
    """The ETag, as RFC 9110 writes it."""
    BARE = "bare"
    """The ETag without its quotes: Ceph's gateway."""
    GENERATION = "generation"
    """Google's number of the version."""


def condition(form: Form, etag: str) -> PutMode:
    """The condition of a write that replaces `etag`; of one that creates, where it is empty."""
    if not etag:
        return "create"
    match form:
        case Form.QUOTED:
            return {"e_tag": f'"{bare(etag)}"'}
        case Form.BARE:
            return {"e_tag": bare(etag)}
        case Form.GENERATION:
            return {"version": etag}


def etag_of(place: Place, told: PutResult) -> str:
    """What the next write of this object has to name; empty where the store tells nothing."""
    return (told["version"] if place.scheme == "gs" else told["e_tag"]) or ""


def bare(etag: str) -> str:
    """An ETag without what a proxy or a store put around it."""
    return etag.removeprefix("W/").strip('"')


def probe(client: Client, place: Place) -> Form:
    """The form that this store needs, found with an object of its own that is removed again.

    Raises WrongUsage for a store that ignores conditions, ServerUnreachable where it does not answer.
    """
    trial = _Trial(client, place, f"{place.key}.probe-{os.urandom(6).hex()}")
    try:
        return trial.run()
    finally:
        # Credentials need not allow it; what stays is one small object by a name that tells what it is.
        with suppress(*Trouble):
            client.delete(trial.key)


class _Trial:
    """One probe; `etag` is that of the object as it is now."""

    def __init__(self, client: Client, place: Place, key: str) -> None:
        self.client, self.place, self.key, self.etag = client, place, key, ""

    def run(self) -> Form:
        """Create, create again, then update with a wrong and with the right condition in each form."""
        if not self._put(b"created", "create") and not self._holds(b"created"):
            raise self._refusal("refuses to create an object under a new name")
        if self._put(b"created again", "create"):
            raise self._refusal("overwrites an object that was to be created only (If-None-Match: *)")
        for form in (Form.GENERATION,) if self.place.scheme == "gs" else (Form.QUOTED, Form.BARE):
            if self._put(form.encode(), condition(form, self._wrong())):
                raise self._refusal("overwrites an object whose ETag is another than demanded (If-Match)")
            # An answer may be lost and the write repeated by obstore: then it is refused, but it is there.
            if self._put(form.encode(), condition(form, self.etag)) or self._holds(form.encode()):
                return form
        raise self._refusal("refuses a write even with the right ETag (If-Match)")

    def _put(self, data: bytes, mode: PutMode) -> bool:
        """Whether the store wrote it."""
        try:
            with trace.operation("PUT", f"{self.place.scheme}://{self.place.bucket}/{self.key}", data):
                self.etag = etag_of(self.place, self.client.put(self.key, data, mode=mode))
        except LOST_RACE as error:
            if busy(error) and not self._holds(data):
                raise unreachable(str(self.place), "probe the store of", error, scheme=self.place.scheme) from error
            return busy(error)
        except Trouble as error:
            if not_implemented(error):
                raise self._refusal("does not implement conditional writes") from error
            raise unreachable(str(self.place), "probe the store of", error, scheme=self.place.scheme) from error
        return True

    def _holds(self, data: bytes) -> bool:
        """Whether the object holds this; takes its etag along."""
        try:
            with trace.operation("GET", f"{self.place.scheme}://{self.place.bucket}/{self.key}"):
                found = self.client.get(self.key)
                content = bytes(found.bytes())
        except FileNotFoundError:
            return False
        except Trouble as error:
            raise unreachable(str(self.place), "probe the store of", error, scheme=self.place.scheme) from error
        self.etag = (found.meta["version"] if self.place.scheme == "gs" else found.meta["e_tag"]) or ""
        return content == data

    def _wrong(self) -> str:
        """An ETag of the same shape that the object does not have."""
        if self.place.scheme == "gs":
            return "1"
        digits: Literal["0", "1"] = "1" if bare(self.etag).endswith("0") else "0"
        return bare(self.etag)[:-1] + digits

    def _refusal(self, what: str) -> WrongUsage:
        return WrongUsage(
            f"{self.place}: this store {what}, so two bots would overwrite each other's state",
            hint="use a store with conditional writes (AWS S3, Google, Azure, current MinIO or Ceph), or git: or file:",
        )
