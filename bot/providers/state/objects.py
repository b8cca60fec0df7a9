"""The statefile in an object store (`s3:`, `gs:`, `az:` URLs) through obstore, by compare-and-swap.

A read is one GET, a write is one conditional PUT. What a store is like stands in the object's own label
(`objects_content`), so that only the first write through a store has to find it out (`objects_probe`).

A PUT whose answer was lost may have been carried out; obstore itself sends it again then, and the first one makes the
second fail. Each write therefore bears a random id, and whoever is refused looks whose the present content is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.errors import ServerUnreachable
from bot.ports import Refused
from bot.providers import trace
from bot.providers.state.objects_client import Client, Place, connect
from bot.providers.state.objects_content import Label, pack, refuse_large, unpack
from bot.providers.state.objects_errors import LOST_RACE, Trouble, busy, no_such_bucket, undecided, unreachable
from bot.providers.state.objects_probe import Form, bare, condition, etag_of, probe
from bot.settings import StateSettings


@dataclass(frozen=True, slots=True)
class _Found:
    document: bytes
    etag: str
    label: Label


@dataclass(frozen=True, slots=True)
class _Failed:
    """A write that the store did not confirm; `undecided` where it may have happened all the same."""

    error: Exception
    undecided: bool


class ObjectState:
    """A `bot.ports.StateStore` on one object.

    The etag is the store's own; at Google it is the number of the generation. Every failure is one line:
    `ServerUnreachable`, or `WrongUsage` for a store that ignores conditions and for content that is no statefile.
    """

    def __init__(self, place: Place, client: Client) -> None:
        self._place = place
        self._client = client
        self._form: Form | None = None

    def read(self) -> tuple[bytes, str] | None:
        """Content and etag, or None where there is none."""
        found = self._found()
        if found is None:
            return None
        form, _, mark = found.label.conditions.partition(" ")
        if mark == self._place.mark and form in set(Form):
            self._form = Form(form)
        return found.document, found.etag

    def write(self, data: bytes, etag: str) -> str | Refused:
        """Replace the content if its etag still is `etag` (empty: there must be none); return the new etag."""
        remembered = self._form
        form = remembered or self._probed()
        writer = os.urandom(8).hex()
        done = self._put(data, etag, form, writer)
        if isinstance(done, str):
            return done
        settled = self._look_back(done, etag, writer)
        if settled is not None:
            return settled
        if remembered is not None and self._probed() is not form:
            # The object still has the very etag that was demanded: the store is not what it was.
            return self.write(data, etag)
        return Refused(f"{self._place} refuses the write although nobody changed it")

    def _put(self, data: bytes, etag: str, form: Form, writer: str) -> str | _Failed:
        content = pack(data, Label(writer, f"{form} {self._place.mark}"))
        try:
            with trace.operation("PUT", str(self._place), content):
                told = self._client.put(self._place.key, content, mode=condition(form, etag))
        except LOST_RACE as error:
            return _Failed(error, undecided=False)
        except Trouble as error:
            if not undecided(error):
                raise self._unreachable("write", error) from error
            return _Failed(error, undecided=True)
        return etag_of(self._place, told)

    def _look_back(self, failed: _Failed, etag: str, writer: str) -> str | Refused | None:
        """What became of a write that was not confirmed; None where it was refused though nothing had changed."""
        try:
            found = self._found()
        except ServerUnreachable as error:
            if not failed.undecided:
                raise
            raise self._unreachable("write", failed.error, unsure=True) from error
        if found is not None and found.label.writer == writer:
            return found.etag
        unchanged = bare(found.etag if found else "") == bare(etag)
        if not unchanged:
            return Refused(f"another writer changed {self._place} since it was read")
        if failed.undecided or busy(failed.error):
            raise self._unreachable("write", failed.error, unsure=failed.undecided) from failed.error
        return None

    def _found(self) -> _Found | None:
        """The object as it is now: one GET."""
        try:
            with trace.operation("GET", str(self._place)):
                got = self._client.get(self._place.key)
                refuse_large(got.meta["size"], str(self._place))
                content = bytes(got.bytes())
        except FileNotFoundError as error:
            if no_such_bucket(error):
                raise self._unreachable("read", error) from error
            return None
        except Trouble as error:
            raise self._unreachable("read", error) from error
        document, label = unpack(content, str(self._place))
        return _Found(document, (got.meta["version"] if self._place.scheme == "gs" else got.meta["e_tag"]) or "", label)

    def _probed(self) -> Form:
        self._form = probe(self._client, self._place)
        return self._form

    def _unreachable(self, doing: str, error: Exception, *, unsure: bool = False) -> ServerUnreachable:
        return unreachable(str(self._place), doing, error, scheme=self._place.scheme, unsure=unsure)


def object_state(settings: StateSettings, config: Path, environ: Mapping[str, str]) -> ObjectState:
    """The store for an `s3:`, `gs:` or `az:` URL; relative paths in the settings are seen from `config`.

    Asks no server. Raises WrongUsage for a URL or settings that cannot work.
    """
    place, client = connect(settings, config, environ)
    return ObjectState(place, client)
