"""What the tests of the test kit need an app to do, right and wrong."""

import json
import random
import threading
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
let_go = threading.Event()


@app.queue_trigger(arg_name="message", queue_name="approvals", connection="AzureWebJobsStorage")
@app.durable_client_input(client_name="client")
async def approve(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    approval = json.loads(message.get_body())
    await client.raise_event(approval["id"], "Approval", approval["by"])


@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
def every_hour(timer: func.TimerRequest) -> None:
    """Only runs when a test moves time over the hour."""


@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    approved_by = yield context.wait_for_external_event("Approval")
    return json.loads(approved_by) if isinstance(approved_by, str) else approved_by


@app.orchestration_trigger(context_name="context")
def race(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    timer = context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    approval = context.wait_for_external_event("Approval")
    winner = yield context.task_any([approval, timer])
    if winner is timer:
        return "timeout"
    timer.cancel()
    return "approved"


@app.orchestration_trigger(context_name="context")
def forgets_timer(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    timer = context.create_timer(context.current_utc_datetime + timedelta(days=1))
    approval = context.wait_for_external_event("Approval")
    yield context.task_any([approval, timer])
    return "done"


@app.orchestration_trigger(context_name="context")
def pays(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    retries = df.RetryOptions(5000, 3)
    first = yield context.call_activity("reserve", context.get_input())
    second = yield context.call_activity_with_retry("charge", retries, first)
    return second


@app.orchestration_trigger(context_name="context")
def two_events(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    first = yield context.wait_for_external_event("Note")
    second = yield context.wait_for_external_event("Note")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def rolls_dice(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    result = yield context.call_activity("reserve", random.random())
    return result


@app.orchestration_trigger(context_name="context")
def clock_watcher(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    begun = context.current_utc_datetime
    yield context.create_timer(begun + timedelta(seconds=60))
    return (context.current_utc_datetime - begun).total_seconds()


@app.activity_trigger(input_name="order")
def reserve(order: Any) -> Any:
    return order


@app.activity_trigger(input_name="order")
@app.queue_output(arg_name="receipt", queue_name="receipts", connection="AzureWebJobsStorage")
def charge(order: Any, receipt: func.Out[str]) -> Any:
    receipt.set(json.dumps({"charged": order}))
    return order


@app.activity_trigger(input_name="nothing")
def starts_thread(nothing: Any) -> None:
    threading.Thread(target=let_go.wait, name="forgotten thread", daemon=True).start()


@app.orchestration_trigger(context_name="context")
def leaves_thread(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    yield context.call_activity("starts_thread", None)
