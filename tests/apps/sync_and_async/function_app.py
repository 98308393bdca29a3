"""Sync and async functions in one app: the sync ones run on threads, the async ones on the event loop.

Two guests meet in each of the first two routes: each is answered only when the other is there as well.
"""

import asyncio
import threading
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

PATIENCE = 10  # seconds

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
hall = threading.Barrier(2)
garden = asyncio.Barrier(2)


@app.route(route="hall/{guest}", methods=["GET"])
def meet_in_hall(req: func.HttpRequest) -> func.HttpResponse:
    hall.wait(PATIENCE)
    return func.HttpResponse(f"{req.route_params['guest']} met somebody in the hall")


@app.route(route="garden/{guest}", methods=["GET"])
async def meet_in_garden(req: func.HttpRequest) -> func.HttpResponse:
    async with asyncio.timeout(PATIENCE):
        await garden.wait()
    return func.HttpResponse(f"{req.route_params['guest']} met somebody in the garden")


@app.route(route="words", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_words(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("words", client_input=req.get_body().decode())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def words(context: df.DurableOrchestrationContext) -> Generator[Any, Any, list[str]]:
    text = context.get_input()
    both: list[str] = yield context.task_all(
        [context.call_activity("shout", text), context.call_activity("whisper", text)]
    )
    return both


@app.activity_trigger(input_name="text")
def shout(text: str) -> str:
    return text.upper()


@app.activity_trigger(input_name="text")
async def whisper(text: str) -> str:
    await asyncio.sleep(0)
    return text.lower()
