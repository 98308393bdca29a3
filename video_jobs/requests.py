"""The activities that publish a request for the worker, and withdraw it."""

import logging
from datetime import datetime, timedelta
from typing import Any

import msgspec

from video_jobs.contract import REQUEST_QUEUE, decode_request, encode_request
from video_jobs.queues import QueueError, Send, TakeBack
from video_jobs.queues import send as send_to_queue
from video_jobs.queues import take_back as take_back_from_queue
from video_jobs.settings import utc_now

# The message outlives the deadline a little: clocks differ, and a worker that takes it late logs that.
GRACE = timedelta(seconds=60)


def publish(request: dict[str, Any], *, send: Send = send_to_queue, now: datetime | None = None) -> dict[str, Any]:
    """Put a request on `video-to-processing`; it dies there soon after its deadline.

    At least once: when the host dies before it has recorded the receipt, it calls this again, and a second
    message goes out with the same `instance_id` and `attempt`. The worker does that work once.

    Returns `{"ok": true, "receipt": {...}}`, or `{"ok": false, "error": {"code", "message"}}` when storage or
    its setting is at fault.
    """
    message = decode_request(msgspec.json.encode(request))
    seconds_to_live = int((message.deadline + GRACE - (now or utc_now())).total_seconds())
    if seconds_to_live < 1:
        return _failure("too_late", "The deadline has passed before the request could be published")
    try:
        return {"ok": True, "receipt": send(REQUEST_QUEUE, encode_request(message), seconds_to_live)}
    except QueueError as error:
        return _failure(error.code, str(error))


def withdraw(withdrawal: dict[str, Any], *, take_back: TakeBack = take_back_from_queue) -> dict[str, Any]:
    """Take a request out of the queue: `{"instance_id", "attempt", "receipt": {...}}`, as it was published.

    Returns `{"ok": true, "withdrawn": true}`, or `false` when a worker took it or it is gone; `{"ok": false,
    "error": {"code", "message"}}` when storage or its setting is at fault.
    """
    receipt = withdrawal["receipt"]
    try:
        withdrawn = take_back(receipt["queue"], receipt["message_id"], receipt["pop_receipt"])
    except QueueError as error:
        return _failure(error.code, str(error))
    found = "withdrawn" if withdrawn else "not withdrawn, a worker has taken it"
    logging.info("Job %s, attempt %s: the request was %s", withdrawal["instance_id"], withdrawal["attempt"], found)
    return {"ok": True, "withdrawn": withdrawn}


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": message}}
