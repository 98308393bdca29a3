# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False
"""An app that uses every member of the durable client, of the orchestration context and of the entity context."""

import asyncio
import inspect
import json
import logging
from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

Steps = Generator[Any, Any, Any]
runs: Counter[str] = Counter()
"""How often each key of `flaky` was tried."""


# --- the client ---------------------------------------------------------------------------------------------


@app.route(route="client/{method}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def client(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Call any method with the arguments of the body; answer with what it returned or raised."""
    asked = req.get_json()
    arguments = [meant(each, req) for each in asked["arguments"]]
    options = {name: meant(each, req) for name, each in asked["options"].items()}
    try:
        result = getattr(client, req.route_params["method"])(*arguments, **options)
        if inspect.isawaitable(result):
            result = await result
    except Exception as error:
        return func.HttpResponse(f"{type(error).__name__}: {error}", status_code=500)
    return func.HttpResponse(json.dumps({"returned": result}, default=shown))


def meant(value: Any, req: func.HttpRequest) -> Any:
    """What JSON has no words for: the request, an entity's id, a time, a status."""
    kinds = {
        "request": lambda _: req,
        "entity": lambda of: df.EntityId(*of),
        "time": datetime.fromisoformat,
        "statuses": lambda of: [df.OrchestrationRuntimeStatus(each) for each in of],
    }
    if isinstance(value, dict) and len(value) == 1 and (kind := next(iter(value))) in kinds:
        return kinds[kind](value[kind])
    return value


def shown(value: Any) -> Any:
    if isinstance(value, func.HttpResponse):
        text = value.get_body().decode()
        return {"status": value.status_code, "headers": dict(value.headers), "body": json.loads(text)}
    if hasattr(value, "instances_deleted"):
        return {"instances_deleted": value.instances_deleted}
    if hasattr(value, "entity_exists"):
        return {"entity_exists": value.entity_exists, "entity_state": value.entity_state}
    if isinstance(value, df.OrchestrationRuntimeStatus):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    assert hasattr(value, "runtime_status"), value
    return {
        **{name: getattr(value, name) for name in ("name", "instance_id", "runtime_status", "output")},
        "input": value.input_,
        "custom_status": value.custom_status,
        "created_time": value.created_time,
        "found": bool(value),
        "history": getattr(value, "historyEvents", None),  # where the SDK puts it; `.history` stays None
    }


@app.route(route="echo", methods=["POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), status_code=201, headers={"x-asked": req.headers["x-ask"]})


# --- activities ---------------------------------------------------------------------------------------------


@app.activity_trigger(input_name="number")
def add_one(number: int) -> int:
    return number + 1


@app.activity_trigger(input_name="key")
async def flaky(key: str) -> str:
    """Succeed at the third try of a key."""
    await asyncio.sleep(0)
    runs[key] += 1
    if runs[key] < 3:
        raise ValueError(f"try {runs[key]}")
    return f"done at try {runs[key]}"


# --- orchestrators: one for each member of the context ------------------------------------------------------


@app.orchestration_trigger(context_name="context")
def call_activity(context: df.DurableOrchestrationContext) -> Steps:
    by_name = yield context.call_activity("add_one", 1)
    by_function = yield context.call_activity(add_one, by_name)
    return [by_name, by_function]


@app.orchestration_trigger(context_name="context")
def call_activity_with_retry(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_activity_with_retry("flaky", df.RetryOptions(60_000, 3), "activity"))


@app.orchestration_trigger(context_name="context")
def call_entity(context: df.DurableOrchestrationContext) -> Steps:
    counter = df.EntityId("counter", "called")
    yield context.call_entity(counter, "add", 5)
    return (yield context.call_entity(counter, "get"))


@app.orchestration_trigger(context_name="context")
def signal_entity(context: df.DurableOrchestrationContext) -> Steps:
    counter = df.EntityId("counter", "signalled")
    context.signal_entity(counter, "add", 2)
    context.signal_entity(counter, "add", 3)
    return (yield context.call_entity(counter, "get"))


@app.orchestration_trigger(context_name="context")
def call_http(context: df.DurableOrchestrationContext) -> Steps:
    url = context.get_input()
    headers = {"x-ask": "kept", "Content-Type": "application/json"}
    as_json = yield context.call_http("POST", url, {"a": 1}, headers)
    as_text = yield context.call_http("POST", url, "raw", headers, is_raw_str=True)
    return [as_json, as_text]


@app.orchestration_trigger(context_name="context")
def child(context: df.DurableOrchestrationContext) -> Steps:
    value = yield context.call_activity("add_one", context.get_input())
    return {"value": value, "instance": context.instance_id, "parent": context.parent_instance_id}


@app.orchestration_trigger(context_name="context")
def call_sub_orchestrator(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_sub_orchestrator("child", 6, "the-child"))


@app.orchestration_trigger(context_name="context")
def flaky_child(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_activity("flaky", context.get_input()))


@app.orchestration_trigger(context_name="context")
def call_sub_orchestrator_with_retry(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_sub_orchestrator_with_retry("flaky_child", df.RetryOptions(60_000, 3), "child"))


@app.orchestration_trigger(context_name="context")
def continue_as_new(context: df.DurableOrchestrationContext) -> Steps:
    number = yield context.call_activity("add_one", context.get_input())
    before = context.will_continue_as_new
    if number < 4:
        context.continue_as_new(number)
    logging.info("continues as new: %s, then %s", before, context.will_continue_as_new)
    return number


@app.orchestration_trigger(context_name="context")
def create_timer(context: df.DurableOrchestrationContext) -> Steps:
    due = context.current_utc_datetime + timedelta(days=5)
    yield context.create_timer(due)
    return [due.isoformat(), context.current_utc_datetime.isoformat()]


@app.orchestration_trigger(context_name="context")
def set_custom_status(context: df.DurableOrchestrationContext) -> Steps:
    context.set_custom_status({"step": 1})
    first = context.custom_status
    yield context.wait_for_external_event("on")
    context.set_custom_status("ready")
    return [first, context.custom_status]


@app.orchestration_trigger(context_name="context")
def about(context: df.DurableOrchestrationContext) -> Steps:
    ids = [str(context.new_guid()), context.new_uuid()]
    replaying = [context.is_replaying]
    yield context.call_activity("add_one", 0)
    replaying.append(context.is_replaying)
    ids += [str(context.new_guid()), context.new_uuid()]
    return {
        "instance_id": context.instance_id,
        "parent_instance_id": context.parent_instance_id,
        "version": context.version,
        "input": context.get_input(),
        "is_replaying": replaying,
        "ids": ids,
        "histories": [each.event_type for each in context.histories],
        "function_context": vars(context.function_context),
    }


@app.orchestration_trigger(context_name="context")
def task_all(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.task_all([context.call_activity("add_one", number) for number in range(3)]))


@app.orchestration_trigger(context_name="context")
def task_any(context: df.DurableOrchestrationContext) -> Steps:
    event = context.wait_for_external_event("on")
    timeout = context.create_timer(context.current_utc_datetime + timedelta(days=1))
    first = yield context.task_any([event, timeout])
    if first is timeout:
        return "too late"
    timeout.cancel()
    return event.result


@app.orchestration_trigger(context_name="context")
def wait_for_external_event(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.wait_for_external_event("on"))


@app.generic_trigger(arg_name="context", type="orchestrationTrigger", orchestration="from_json")
def orchestrator_by_hand(context: func.OrchestrationContext) -> str:
    """Without the SDK's decorator the function reads the body, and writes the state, itself."""
    read = df.DurableOrchestrationContext.from_json(context.body)
    output = {"instance_id": read.instance_id, "input": read.get_input()}
    return json.dumps({"isDone": True, "actions": [[]], "output": output, "schemaVersion": 2})


# --- the entity ---------------------------------------------------------------------------------------------


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    operation = context.operation_name
    if operation == "add":
        context.set_state(context.get_state(lambda: 0) + context.get_input())
    elif operation == "get":
        context.set_result(context.get_state())
    elif operation == "about":
        names = ("entity_name", "entity_key", "operation_name", "is_newly_constructed")
        context.set_result({name: getattr(context, name) for name in names})
    elif operation == "forget":
        context.destruct_on_exit()
    else:
        raise ValueError(f"no operation {operation}")


@app.orchestration_trigger(context_name="context")
def ask_entity(context: df.DurableOrchestrationContext) -> Steps:
    """Input: name, key and operation of the entity to call."""
    name, key, operation = context.get_input()
    return (yield context.call_entity(df.EntityId(name, key), operation, None))


@app.generic_trigger(arg_name="context", type="entityTrigger", entityName="by_hand")
def entity_by_hand(context: func.EntityContext) -> str:
    read, batch = df.DurableEntityContext.from_json(context.body)
    seen = {"name": read.entity_name, "key": read.entity_key, "operations": [each["name"] for each in batch]}
    now = int(datetime.now(UTC).timestamp() * 1000)
    result = {"isError": False, "duration": 0, "startTime": now, "result": json.dumps(seen)}
    state = {"entityExists": True, "entityState": json.dumps(seen), "results": [result] * len(batch), "signals": []}
    return json.dumps(state)
