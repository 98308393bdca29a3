"""The orchestrator and its activities."""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context")
def bake_cake(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    dough = yield context.call_activity("knead", context.get_input())
    cake: str = yield context.call_activity("bake", dough)
    return cake


@blueprint.activity_trigger(input_name="flavour")
def knead(flavour: str) -> str:
    return f"{flavour} dough"


@blueprint.activity_trigger(input_name="dough")
def bake(dough: str) -> str:
    return dough.replace("dough", "cake")
