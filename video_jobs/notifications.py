"""The activity that tells people of a job that failed or timed out."""

import logging
from typing import Any

import msgspec

from video_jobs.contract import FAILED_QUEUE, FailureNotification
from video_jobs.queues import FOR_EVER, Send
from video_jobs.queues import send as send_to_queue


def notify(notification: dict[str, Any], *, send: Send = send_to_queue) -> list[str]:
    """Put a failure notification on `video-failed`; returns the channels that have it.

    Raises `QueueError` when the queue can't be reached, so that the orchestrator tries again.
    """
    failure = msgspec.convert(notification, FailureNotification)
    logging.warning(
        "Job %s ended as %s in step %s: %s: %s",
        failure.instance_id,
        failure.status,
        failure.error.step,
        failure.error.code,
        failure.error.message,
    )
    send(FAILED_QUEUE, msgspec.json.encode(failure).decode(), FOR_EVER)
    return ["queue"]
