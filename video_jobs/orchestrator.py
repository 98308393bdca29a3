"""One orchestration is one job: publish the request, wait for the report or the deadline, end with a result.

Deterministic: the time comes from the context, everything else from the input; no I/O, no settings.
"""

import logging
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import msgspec

from video_jobs.attempts import withdraw, work
from video_jobs.contract import (
    DEFAULT_TIMEOUT_SECONDS,
    ContractError,
    FailureNotification,
    JobError,
    Notification,
    Result,
    builtins,
    decode_start,
)
from video_jobs.durable import OrchestrationContext, Steps, Task
from video_jobs.job import Job, Order, Outcome, StepError
from video_jobs.redaction import hide_secrets, one_line

NOTIFY = "SendFailureNotification"
NOTIFY_RETRY_MILLISECONDS = 5_000
NOTIFY_TRIES = 3


def run(context: OrchestrationContext) -> Steps:
    """The steps of `video_orchestrator`; returns the result of the contract, whatever happens."""
    job = Job(context)
    try:
        job.order = order = _read_input(job)
        outcome = yield from work(job, order)
    except StepError as failure:
        outcome = Outcome("failed", error=failure.error)
    except Exception as error:
        outcome = Outcome("failed", error=JobError(job.step, "unexpected", one_line(error)))
    yield from withdraw(job)
    notification = yield from _notify(job, outcome)
    return _result(job, outcome, notification)


def _read_input(job: Job) -> Order:
    try:
        start = decode_start(msgspec.json.encode(job.context.get_input()))
    except ContractError as error:
        raise StepError("input", "bad_input", error) from error
    except Exception as error:
        # The management API lets inputs through that the SDK cannot read.
        raise StepError("input", "bad_input", f"The input cannot be read: {error}") from error
    seconds = start.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
    return Order(start, job.requested_at + timedelta(seconds=seconds))


def _notify(job: Job, outcome: Outcome) -> Generator[Task, Any, Notification | None]:
    if outcome.status == "processed" or outcome.error is None:
        return None
    job.enter("notifying")
    try:
        notification = FailureNotification(
            instance_id=job.context.instance_id,
            blob_name=job.order.start.blob_name if job.order else None,
            status=outcome.status,
            attempts=job.published,
            requested_at=job.requested_at,
            error=outcome.error,
        )
        retries = df.RetryOptions(NOTIFY_RETRY_MILLISECONDS, NOTIFY_TRIES)
        channels = yield job.context.call_activity_with_retry(NOTIFY, retries, builtins(notification))
        return Notification(delivered=True, channels=list(channels))
    except Exception as error:
        # The job is decided: that nobody could be told must not change how it ended.
        job.log(logging.ERROR, f"nobody could be told: {one_line(error)}")
        return Notification(delivered=False, channels=[])


def _result(job: Job, outcome: Outcome, notification: Notification | None) -> dict[str, Any]:
    return builtins(
        Result(
            status=outcome.status,
            instance_id=job.context.instance_id,
            blob_name=job.order.start.blob_name if job.order else None,
            blob_url=hide_secrets(job.order.start.blob_url) if job.order else None,
            attempts=job.published,
            requested_at=job.requested_at,
            finished_at=job.now,
            report=outcome.report,
            error=outcome.error,
            notification=notification,
        )
    )
