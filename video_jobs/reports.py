"""Reports from the worker: found the job, they become its event; every other one is accounted for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

import azure.functions as func

from video_jobs.answers import answer, bad_request, refusal, too_large
from video_jobs.contract import (
    EVENT_NAME,
    MAX_MESSAGE_BYTES,
    REJECTED_QUEUE,
    ContractError,
    Report,
    decode_report,
)
from video_jobs.delivery import (
    DONE,
    EARLY,
    MAX_TRIES,
    RETRY_AFTER_SECONDS,
    TOO_LATE,
    WHY,
    Delivery,
    NotYetDelivered,
    look_at,
    patiently,
    raise_event,
)
from video_jobs.durable import DurableClient
from video_jobs.queues import Send
from video_jobs.queues import send as send_to_queue
from video_jobs.redaction import hide_secrets_in, one_line
from video_jobs.rejected import reject
from video_jobs.settings import utc_now


async def take_message(
    message: func.QueueMessage,
    client: DurableClient,
    *,
    send: Send = send_to_queue,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """A message of `video-processed`.

    Returns when the message is dealt with; raises when the queue is to hand it over again, after the
    `visibilityTimeout` of host.json. A job that starts a little late is waited for instead.
    """
    text = message.get_body().decode("utf-8", "backslashreplace")
    try:
        report = decode_report(message.get_body())
    except ContractError as error:
        await reject(error.code, str(error), text, send, now)
        return
    delivery = await patiently(lambda: deliver(report, client), ("pending",), sleep)
    if delivery in DONE:
        return
    detail = f"{WHY[delivery]}: {report.instance_id}"
    if delivery in EARLY and (message.dequeue_count or 1) < MAX_TRIES:
        raise NotYetDelivered(detail)
    await reject(delivery, detail, text, send, now)


async def take_post(
    request: func.HttpRequest,
    client: DurableClient,
    *,
    send: Send = send_to_queue,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> func.HttpResponse:
    """A report by HTTP: 202 when the job has it or had it, 400 or 413 when it is none, 409 too late, 503 too early."""
    body = request.get_body()
    if len(body) > MAX_MESSAGE_BYTES:
        return too_large(MAX_MESSAGE_BYTES)
    try:
        report = decode_report(body)
        if report.instance_id != request.route_params.get("instanceId"):
            raise ContractError("breaks_contract", "The report names another job than the URL", "$.instance_id")
    except ContractError as error:
        return bad_request(error)
    try:
        delivery = await patiently(lambda: deliver(report, client), EARLY, sleep)
        if delivery in TOO_LATE:
            await reject(delivery, f"{WHY[delivery]}: {report.instance_id}", body.decode(), send, now)
    except Exception as error:
        logging.error("A report for job %s could not be delivered: %s", report.instance_id, one_line(error))
        return _later("host_unavailable", "The report could not be delivered; send it again")
    return _answer(delivery, report.instance_id)


async def deliver(report: Report, client: DurableClient) -> Delivery:
    """Raise the report to its job, if that runs; "repeated" when it is the one that ended the job."""
    seen = await look_at(report.instance_id, client)
    if seen.report is not None and seen.report == hide_secrets_in(report.body):
        logging.info("Job %s: its report came again", report.instance_id)
        return "repeated"
    if seen.state != "running":
        return seen.state
    if report.attempt is not None and seen.attempt is not None and report.attempt < seen.attempt:
        return "stale_attempt"
    delivery = await raise_event(report.instance_id, EVENT_NAME, report.body, client)
    if delivery == "delivered":
        logging.info("Job %s: the worker reported %s", report.instance_id, report.status)
    return delivery


def _answer(delivery: Delivery, instance_id: str) -> func.HttpResponse:
    if delivery in DONE:
        return answer(202, {"ok": True, "instance_id": instance_id})
    if delivery in TOO_LATE:
        return refusal(409, delivery, f"{WHY[delivery]}; the report was kept in the queue {REJECTED_QUEUE}")
    return _later(delivery, f"{WHY[delivery]}; send the report again")


def _later(code: str, message: str) -> func.HttpResponse:
    return refusal(503, code, message, retry_after=RETRY_AFTER_SECONDS)
