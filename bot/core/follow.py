"""Follow: what became of the runs in flight, and what follows from it.

A run that was intended but never started is started again with its own key; one that ended well publishes; one that
ended badly takes back what it had published of the same sha; one past its time-out is cancelled.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from bot.core import channels
from bot.core.diff import canonical, config_hash, effective
from bot.core.gates import Candidate, Occasion, gates, holding
from bot.core.sheet import Sheet
from bot.model.desired import Target
from bot.model.observed import RunFact, Unreachable
from bot.model.plan import CancelRun, FollowRun, Gate, StartRun
from bot.model.runs import Reason, Run, RunStatus
from bot.model.servers import Pipeline
from bot.model.state import State, TargetState
from bot.render.words import short, span

POLL = timedelta(seconds=10)
"""How soon a run in flight is looked at again."""

LOOKS = 3
"""How many passes in a row a server must not know a run until that is believed."""

TIMED_OUT = "timed out"

STOPS_AN_INTENT = frozenset({Gate.WINDOW, Gate.FREEZE, Gate.BLOCKED_VERSION, Gate.HOLD})
"""Gates that hold a start which was intended in an earlier pass; the others were passed when it was."""


def follow_runs(sheet: Sheet) -> None:
    """Look at every run that may still change."""
    for record in list(sheet.state.targets.values()):
        if record.run is not None and record.run.status.in_flight:
            _follow(sheet, record, record.run)
    for record in sheet.state.targets.values():
        if record.run is not None and record.run.status.in_flight:
            sheet.in_flight += 1
            if sheet.concerns(f"target:{record.id}"):
                sheet.due(next_look(sheet, record.run))


def next_look(sheet: Sheet, run: Run) -> datetime:
    """When a run in flight is looked at again: soon, or when its server wants to be asked again."""
    fact = sheet.facts.run(run.key)
    pause = fact.again if isinstance(fact, Unreachable) else None
    return sheet.now + max(POLL, pause or POLL)


def _follow(sheet: Sheet, record: TargetState, run: Run) -> None:
    if not run.handle and run.intent_at is None:
        _never_started(sheet, record, run)
        return
    fact = sheet.facts.run(run.key)
    if isinstance(fact, Unreachable):
        sheet.hold(f"target:{record.id}", Gate.UNREACHABLE, fact.text)
        return
    if fact is None and not run.handle:
        _never_started(sheet, record, run)
        return
    fact = fact or RunFact(RunStatus.UNKNOWN, text="the server knows nothing of it")
    seen = looked_at(run, fact, sheet.now)
    if seen != run:
        sheet.put_target(settle(sheet, record, seen))
        text = f"run {run.number} of {short(run.sha)} {describe(seen)}"
        sheet.actions.append(FollowRun(f"target:{record.id}", record.id, seen, (Reason("follow", text),)))
    if seen.status.in_flight:
        _asked_to_stop(sheet, record, seen)
        _time_out(sheet, record, seen)


def looked_at(run: Run, fact: RunFact, now: datetime) -> Run:
    """The run after a pass has looked at it; that its server does not know it is believed after `LOOKS` passes."""
    missed = run.missed + 1 if fact.missing else 0
    believed = replace(fact, missing=False) if missed >= LOOKS else fact
    return replace(observed_run(run, believed, now), missed=missed)


def observed_run(run: Run, fact: RunFact, now: datetime) -> Run:
    """The run with what the server says of it; a finish counts from the earlier of the server's time and `now`."""
    if fact.missing:
        fact = replace(fact, status=run.status)
    finished = None if fact.status.in_flight else min(fact.finished_at or now, now)
    status = fact.status
    if status is RunStatus.CANCELED and run.text == TIMED_OUT:
        status = RunStatus.FAILED
    return replace(
        run,
        status=status,
        handle=fact.handle or run.handle,
        url=fact.url or run.url,
        text=run.text if run.text == TIMED_OUT and status is not RunStatus.SUCCEEDED else fact.text,
        started_at=fact.started_at or run.started_at,
        finished_at=finished,
    )


def describe(run: Run) -> str:
    """How a run stands, in words."""
    return f"{run.status}: {run.text}" if run.text and run.status is not RunStatus.SUCCEEDED else str(run.status)


def settle(sheet: Sheet, record: TargetState, run: Run) -> TargetState:
    """The target's record after its run was seen; publishes or withdraws on the sheet."""
    sheet.state, record = settled(sheet.state, record, run, sheet.context.desired.targets.get(record.id))
    return record


def settled(state: State, record: TargetState, run: Run, target: Target | None) -> tuple[State, TargetState]:
    """State and record after `run` was seen in its present status; pure, so that it can be done on a fresh state."""
    record = replace(record, run=run)
    if run.status is RunStatus.SUCCEEDED and run.finished_at is not None:
        record = replace(
            record, deployed_sha=run.sha, deployed_at=run.finished_at, deleted=run.action == "delete", adopted=False
        )
        if target is not None and run.action == "deploy":
            state = replace(state, channels=channels.publish(state.channels, target, run, run.finished_at))
    if run.status is RunStatus.FAILED:
        state = replace(state, channels=channels.withdraw(state.channels, record.id, run.sha))
    return state, record


