"""A bank: accounts are entities, a transfer is an orchestration that calls two of them.

PUT /api/accounts/{owner} with an amount pays in, POST /api/transfers {"from": "a", "to": "b", "amount": 5} transfers.
"""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="accounts/{owner}", methods=["PUT"])
@app.durable_client_input(client_name="client")
async def pay_in(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.signal_entity(df.EntityId("account", req.route_params["owner"]), "deposit", req.get_json())
    return func.HttpResponse(status_code=202)


@app.route(route="transfers", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_transfer(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("transfer", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def transfer(context: df.DurableOrchestrationContext) -> Generator[Any, Any, dict[str, Any]]:
    order = context.get_input()
    giver, taker = df.EntityId("account", order["from"]), df.EntityId("account", order["to"])
    # An account takes one operation at a time, so what the withdrawal found is still true when it takes the money.
    withdrawn = yield context.call_entity(giver, "withdraw", order["amount"])
    if not withdrawn:
        return {"transferred": 0, "reason": f"{order['from']} has too little"}
    balance = yield context.call_entity(taker, "deposit", order["amount"])
    return {"transferred": order["amount"], "balance": balance}


@app.entity_trigger(context_name="context")
def account(context: df.DurableEntityContext) -> None:
    balance = context.get_state(lambda: 0)
    if context.operation_name == "deposit":
        context.set_state(balance + context.get_input())
        context.set_result(balance + context.get_input())
    elif context.operation_name == "withdraw":
        enough = balance >= context.get_input()
        if enough:
            context.set_state(balance - context.get_input())
        context.set_result(enough)
