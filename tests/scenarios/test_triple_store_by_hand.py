"""Background jobs in a triple store at people's wish, by the initiator's own settings, and as deployments."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from worlds.job_consumer import Consumer
from worlds.producer_world import INSTANCE, Producer
from worlds.triple_stores import Store
from worlds.world import PROD, STAGE, NewWorld, World

from bot.config.sparql_rules import TASK_OPERATIONS
from bot.model.rounds import Result
from bot.model.runs import Run

START = ("trigger", "start", "leidinggevenden", "--as", "alice", "--no-wait")


def test_bj_9_and_b_3_a_start_by_command_says_its_job_or_what_is_in_its_way(producer: Producer) -> None:
    store, world = producer.store, producer.defines().world
    blocker = store.put_job("healing", "busy")
    refused = world.saasbot(*START, "dump")
    assert (refused.code, blocker in refused.out) == (1, True), refused
    assert (store.jobs("dump"), len(producer.errors())) == ([], 1)
    producer.passes()
    forced = world.saasbot(*START, "dump", "--force")
    (dump,) = store.jobs("dump")
    assert (forced.code, dump in forced.out) == (0, True), forced
    assert f"also active, for it was started by force: {blocker}" in forced.out


def test_bj_9_force_never_passes_the_chronology(quick: Producer) -> None:
    """Neither the definition's own, nor the store's, which knows of jobs that others have created."""
    world = quick.defines().world
    skipped = world.saasbot(*START, "healing", "--force")
    assert "initial-sync has not succeeded yet" in skipped.out, skipped
    world.edit("triggers/leidinggevenden.yml", "after: [initial-sync], ", "")
    quick.passes()
    refused = world.saasbot(*START, "healing", "--force")
    assert (refused.code, "needs a successful job of" in refused.out) == (1, True), refused
    assert quick.store.jobs("healing") == []


def test_bj_9_clean_and_status(producer: Producer) -> None:
    """And what runs only once may run again."""
    store, world = producer.store, producer.defines().world
    assert world.saasbot(*START, "initial-sync").code == 0
    (sync,) = store.jobs("initial-sync")
    task = producer.service.scheduled_task("initial-sync")
    told = world.saasbot("trigger", "status", "leidinggevenden", "--format", "json").document
    job = told["triggers"][0]["sets"][0]["pipelines"][0]["job"]
    assert (job["uri"], job["status"], [each["uri"] for each in job["tasks"]]) == (sync, "running", [task])
    clean = ("trigger", "clean", "leidinggevenden", "initial-sync")
    refused = world.saasbot(*clean)
    assert (refused.code, f"a job is active: {sync}; nothing was removed" in refused.out) == (1, True), refused
    producer.service.carries_out("initial-sync")
    producer.passes()
    dump = store.put_job("dump", "success")
    cleaned = world.saasbot(*clean)
    assert (cleaned.code, [line.strip() for line in cleaned.out.splitlines()[1:]]) == (0, [sync, task]), cleaned
    assert {s for s, _, _ in store.triples()} == {dump}
    assert world.saasbot(*START, "initial-sync").code == 0
    (again,) = store.jobs("initial-sync")
    forced = world.saasbot(*clean, "--force")
    assert (forced.code, again in forced.out, store.jobs("initial-sync")) == (0, True, []), forced


def test_bj_8_a_tenant_is_cleaned_alone(quick: Producer) -> None:
    here = quick.store
    there = replace(here, graph=f"{here.graph}/of-somebody-else")
    mine, others = here.put_job("dump", "failed"), here.put_job("dump", "failed", graph=there.graph)
    quick.defines().defines(store=there, name="mandatendatabank")
    cleaned = quick.world.saasbot("trigger", "clean", "leidinggevenden")
    assert (cleaned.code, mine in cleaned.out, here.jobs("dump")) == (0, True, [others]), cleaned


LISTED = """\
$schema: /trigger-1.json
name: deltas
owners: [alice]
instance: {{$ref: /instances/store.yml}}
on: {{command: true}}
with: {reach}
jobsFrom: {{file: deltas.json, format: mu-background-jobs}}
"""


def entry(store: Store, name: str, **more: Any) -> dict[str, Any]:
    """An entry of the initiator's own settings."""
    return {
        "name": name,
        "jobsGraph": store.graph,
        "initialPublicationGraphSyncJobOperation": store.operations["initial-sync"],
        "healingJobOperation": store.operations["healing"],
        "dumpFileCreationJobOperation": store.operations["dump"],
        **more,
    }


