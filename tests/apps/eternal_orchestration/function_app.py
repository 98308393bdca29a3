"""Eternal orchestration: tidy up, wait, start afresh; the history never grows.

POST /api/tidying {"rounds": 3} ends after three rounds, {} never ends unless it is terminated.
"""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

PAUSE = timedelta(milliseconds=200)

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="tidying", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_tidying(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("tidying", client_input={**req.get_json(), "round": 1})
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def tidying(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str | None]:
    plan = context.get_input()
    context.set_custom_status({"round": plan["round"]})
    done: str = yield context.call_activity("tidy_up", plan["round"])
    if plan["round"] == plan.get("rounds"):
        return done
    yield context.create_timer(context.current_utc_datetime + PAUSE)
    context.continue_as_new({**plan, "round": plan["round"] + 1})
    return None


@app.activity_trigger(input_name="count")
def tidy_up(count: int) -> str:
    return f"tidied up {count} times"
