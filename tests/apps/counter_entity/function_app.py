"""A counter as an entity function: clients signal operations and read the state."""

import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="counters/{key}/{operation:regex(^(add|reset|remove)$)}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def signal_counter(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    counter = df.EntityId("Counter", req.route_params["key"])
    amount = req.get_json() if req.get_body() else None
    await client.signal_entity(counter, req.route_params["operation"], amount)
    return func.HttpResponse(status_code=202)


@app.route(route="counters/{key}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def read_counter(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    counter = await client.read_entity_state(df.EntityId("Counter", req.route_params["key"]))
    if not counter.entity_exists:
        return func.HttpResponse(status_code=404)
    return func.HttpResponse(json.dumps(counter.entity_state), mimetype="application/json")


@app.entity_trigger(context_name="context")
def Counter(context: df.DurableEntityContext) -> None:  # noqa: N802 - the name is what clients see
    value = context.get_state(lambda: 0)
    if context.operation_name == "add":
        value += context.get_input()
    elif context.operation_name == "reset":
        value = 0
    elif context.operation_name == "remove":
        context.destruct_on_exit()
        return
    context.set_state(value)
    context.set_result(value)
