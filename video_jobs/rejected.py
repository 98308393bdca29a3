"""The queue `video-processed-rejected`: what could not be delivered, kept with the reason."""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from video_jobs.contract import MAX_MESSAGE_BYTES, REJECTED_QUEUE, utc_text
from video_jobs.queues import FOR_EVER, QueueError, Send
from video_jobs.queues import send as send_to_queue
from video_jobs.redaction import one_line

Reason = Literal[
    "not_json", "nested_base64", "breaks_contract", "late", "stale_attempt", "pending", "unknown_job", "poisoned"
]


async def reject(reason: str, detail: str, text: str, send: Send, now: Callable[[], datetime]) -> None:
    """Keep what can't be delivered, with the reason; a failure is raised, so that nothing is lost."""
    logging.warning("A report was moved to %s: %s: %s", REJECTED_QUEUE, reason, one_line(detail))
    rejected = rejection(reason, one_line(detail), text, utc_text(now()))
    await asyncio.to_thread(send, REJECTED_QUEUE, rejected, FOR_EVER)


def rejection(reason: str, detail: str, text: str, received_at: str) -> str:
    """The message for the queue; what no queue message could hold is cut and says so."""
    kept = {"reason": reason, "detail": detail, "received_at": received_at, "message": text}
    # ASCII, for a queue message travels as XML, which not every character survives.
    while len(encoded := json.dumps(kept)) > MAX_MESSAGE_BYTES:
        kept["message"] = kept["message"][: len(kept["message"]) // 2]
        kept["detail"] = f"{detail} (the message of {len(text)} characters was cut)"
    return encoded


def keep(given: dict[str, Any], *, send: Send = send_to_queue) -> dict[str, Any]:
    """The activity that keeps the events a job ignored: `{"instance_id", "rejected": [<message>, ...]}`.

    At least once: when one of them can't be written, all are tried again. Returns `{"ok": true}`, or
    `{"ok": false, "error": {"code", "message"}}` when storage or its setting is at fault.
    """
    messages = [
        rejection(each["reason"], each["detail"], each["message"], each["received_at"]) for each in given["rejected"]
    ]
    try:
        for message in messages:
            send(REJECTED_QUEUE, message, FOR_EVER)
    except QueueError as error:
        return {"ok": False, "error": {"code": error.code, "message": str(error)}}
    logging.info(
        "Job %s: %d ignored events were kept in %s", given["instance_id"], len(given["rejected"]), REJECTED_QUEUE
    )
    return {"ok": True}
