"""Human interaction: somebody decides about an expense, or the time is over.

POST /api/expenses {"amount": 80, "seconds": 60} starts it, POST /api/expenses/{id}/decision "approve" or "refuse"
raises the event it waits for.
"""

import json
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="expenses", methods=["POST"])
@app.durable_client_input(client_name="client")
async def file_expense(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("expense", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="expenses/{id}/decision", methods=["POST"])
@app.durable_client_input(client_name="client")
async def decide(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.raise_event(req.route_params["id"], "Decision", req.get_body().decode())
    return func.HttpResponse(status_code=202)


@app.orchestration_trigger(context_name="context")
def expense(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    claim = context.get_input()
    yield context.call_activity("ask_manager", claim["amount"])
    context.set_custom_status("waiting for a decision")
    time_is_over = context.create_timer(context.current_utc_datetime + timedelta(seconds=claim["seconds"]))
    decision = context.wait_for_external_event("Decision")
    first = yield context.task_any([decision, time_is_over])
    if first == time_is_over:
        outcome: str = yield context.call_activity("escalate", claim["amount"])
        return outcome
    # Without this the instance would run on until the timer fires.
    time_is_over.cancel()
    # What `client.raise_event` sends comes as JSON text, also when it was a text.
    return "paid" if json.loads(decision.result) == "approve" else "refused"


@app.activity_trigger(input_name="amount")
def ask_manager(amount: int) -> str:
    return f"May {amount} be paid?"


@app.activity_trigger(input_name="amount")
def escalate(amount: int) -> str:
    return f"escalated: nobody decided about {amount}"
