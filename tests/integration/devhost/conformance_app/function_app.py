# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False
"""What the conformance cases need that no recorded app has."""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()

Steps = Generator[Any, Any, Any]
runs: Counter[str] = Counter()
events: list[dict[str, Any]] = []


@app.route()
def level(req: func.HttpRequest) -> str:
    """At FUNCTION level, which is that of an app that names none."""
    return "in"


@app.route(route="runs", auth_level=func.AuthLevel.ANONYMOUS)
def shown_runs(req: func.HttpRequest) -> func.HttpResponse:
    """How often each activity ran, and the events that came."""
    return func.HttpResponse(json.dumps({"runs": runs, "events": events}))


@app.event_grid_trigger(arg_name="event")
def on_event(event: func.EventGridEvent) -> None:
    events.append({"id": event.id, "subject": event.subject, "data": event.get_json()})


@app.activity_trigger(input_name="text")
def first(text: str) -> str:
    runs["first"] += 1
    return text + "1"


@app.activity_trigger(input_name="text")
def second(text: str) -> str:
    runs["second"] += 1
    return text + "2"


@app.activity_trigger(input_name="tries")
def fails_twice(tries: int) -> str:
    runs["fails_twice"] += 1
    if runs["fails_twice"] < tries:
        raise ValueError("not yet")
    return "at last"


def earlier_runs() -> int:
    """Note a run in the file, and tell how many there were before, in other processes."""
    with Path(os.environ["NOTES"]).open("a+", encoding="utf-8") as notes:
        notes.seek(0)
        earlier = len(notes.readlines())
        notes.write("began\n")
    return earlier


@app.activity_trigger(input_name="nothing")
async def hangs_once(nothing: None) -> str:
    """The first run never ends."""
    earlier = earlier_runs()
    logging.info("run %s of the activity", earlier + 1)
    if earlier == 0:
        await asyncio.Event().wait()
    return f"run {earlier + 1}"


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Steps:
    text = yield context.call_activity("first", "a")
    return (yield context.call_activity("second", text))


@app.orchestration_trigger(context_name="context")
def race(context: df.DurableOrchestrationContext) -> Steps:
    """Input: the timer's seconds, and whether it is cancelled when the event wins."""
    seconds, cancels = context.get_input()
    event = context.wait_for_external_event("go")
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
    winner = yield context.task_any([event, timer])
    if cancels and winner is event:
        timer.cancel()
    return "event" if winner is event else "timer"


@app.orchestration_trigger(context_name="context")
def patient(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_activity_with_retry("fails_twice", df.RetryOptions(100, 3), 3))


@app.orchestration_trigger(context_name="context")
def interrupted(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_activity("hangs_once", None))


@app.entity_trigger(context_name="context")
def log_of(context: df.DurableEntityContext) -> None:
    """Keeps what was said, in order."""
    said = context.get_state(list)
    if context.operation_name == "say":
        context.set_state([*said, context.get_input()])
    else:
        context.set_result(said)


@app.orchestration_trigger(context_name="context")
def speaker(context: df.DurableOrchestrationContext) -> Steps:
    entity = df.EntityId("log_of", "k")
    for number in range(10):
        context.signal_entity(entity, "say", number)
    return (yield context.call_entity(entity, "read"))
