"""The activity that publishes a request for the worker."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from video_jobs.contract import REQUEST_QUEUE, decode_request, encode_request
from video_jobs.queues import QueueError, Send
from video_jobs.queues import send as send_to_queue
from video_jobs.settings import utc_now

# The message outlives the deadline a little: clocks differ, and a worker that takes it late logs that.
GRACE = timedelta(seconds=60)


def publish(request: dict[str, Any], *, send: Send = send_to_queue, now: datetime | None = None) -> dict[str, Any]:
    """Put a request on `video-to-processing`; it dies there soon after its deadline.

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


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": message}}
