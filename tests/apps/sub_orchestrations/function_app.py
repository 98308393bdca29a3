"""Sub-orchestrations, three deep: a library counts its floors, a floor its shelves, a shelf its books.

POST /api/libraries with {"floor": {"shelf": books}} starts it; a negative number of books fails the count.
"""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="libraries", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_library(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("count_library", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def count_library(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, int]]:
    floors = context.get_input()
    counted = yield context.task_all(
        [context.call_sub_orchestrator("count_floor", shelves) for shelves in floors.values()]
    )
    return dict(zip(floors, counted, strict=True))


@app.orchestration_trigger(context_name="context")
def count_floor(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    total = 0
    for position, books in enumerate(context.get_input().values()):
        # A name of its own shows where the child belongs; it is made of nothing that changes at a replay.
        child = f"{context.instance_id}-{position}"
        total += yield context.call_sub_orchestrator("count_shelf", books, instance_id=child)
    return total


@app.orchestration_trigger(context_name="context")
def count_shelf(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    books: int = yield context.call_activity("count_books", context.get_input())
    return books


@app.activity_trigger(input_name="books")
def count_books(books: int) -> int:
    if books < 0:
        raise ValueError(f"a shelf can't hold {books} books")
    return books
