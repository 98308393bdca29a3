"""Reports that `client_function` failed on five times, and the host moved to its poison queue."""

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import azure.functions as func

from video_jobs.contract import EVENT_NAME, REJECTED_QUEUE, ContractError, decode_report, is_instance_id
from video_jobs.delivery import MAX_TRIES, WHY, Delivery, NotYetDelivered, look_at, patiently, raise_event
from video_jobs.durable import DurableClient
from video_jobs.queues import Send
from video_jobs.queues import send as send_to_queue
from video_jobs.rejected import reject
from video_jobs.settings import utc_now

CODE = "poisoned"
MESSAGE = f"A report could not be delivered in {MAX_TRIES} tries; it is kept in the queue {REJECTED_QUEUE}"

_NAMED = re.compile(r'"instance_id"\s*:\s*"([A-Za-z0-9._-]{1,100})"')
_LAYERS_OF_BASE64 = 3


async def take_message(
    message: func.QueueMessage,
    client: DurableClient,
    *,
    send: Send = send_to_queue,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """A message of `video-processed-poison`: its job, if it can be told, ends as failed; the message is kept.

    Raises when the queue is to hand it over again. The host has no poison queue for a poison queue: it hides the
    message for ten minutes then, without an end.
    """
    raw = message.get_body()
    instance_id, attempt = whose(raw)
    detail = "It does not say which job it is for"
    if instance_id is not None:
        delivery = await patiently(lambda: _end(instance_id, attempt, client), ("pending",), sleep)
        detail = WHY.get(delivery, "Its job was ended as failed") + f": {instance_id}"
        if delivery == "pending" and (message.dequeue_count or 1) < MAX_TRIES:
            raise NotYetDelivered(detail)
    await reject(CODE, detail, raw.decode("utf-8", "backslashreplace"), send, now)


def whose(raw: bytes) -> tuple[str | None, int | None]:
    """The id of the job that a message names, and its attempt, however broken the rest of it is."""
    try:
        report = decode_report(raw)
    except ContractError:
        return _named_in(raw), None
    return report.instance_id, report.attempt


def _named_in(raw: bytes) -> str | None:
    for _ in range(_LAYERS_OF_BASE64):
        text = raw.decode("utf-8", "replace")
        found = _NAMED.search(text)
        if found and is_instance_id(found[1]):
            return found[1]
        try:
            raw = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            return None
    return None


async def _end(instance_id: str, attempt: int | None, client: DurableClient) -> Delivery:
    seen = await look_at(instance_id, client)
    if seen.state != "running":
        return seen.state
    if attempt is not None and seen.attempt is not None and attempt < seen.attempt:
        return "stale_attempt"
    report: dict[str, Any] = {"instance_id": instance_id, "status": "FAILED"}
    report["error"] = {"code": CODE, "message": MESSAGE, "retryable": False}
    if seen.attempt:
        # A next attempt may begin meanwhile, which this must not end.
        report["attempt"] = seen.attempt
    return await raise_event(instance_id, EVENT_NAME, report, client)
