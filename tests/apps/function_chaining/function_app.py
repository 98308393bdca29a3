"""Function chaining: each activity takes what the one before it returned.

POST /api/headlines with a text starts it; the output of the orchestration is the finished headline.
"""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="headlines", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_headline(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("headline", client_input=req.get_body().decode())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def headline(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    tidy = yield context.call_activity("tidy", context.get_input())
    titled = yield context.call_activity("title", tidy)
    framed: str = yield context.call_activity("frame", titled)
    return framed


@app.activity_trigger(input_name="text")
def tidy(text: str) -> str:
    return " ".join(text.split())


@app.activity_trigger(input_name="text")
def title(text: str) -> str:
    return text.title()


@app.activity_trigger(input_name="text")
def frame(text: str) -> str:
    return f"*** {text} ***"