def test_bj_1_the_initiators_own_settings_are_carried_out(producer: Producer) -> None:
    """As they stand in its folder: one entry starts with an initial sync, of the other only dumps are wanted."""
    store = producer.store
    other = store.fresh()
    settings = [
        entry(store, "leidinggevenden", startInitialSync=True),
        entry(other, "mandaten", startInitialSync=False, disableHealingJobOperation=True),
    ]
    files = {
        "instances/store.yml": INSTANCE.format(url=store.url),
        "deltas.json": json.dumps(settings),
        "triggers/deltas.yml": LISTED.format(reach=json.dumps(dict(store.reach))),
    }
    producer.world.push(files)
    deltas = replace(producer, name="deltas")
    deltas.passes()
    deltas.passes(hours=14, minutes=30)
    for _ in range(8):
        for each in (store, other):
            service = Consumer(each)
            for kind in service.kinds:
                if service.scheduled_task(kind):
                    service.carries_out(kind, at="2026-03-03T01:00:00Z")
        deltas.passes(minutes=5)
    assert [len(store.jobs(kind)) for kind in Consumer(store).kinds] == [1, 1, 1]
    assert [len(other.jobs(kind)) for kind in Consumer(other).kinds] == [0, 0, 1]
    assert (deltas.errors(), deltas.round("deltas").result) == ([], Result.SUCCESS)


PIPELINE = """\
$schema: /pipeline-1.json
name: publish
instance: {{$ref: /instances/store.yml}}
timeout: 2d
with: {{{reach}, operation: {dump}, taskOperation: {task}}}
"""


def with_a_job(world: World, store: Store, target: str) -> Producer:
    """The world with a target that is deployed by a background job; nothing has run yet."""
    reach = ", ".join(f"{key}: {value}" for key, value in {"graph": store.graph, **store.reach}.items())
    text = PIPELINE.format(reach=reach, dump=store.operations["dump"], task=TASK_OPERATIONS["dump"])
    world.push({"instances/store.yml": INSTANCE.format(url=store.url), "pipelines/publish.yml": text})
    name = f"  - name: {target}\n"
    world.edit("svc/saas.yml", name, f"{name}    pipeline: {{$ref: /pipelines/publish.yml}}\n")
    world.reconcile()
    return Producer(world, store)


def stage_run(world: World) -> Run:
    """The run of the stage."""
    found = world.state().targets[STAGE].run
    assert found is not None
    return found


def test_bj_13_a_job_as_a_deployment_gates_a_promotion(new_world: NewWorld, store: Store) -> None:
    """Its success publishes the channel; a subscriber is promoted after it, and not while it runs or when it failed."""
    producer = with_a_job(new_world(), store, "stage")
    world, service = producer.world, Consumer(store, ("dump",))
    failed = world.commit()
    producer.passes()
    assert stage_run(world).status == "running"
    producer.passes(hours=25)
    assert (world.merge_requests(), world.runs()) == ([], [])
    job = service.carries_out("dump", "failed", at="2026-03-03T11:00:00Z")
    store.add(f"<{job}> task:error <{job}/error> . <{job}/error> a oslc:Error ; oslc:message 'no space left' .")
    producer.passes(hours=25)
    run = stage_run(world)
    assert (run.sha, run.status, run.text) == (failed, "failed", "no space left")
    assert world.merge_requests() == []

    sha = world.commit()
    producer.passes()
    service.carries_out("dump", at="2026-03-04T12:00:00Z")
    producer.passes(minutes=5)
    assert world.merge_requests() == [], "the soak has only begun"
    producer.passes(hours=25)
    assert world.difference()[-1] == f"+    ref: {sha}"
    world.merge()
    world.reconcile()
    assert [row[:2] for row in world.runs()] == [(PROD, sha)]


def test_bj_13_the_state_of_the_job_is_on_the_merge_request(new_world: NewWorld, oxigraph: Store) -> None:
    """Here production is deployed by a job, which the merge of a promotion starts."""
    producer = with_a_job(new_world(), oxigraph.fresh(), "prod")
    world, store = producer.world, producer.store
    sha = world.due()
    world.merge()
    producer.passes(minutes=5)
    (going,) = store.jobs("dump")
    on_report = world.report_on(1).replace("\u200b", "")
    assert f"`{PROD}` at `{sha[:7]}`: running \u2013 job {going}" in on_report
    job = Consumer(store, ("dump",)).carries_out("dump", "failed", at="2026-03-03T11:00:00Z")
    store.add(f"<{job}> task:error <{job}/error> . <{job}/error> a oslc:Error ; oslc:message 'no space left' .")
    producer.passes(minutes=5)
    assert f"`{PROD}` at `{sha[:7]}`: failed \u2013 no space left" in world.report_on(1)
