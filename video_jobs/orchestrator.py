"""One orchestration is one job: publish the request, wait for the report or the deadline, end with a result.

Deterministic: the time comes from the context, everything else from the input; no I/O, no settings.
"""

import logging
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import azure.durable_functions as df
import msgspec

from video_jobs.contract import (
    DEFAULT_TIMEOUT_SECONDS,
    REPORT_QUEUE,
    ContractError,
    FailureNotification,
    JobError,
    Notification,
    ProcessingRequest,
    Report,
    Result,
    StartRequest,
    builtins,
    decode_start,
    utc,
    utc_text,
)
from video_jobs.durable import OrchestrationContext, Steps, Task
from video_jobs.race import ReportRace
from video_jobs.redaction import hide_secrets, hide_secrets_in, one_line

PUBLISH = "send_processing_request"
NOTIFY = "SendFailureNotification"
NOTIFY_RETRY_MILLISECONDS = 5_000
NOTIFY_TRIES = 3


class StepError(Exception):
    """A step ended the job: the step, a code for programs and one line for people."""

    def __init__(self, step: str, code: str, message: object) -> None:
        self.error = JobError(step, code, one_line(message))
        super().__init__(self.error.message)


@dataclass(frozen=True)
class Order:
    """What was asked for, and until when the worker has time."""

    start: StartRequest
    deadline: datetime


class Job:
    """What is known of the job so far; `order` is None until the input is read."""

    def __init__(self, context: OrchestrationContext) -> None:
        self.context = context
        self.requested_at = utc(context.current_utc_datetime)
        self.order: Order | None = None
        self.attempt = 0
        self.step = "input"

    def enter(self, stage: Literal["publishing", "waiting", "notifying"]) -> None:
        """Show the stage to whoever asks for the status."""
        self.step = stage
        deadline = utc_text(self.order.deadline) if self.order else None
        self.context.set_custom_status({"stage": stage, "attempt": self.attempt, "deadline": deadline})


@dataclass(frozen=True)
class Outcome:
    """How the job went: a report, an error, or both when the worker reported FAILED."""

    status: Literal["processed", "timeout", "failed"]
    report: dict[str, Any] | None = None
    error: JobError | None = None


def run(context: OrchestrationContext) -> Steps:
    """The steps of `video_orchestrator`; returns the result of the contract, whatever happens."""
    job = Job(context)
    race = ReportRace(context)
    try:
        job.order = order = _read_input(job)
        yield from _publish(job, race, order)
        outcome = yield from _wait(job, race, order)
    except StepError as failure:
        outcome = Outcome("failed", error=failure.error)
    except Exception as error:
        outcome = Outcome("failed", error=JobError(job.step, "unexpected", one_line(error)))
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


def _publish(job: Job, race: ReportRace, order: Order) -> Generator[Task, Any, None]:
    job.attempt += 1
    job.enter("publishing")
    request = ProcessingRequest(
        blob_url=order.start.blob_url,
        blob_name=order.start.blob_name,
        posted=utc(job.context.current_utc_datetime),
        instance_id=job.context.instance_id,
        attempt=job.attempt,
        deadline=order.deadline,
        reply_queue=REPORT_QUEUE,
    )
    try:
        sent = yield from race.during(job.context.call_activity(PUBLISH, builtins(request)))
    except Exception as error:
        sent = {"ok": False, "error": {"code": "unexpected", "message": one_line(error)}}
    # A request may be on its way although sending it "failed": a report shows that it was.
    if not sent["ok"] and race.report is None:
        raise StepError("publishing", sent["error"]["code"], sent["error"]["message"])


def _wait(job: Job, race: ReportRace, order: Order) -> Generator[Task, Any, Outcome]:
    job.enter("waiting")
    report = yield from race.until(order.deadline)
    if report is None:
        message = f"No report from the worker by {utc_text(order.deadline)}"
        return Outcome("timeout", error=JobError("waiting", "timeout", message))
    return _reported(report)


def _reported(report: Report) -> Outcome:
    body = hide_secrets_in(report.body)
    if report.error is None:
        return Outcome("processed", report=body)
    error = JobError("worker", one_line(report.error.code), one_line(report.error.message))
    return Outcome("failed", report=body, error=error)


def _notify(job: Job, outcome: Outcome) -> Generator[Task, Any, Notification | None]:
    if outcome.status == "processed" or outcome.error is None:
        return None
    job.enter("notifying")
    notification = FailureNotification(
        instance_id=job.context.instance_id,
        blob_name=job.order.start.blob_name if job.order else None,
        status=outcome.status,
        attempts=job.attempt,
        requested_at=job.requested_at,
        error=outcome.error,
    )
    retries = df.RetryOptions(NOTIFY_RETRY_MILLISECONDS, NOTIFY_TRIES)
    try:
        channels = yield job.context.call_activity_with_retry(NOTIFY, retries, builtins(notification))
        return Notification(delivered=True, channels=list(channels))
    except Exception as error:
        # The job is decided: that nobody could be told must not change how it ended.
        if not job.context.is_replaying:
            logging.error("Job %s: nobody could be told: %s", job.context.instance_id, one_line(error))
        return Notification(delivered=False, channels=[])


def _result(job: Job, outcome: Outcome, notification: Notification | None) -> dict[str, Any]:
    return builtins(
        Result(
            status=outcome.status,
            instance_id=job.context.instance_id,
            blob_name=job.order.start.blob_name if job.order else None,
            blob_url=hide_secrets(job.order.start.blob_url) if job.order else None,
            attempts=job.attempt,
            requested_at=job.requested_at,
            finished_at=utc(job.context.current_utc_datetime),
            report=outcome.report,
            error=outcome.error,
            notification=notification,
        )
    )
