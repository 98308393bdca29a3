"""The activity that tells people of a job that failed or timed out."""

from typing import Any

import msgspec

from video_jobs.contract import FAILED_QUEUE, FailureNotification
from video_jobs.queues import FOR_EVER, Send
from video_jobs.queues import send as send_to_queue


def notify(given: dict[str, Any], *, send: Send = send_to_queue) -> dict[str, Any]:
    """Put a failure notification on `video-failed`; returns the channels that have it."""
    failure = msgspec.convert(given["failure"], FailureNotification)
    send(FAILED_QUEUE, msgspec.json.encode(failure).decode(), FOR_EVER)
    return {"told": ["queue"], "failed": []}
