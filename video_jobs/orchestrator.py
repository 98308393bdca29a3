"""One orchestration is one job: publish the request, wait for the report or the deadline, end with a result.

Deterministic: the time comes from the context, everything else from the input; no I/O, no settings.
"""

import logging
from collections.abc import Generator
from datetime import timedelta
from typing import Any, Literal

import msgspec

from video_jobs.attempts import withdraw, work
from video_jobs.contract import (
    DEFAULT_TIMEOUT_SECONDS,
    REJECTED_QUEUE,
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
REJECT = "keep_rejected_reports"
# Before the second and the third try to tell somebody, and to keep what was rejected.
PAUSES = (timedelta(seconds=5), timedelta(seconds=20))


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
    job.inbox.close()
    yield from withdraw(job)
    notification = yield from _notify(job, outcome)
    yield from _keep_rejected(job)
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
    told: list[str] = []
    for pause in (*PAUSES, None):
        try:
            failure = builtins(_failure(job, outcome.status, outcome.error))
            answer = yield from job.call(NOTIFY, {"failure": failure, "told": told})
            told, failed = answer["told"], answer["failed"]
        except Exception as error:
            # The job is decided: that nobody could be told must not change how it ended.
            failed = [{"channel": NOTIFY, "message": one_line(error), "again": True}]
        for each in failed:
            job.log(logging.ERROR, f"nobody was told through {each['channel']}: {each['message']}")
        if pause is None or not any(each["again"] for each in failed):
            break
        yield from job.pause(pause)
    return Notification(delivered=bool(told), channels=told)


def _failure(job: Job, status: Literal["timeout", "failed"], error: JobError) -> FailureNotification:
    return FailureNotification(
        instance_id=job.context.instance_id,
        blob_name=job.order.start.blob_name if job.order else None,
        blob_url=hide_secrets(job.order.start.blob_url) if job.order else None,
        status=status,
        attempts=job.published,
        requested_at=job.requested_at,
        error=error,
    )


def _keep_rejected(job: Job) -> Generator[Task, Any, None]:
    """Put what was ignored aside where people find it, and once more what came meanwhile: a flood ends no job late."""
    for _ in range(2):
        if job.rejected:
            entries, job.rejected = job.rejected, []
            yield from _keep(job, entries)
    if job.rejected:
        job.log(logging.ERROR, f"{len(job.rejected)} events that came at its very end are only in this log")


def _keep(job: Job, entries: list[dict[str, str]]) -> Generator[Task, Any, None]:
    for pause in (*PAUSES, None):
        try:
            done = yield from job.call(REJECT, {"instance_id": job.context.instance_id, "rejected": entries})
            why = "" if done["ok"] else one_line(done["error"]["message"])
        except Exception as error:
            why = one_line(error)
        if not why:
            return
        job.log(logging.ERROR, f"{len(entries)} ignored events could not be kept in {REJECTED_QUEUE}: {why}")
        if pause is not None:
            yield from job.pause(pause)


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
