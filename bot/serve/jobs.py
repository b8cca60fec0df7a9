"""The background jobs' routes: those of the service that saasbot takes the place of (SYSTEMS BJ-10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from bot.serve import rounds
from bot.serve.answers import Documented, Message, noes
from bot.serve.definitions import one
from bot.serve.desk import At, Desk
from bot.serve.guard import bearer

ROUTER = APIRouter(tags=["background jobs"], dependencies=[Depends(bearer)], responses=noes(401, 404, 409, 503))

Name = Annotated[str, Path(description="The name of a trigger definition.", examples=["leidinggevenden"])]

NOT_YET: Documented = {202: {"model": Message, "description": "It was asked for, and is not started yet."}}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of background job: its path, and what the service says of it."""

    name: str
    path: str
    triggered: str
    cleaned: str


KINDS = (
    Kind(
        "dump",
        "/dump-publication-graph-jobs",
        "Dump publication graph job {} triggered",
        "Dump publication graph job cleaned",
    ),
    Kind("healing", "/healing-jobs", "Healing job {} triggered", "Healing job cleaned"),
    Kind("initial-sync", "/initial-sync-jobs", "Sync job started {}", "Sync job cleaned {}"),
)


def start(desk: Desk, kind: Kind, name: str) -> Message:
    """Start the job of a kind in a definition; empty: the only one that has such a job."""
    with desk.turns.asked():
        uri = rounds.start(desk.job, one(desk.job, name, kind.name, kind.path))
    return Message(msg=kind.triggered.format(uri))


def clean(desk: Desk, kind: Kind, name: str) -> Message:
    """Remove the jobs of a kind, whoever created them, unless one is active."""
    with desk.turns.asked():
        uris = rounds.clean(desk.job, one(desk.job, name, kind.name, kind.path))
    return Message(msg=kind.cleaned.format(", ".join(uris)))


def _add(kind: Kind) -> None:
    """The four routes of a kind: start and clean, with the name of a definition before them and without."""

    def start_only(desk: At) -> Message:
        return start(desk, kind, "")

    def start_named(desk: At, name: Name) -> Message:
        return start(desk, kind, name)

    def clean_only(desk: At) -> Message:
        return clean(desk, kind, "")

    def clean_named(desk: At, name: Name) -> Message:
        return clean(desk, kind, name)

    begin, end = f"Start the job of kind {kind.name}", f"Remove the jobs of kind {kind.name}"
    only, named = "of the only definition that has one", "of a definition"
    ROUTER.post(kind.path, summary=f"{begin} {only}", responses=NOT_YET)(start_only)
    ROUTER.post(f"/{{name}}{kind.path}", summary=f"{begin} {named}", responses=NOT_YET)(start_named)
    ROUTER.delete(kind.path, summary=f"{end} {only}")(clean_only)
    ROUTER.delete(f"/{{name}}{kind.path}", summary=f"{end} {named}")(clean_named)


for _kind in KINDS:
    _add(_kind)
