"""What people write first: whoever reports raises the event, whether the job runs yet or not."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="jobs", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    return client.create_check_status_response(req, await client.start_new("job"))


@app.route(route="jobs/{id}/done", methods=["POST"])
@app.durable_client_input(client_name="client")
async def done(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.raise_event(req.route_params["id"], "done")
    return func.HttpResponse(status_code=202)


@app.orchestration_trigger(context_name="context")
def job(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    deadline = context.create_timer(context.current_utc_datetime + timedelta(minutes=6))
    reported = context.wait_for_external_event("done")
    first = yield context.task_any([reported, deadline])
    if first is deadline:
        return "timeout"
    deadline.cancel()
    return "processed"
