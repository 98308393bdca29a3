"""The HTTP cancel of a job: it ends as `failed` with the code `cancelled`, unless its report came first."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import azure.functions as func

from video_jobs.answers import answer, bad_request, refusal, too_large
from video_jobs.contract import (
    CANCEL_EVENT,
    MAX_CANCEL_BYTES,
    Cancellation,
    ContractError,
    builtins,
    decode_cancel,
    is_instance_id,
)
from video_jobs.delivery import RETRY_AFTER_SECONDS, WHY, Delivery, look_at, patiently, raise_event
from video_jobs.durable import DurableClient
from video_jobs.redaction import one_line

_STATUS_CODES = {"late": 409, "unknown_job": 404, "pending": 503}


async def cancel(
    request: func.HttpRequest, client: DurableClient, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> func.HttpResponse:
    """202 when the job was told, 400 or 413 bad body, 404 no such job, 409 too late, 503 too early or host down."""
    instance_id = request.route_params.get("instanceId", "")
    body = request.get_body()
    if len(body) > MAX_CANCEL_BYTES:
        return too_large(MAX_CANCEL_BYTES)
    try:
        cancellation = decode_cancel(body)
    except ContractError as error:
        return bad_request(error)
    try:
        delivery = await patiently(lambda: _tell(instance_id, cancellation, client), ("pending",), sleep)
    except Exception as error:
        logging.error("Job %s could not be told of its cancel: %s", one_line(instance_id), one_line(error))
        message = "The job could not be told; cancel it again"
        return refusal(503, "host_unavailable", message, retry_after=RETRY_AFTER_SECONDS)
    if delivery == "delivered":
        return answer(202, {"ok": True, "instance_id": instance_id})
    again = RETRY_AFTER_SECONDS if delivery == "pending" else None
    return refusal(_STATUS_CODES[delivery], delivery, WHY[delivery], retry_after=again)


async def _tell(instance_id: str, cancellation: Cancellation, client: DurableClient) -> Delivery:
    if not is_instance_id(instance_id):
        return "unknown_job"
    seen = await look_at(instance_id, client)
    if seen.state != "running":
        return seen.state
    delivery = await raise_event(instance_id, CANCEL_EVENT, builtins(cancellation), client)
    if delivery == "delivered":
        logging.info("Job %s was told that it is cancelled", instance_id)
    return delivery
