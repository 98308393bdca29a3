"""All trigger types in one app: a parcel comes in by HTTP or Event Grid and goes on by queues to an orchestration."""

import json
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

STORAGE = "AzureWebJobsStorage"

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="parcels/{number}", methods=["POST"])
@app.queue_output(arg_name="parcels", queue_name="parcels", connection=STORAGE)
def hand_in(req: func.HttpRequest, parcels: func.Out[str]) -> func.HttpResponse:
    parcels.set(json.dumps({"number": req.route_params["number"], "to": req.get_body().decode()}))
    return func.HttpResponse(status_code=202)


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="parcels", queue_name="parcels", connection=STORAGE)
def hand_in_by_event(event: func.EventGridEvent, parcels: func.Out[str]) -> None:
    parcels.set(json.dumps({"number": event.id, "to": event.get_json()["to"]}))


@app.queue_trigger(arg_name="message", queue_name="parcels", connection=STORAGE)
@app.queue_output(arg_name="receipts", queue_name="receipts", connection=STORAGE)
@app.durable_client_input(client_name="client")
async def send_off(message: func.QueueMessage, receipts: func.Out[str], client: df.DurableOrchestrationClient) -> None:
    parcel = message.get_json()
    await client.start_new("delivery", parcel["number"], parcel["to"])
    receipts.set(f"receipt for {parcel['number']}")


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *", run_on_startup=True)
@app.queue_output(arg_name="openings", queue_name="openings", connection=STORAGE)
def open_office(timer: func.TimerRequest, openings: func.Out[str]) -> None:
    openings.set("late" if timer.past_due else "in time")


@app.orchestration_trigger(context_name="context")
def delivery(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    delivered: str = yield context.call_activity("deliver", context.get_input())
    context.signal_entity(df.EntityId("statistics", "all"), "count")
    return delivered


@app.activity_trigger(input_name="to")
def deliver(to: str) -> str:
    return f"delivered to {to}"


@app.entity_trigger(context_name="context")
def statistics(context: df.DurableEntityContext) -> None:
    context.set_state(context.get_state(lambda: 0) + 1)