def _never_started(sheet: Sheet, record: TargetState, run: Run) -> None:
    """The intent was saved, the start never happened: start the same key, if it still is what is wanted."""
    target = sheet.context.desired.targets.get(record.id)
    if target is None:
        ended = replace(run, status=RunStatus.CANCELED, text="never started, its target is gone", finished_at=sheet.now)
        sheet.put_target(settle(sheet, record, ended))
        reason = Reason("follow", f"run {run.number} of {short(run.sha)} never started, its target is gone")
        sheet.actions.append(FollowRun(f"target:{record.id}", record.id, ended, (reason,)))
    elif target.disable or config_hash(canonical(effective(target))) != run.config_hash:
        text = f"run {run.number} of {short(run.sha)} never started and is no longer wanted"
        cancel(sheet, record, run, target.pipeline, Reason("superseded", text))
    elif not _held_again(sheet, target, run):
        sheet.starts += 1
        # A server may show a run minutes after it was asked for: the next "did it start?" counts from this request.
        run = replace(run, intent_at=sheet.now)
        sheet.put_target(replace(record, run=run))
        sheet.actions.append(start(target, run))


def _held_again(sheet: Sheet, target: Target, run: Run) -> bool:
    """Whether something that came up since the intent holds its start; a start is judged by the present."""
    unavailable = sheet.context.observed.unavailable.get(target.pipeline.instance.name)
    if unavailable:
        sheet.hold(f"target:{target.id}", Gate.UNREACHABLE, unavailable)
        return True
    moved = any(reason.kind == "promotion" for reason in run.reasons)
    candidate = Candidate(target, run.sha, Occasion.SAME_REF, config_hash=run.config_hash, person=moved)
    stops = [verdict for verdict in holding(gates(candidate, sheet)) if verdict.gate in STOPS_AN_INTENT]
    for verdict in stops:
        sheet.hold(f"target:{target.id}", verdict.gate, verdict.text, verdict.until)
    return bool(stops)


def start(target: Target, run: Run) -> StartRun:
    """The action that starts a run, with what its program is told."""
    return StartRun(
        subject=f"target:{target.id}",
        target=target.id,
        run=run,
        pipeline=target.pipeline,
        environment=environment(target, run),
        reasons=run.reasons,
    )


def environment(target: Target, run: Run) -> dict[str, str]:
    """What a run's program is told (DESIGN section 9)."""
    return {
        "SAASBOT_TARGET": target.id,
        "SAASBOT_SAAS_FILE": target.saas_file,
        "SAASBOT_SHA": run.sha,
        "SAASBOT_REF": target.ref,
        "SAASBOT_PARAMETERS": canonical(dict(target.parameters)),
        "SAASBOT_RUN_KEY": run.key,
        "SAASBOT_ACTION": run.action.value,
        "SAASBOT_REASONS": ",".join(reason.kind for reason in run.reasons),
    }


def _asked_to_stop(sheet: Sheet, record: TargetState, run: Run) -> None:
    """A command that could not be carried out yet is not forgotten."""
    pipeline = pipeline_of(sheet, record.id, run)
    if run.stop and pipeline is not None:
        cancel(sheet, record, run, pipeline, stop_reason(run))


def stop_reason(run: Run) -> Reason:
    """Why a run is stopped that a command asked to stop."""
    return Reason("command", f"{run.stop} asked to stop run {run.number}")


def _time_out(sheet: Sheet, record: TargetState, run: Run) -> None:
    pipeline = pipeline_of(sheet, record.id, run)
    began = run.started_at or run.intent_at
    if pipeline is None or began is None:
        return
    limit = began + pipeline.timeout
    if sheet.now < limit:
        if sheet.concerns(f"target:{record.id}"):
            sheet.due(limit)
        return
    text = f"run {run.number} of {short(run.sha)} is over its time-out of {span(pipeline.timeout)}"
    cancel(sheet, record, replace(run, text=TIMED_OUT), pipeline, Reason("timeout", text))


def cancel(sheet: Sheet, record: TargetState, run: Run, pipeline: Pipeline, reason: Reason) -> None:
    """Decide to stop a run in flight, once a pass."""
    if any(isinstance(a, CancelRun) and a.run.key == run.key for a in sheet.actions):
        return
    sheet.put_target(replace(record, run=run))
    sheet.actions.append(CancelRun(f"target:{record.id}", record.id, run, pipeline, (reason,)))


def pipeline_of(sheet: Sheet, target: str, run: Run) -> Pipeline | None:
    """The pipeline that a target's run uses; where the target is gone, what the run itself remembers."""
    found = sheet.context.desired.targets.get(target)
    if found is not None:
        return found.pipeline
    if run.instance is None:
        return None
    return Pipeline(run.pipeline, run.instance, timeout=run.timeout or timedelta(hours=1))
