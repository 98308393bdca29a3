"""The route that starts the orchestration of another file."""

import azure.durable_functions as df
import azure.functions as func

blueprint = df.Blueprint()


@blueprint.route(route="cakes/{flavour}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@blueprint.durable_client_input(client_name="client")
async def order_cake(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("bake_cake", client_input=req.route_params["flavour"])
    return client.create_check_status_response(req, instance_id)
