"""The activity that tells people of a job that failed or timed out."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from video_jobs.contract import FAILED_QUEUE, FailureNotification
from video_jobs.queues import FOR_EVER, QueueError, Send
from video_jobs.queues import send as send_to_queue
from video_jobs.redaction import one_line
from video_jobs.settings import SettingError, failure_webhook, status_link, webhook_is_set
from video_jobs.webhook import WebhookError
from video_jobs.webhook import post as post_to_webhook

# URL, failure
Post = Callable[[str, FailureNotification], Awaitable[None]]
# What went wrong, in one line, and whether another try may help.
Miss = tuple[str, bool]


async def notify(
    given: dict[str, Any],
    *,
    send: Send = send_to_queue,
    post: Post = post_to_webhook,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Any]:
    """Put a failure on `video-failed`, and post it to the webhook when one is set.

    `given` is `{"failure": {...}, "told": ["queue", ...]}`: a channel that has it from an earlier try is left out.
    Returns `{"told": [...], "failed": [{"channel", "message", "again"}]}`: all channels that have it now, and those
    that don't; `again` says whether one may have it another time. At least once, as activities are.
    """
    failure = msgspec.convert(given["failure"], FailureNotification)
    if (link := status_link(environ, failure.instance_id)) is not None:
        failure = msgspec.structs.replace(failure, links={"status": link})
    error = failure.error
    what = f"Job {failure.instance_id} ended as {failure.status} in step {error.step}: {error.code}: {error.message}"
    logging.warning("%s", what)
    channels: dict[str, Callable[[], Awaitable[Miss | None]]] = {"queue": lambda: _put(failure, send)}
    if webhook_is_set(environ):
        channels["webhook"] = lambda: _post(failure, post, environ)
    told, failed = [], []
    for name, tell in channels.items():
        miss = None if name in given["told"] else await tell()
        if miss is None:
            told.append(name)
        else:
            failed.append({"channel": name, "message": miss[0], "again": miss[1]})
    return {"told": told, "failed": failed}


async def _put(failure: FailureNotification, send: Send) -> Miss | None:
    try:
        await asyncio.to_thread(send, FAILED_QUEUE, msgspec.json.encode(failure).decode(), FOR_EVER)
    except QueueError as error:
        return str(error), error.code != "bad_setting"
    return None


async def _post(failure: FailureNotification, post: Post, environ: Mapping[str, str]) -> Miss | None:
    try:
        await post(failure_webhook(environ), failure)
    except SettingError as error:
        return str(error), False
    except WebhookError as error:
        return one_line(error), error.again
    return None
