"""What people ordered, taken back from the comments that were kept up to date until the statefile was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from bot.core.taking import Taking, Told
from bot.model.state import (
    Block,
    CommandFreeze,
    FailedContent,
    Override,
    Pin,
    PromotionRequest,
    RunRequest,
    State,
    Veto,
)
from bot.render.words import short, until

Order = TypeVar("Order")


def take_orders_back(taking: Taking, told: Sequence[Told]) -> None:
    """Every order that one of these comments speaks of, each once; where two differ, the newer comment counts."""
    parts = [each.excerpt.part for each in told]
    take_vetoes(taking, _once(parts, lambda part: part.vetoes, lambda veto: (veto.target, veto.sha)))
    found = taking.state
    taking.state = replace(
        found,
        freezes=_once(parts, lambda part: part.freezes, lambda freeze: freeze.scope),
        blocks=_once(parts, lambda part: part.blocks, lambda block: (block.url, block.sha)),
        overrides=_once(parts, lambda part: part.overrides, lambda each: (each.target, each.sha, each.gate)),
        failed_contents=_once(parts, lambda part: part.failed_contents, lambda failed: failed.content),
        pins={key: pin for part in parts for key, pin in part.pins.items()},
        requests={key: request for part in parts for key, request in part.requests.items()},
        run_requests={key: request for part in parts for key, request in part.run_requests.items()},
        splits=frozenset(batch for part in parts for batch in part.splits),
    )
    taking.taken += _lines(taking.state)


def take_vetoes(taking: Taking, vetoes: Iterable[Veto]) -> None:
    """Vetoes on versions that are not out; one that a later command took back again does not count."""
    state = taking.state
    known = {(each.target, each.sha) for each in state.vetoes}
    fresh: list[Veto] = []
    for each in vetoes:
        target, request = taking.targets.get(each.target), state.requests.get(each.target)
        asked = request is not None and request.sha == each.sha
        if target is None or target.ref == each.sha or asked or (each.target, each.sha) in known:
            continue
        known.add((each.target, each.sha))
        fresh.append(each)
        taking.taken.append(f"veto of {each.target} at {short(each.sha)} by {each.by}")
    taking.state = replace(state, vetoes=(*state.vetoes, *fresh))


def _once(
    parts: Iterable[State], of: Callable[[State], Iterable[Order]], key: Callable[[Order], object]
) -> tuple[Order, ...]:
    return tuple({key(order): order for part in parts for order in of(part)}.values())


def _lines(state: State) -> Iterable[str]:
    yield from map(_freeze, state.freezes)
    yield from map(_block, state.blocks)
    yield from (_pin(target, pin) for target, pin in state.pins.items())
    yield from map(_request, state.requests.values())
    yield from map(_run_request, state.run_requests.values())
    yield from map(_override, state.overrides)
    yield from map(_failed, state.failed_contents)
    yield from (f"batch {batch} is cut into single files" for batch in sorted(state.splits))


def _freeze(freeze: CommandFreeze) -> str:
    return f"freeze of {freeze.scope} by {freeze.by}: {freeze.reason}{until(freeze.until)}"


def _block(block: Block) -> str:
    return f"block of {short(block.sha)} of {block.url} by {block.by}: {block.reason}"


def _pin(target: str, pin: Pin) -> str:
    return f"pin of {target} at {short(pin.sha)} by {pin.by}"


def _request(request: PromotionRequest) -> str:
    verb = "rollback" if request.rollback else "promotion"
    return f"{verb} of {request.target} to {short(request.sha)}, asked for by {request.by}"


def _run_request(request: RunRequest) -> str:
    return f"{request.kind} of {request.target}, asked for by {request.by}"


def _override(override: Override) -> str:
    return f"override of {override.gate} for {override.target} at {short(override.sha)} by {override.by}"


def _failed(failed: FailedContent) -> str:
    return f"!{failed.iid} failed its CI: {', '.join(sorted(failed.content))}"
