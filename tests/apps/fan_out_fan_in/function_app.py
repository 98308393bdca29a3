"""Fan-out/fan-in: as many activities at once as the route says, then one sum of what they returned."""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="squares/{count:int}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_squares(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("sum_of_squares", client_input=int(req.route_params["count"]))
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def sum_of_squares(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    count = context.get_input()
    if count == 0:
        return 0  # the SDK's task_all of an empty list gives None
    squares = yield context.task_all([context.call_activity("square", number) for number in range(count)])
    return sum(squares)


@app.activity_trigger(input_name="number")
def square(number: int) -> int:
    return number * number
