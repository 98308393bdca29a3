"""A shop for the guide's examples: two orchestrators as they should be, and two with mistakes that are often made."""

import json
import uuid
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


# [example: retry]
@app.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    three_tries = df.RetryOptions(first_retry_interval_in_milliseconds=60_000, max_number_of_attempts=3)
    receipt = yield context.call_activity_with_retry("charge", three_tries, context.get_input())
    label: str = yield context.call_activity("print_label", receipt)
    return label


# [end]


# [example: both forms]
@app.orchestration_trigger(context_name="context")
def delivery(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    signed = yield context.wait_for_external_event("Signed")
    if isinstance(signed, str):
        signed = json.loads(signed)
    return f"signed by {signed['by']}"


# [end]


# [example: mistake]
@app.orchestration_trigger(context_name="context")
def invoice(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    number = str(uuid.uuid4())
    printed: str = yield context.call_activity("print_label", number)
    return printed


# [end]


# [example: forgotten timer]
@app.orchestration_trigger(context_name="context")
def offer(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    expiry = context.create_timer(context.current_utc_datetime + timedelta(days=3))
    accepted = context.wait_for_external_event("Accepted")
    first = yield context.task_any([accepted, expiry])
    return "sold" if first == accepted else "expired"


# [end]


@app.activity_trigger(input_name="order")
def charge(order: Any) -> str:
    return f"receipt for {order['sku']}"


@app.activity_trigger(input_name="text")
def print_label(text: str) -> str:
    return f"[{text}]"
