"""Without anything durable: the plain blueprint of Azure Functions."""

import azure.functions as func

blueprint = func.Blueprint()


@blueprint.route(route="open/{day:alpha}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def opening_hours(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("closed" if req.route_params["day"].lower() == "monday" else "8 to 18")
