"""Monitor: look at a print job again and again, until it is done or the monitor expires.

PUT /api/printer/{job} with a state tells how far the job is; POST /api/monitors {"job": "a", "every": 1, "for": 60}
(seconds) starts the monitor.
"""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="printer/{job}", methods=["PUT"])
@app.durable_client_input(client_name="client")
async def set_state(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    job = df.EntityId("print_job", req.route_params["job"])
    await client.signal_entity(job, "set", req.get_body().decode())
    return func.HttpResponse(status_code=202)


@app.route(route="monitors", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_monitor(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("monitor", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def monitor(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    wanted = context.get_input()
    expiry = context.current_utc_datetime + timedelta(seconds=wanted["for"])
    looks = 0
    while context.current_utc_datetime < expiry:
        state = yield context.call_entity(df.EntityId("print_job", wanted["job"]), "get")
        looks += 1
        context.set_custom_status({"looks": looks, "state": state})
        if state == "done":
            told: str = yield context.call_activity("tell_owner", wanted["job"])
            return told
        next_look = context.current_utc_datetime + timedelta(seconds=wanted["every"])
        yield context.create_timer(min(next_look, expiry))
    return "expired"


@app.entity_trigger(context_name="context")
def print_job(context: df.DurableEntityContext) -> None:
    if context.operation_name == "set":
        context.set_state(context.get_input())
    context.set_result(context.get_state(lambda: "unknown"))


@app.activity_trigger(input_name="job")
def tell_owner(job: str) -> str:
    return f"{job} lies in the tray"
