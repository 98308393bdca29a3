"""The attempts of a job: publish the request, wait for the report, publish again after a failure that may pass.

A request goes out at least once. When the host dies after the message is sent and before that is recorded, it
runs the activity again and sends a second message with the same `instance_id` and `attempt`; so it does when
sending seemed to fail and did not. The worker does the work of such a pair once: it finds the result of the
first and reports that.
"""

import logging
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from video_jobs.contract import REPORT_QUEUE, JobError, ProcessingRequest, Report, builtins, utc_text
from video_jobs.durable import Task
from video_jobs.job import Job, Order, Outcome, StepError
from video_jobs.redaction import hide_secrets_in, one_line

PUBLISH = "send_processing_request"
WITHDRAW = "withdraw_request"
# Before the second and the third try; the activity itself tries for about ten seconds.
PUBLISH_PAUSES = (timedelta(seconds=5), timedelta(seconds=20))
# Errors of publishing that do not go away by waiting.
LASTING_ERRORS = ("bad_setting", "too_late")
# The host cuts a timer's delay to whole seconds, so it fires up to so much early.
EARLY = timedelta(seconds=1)
# Nobody sends a report to a job that is shown as withdrawing; what was sent before that has so long to arrive.
LAST_LOOK = EARLY + timedelta(seconds=1)


def work(job: Job, order: Order) -> Generator[Task, Any, Outcome]:
    """All attempts, to the job's outcome; raises `StepError` when a request can't be published."""
    outcome: Outcome | None = None
    while outcome is None:
        yield from _publish(job, order)
        outcome = yield from _wait(job, order)
    return outcome


def withdraw(job: Job) -> Generator[Task, Any, None]:
    """Take the request out of the queue if no worker had it; never raises, and changes no outcome."""
    if job.receipt is None:
        return
    job.enter("withdrawing")
    asked = {"instance_id": job.context.instance_id, "attempt": job.inbox.attempt, "receipt": job.receipt}
    job.receipt = None
    try:
        done = yield from job.call(WITHDRAW, asked)
        why = "" if done["ok"] else one_line(done["error"]["message"])
    except Exception as error:
        why = one_line(error)
    if why:
        job.log(logging.WARNING, f"its request could not be withdrawn: {why}")


def _publish(job: Job, order: Order) -> Generator[Task, Any, None]:
    """Returns when the request is on its way, or when it is not needed any more."""
    inbox = job.inbox
    inbox.next_attempt()
    job.enter("publishing")
    error = yield from _try_to_publish(job, order)
    for pause in PUBLISH_PAUSES:
        if error is None or inbox.decided():
            break
        if error.code in LASTING_ERRORS or job.now + pause >= order.deadline:
            break
        job.log(logging.WARNING, f"its request will be sent again in {pause.seconds} s: {error.message}")
        yield from job.race.until(job.now + pause, inbox.decided)
        if not inbox.decided():
            error = yield from _try_to_publish(job, order)
    if error is None:
        job.published = inbox.attempt
    elif not inbox.decided():
        raise StepError(error.step, error.code, error.message)


def _try_to_publish(job: Job, order: Order) -> Generator[Task, Any, JobError | None]:
    request = ProcessingRequest(
        blob_url=order.start.blob_url,
        blob_name=order.start.blob_name,
        posted=job.now,
        instance_id=job.context.instance_id,
        attempt=job.inbox.attempt,
        deadline=order.deadline,
        reply_queue=REPORT_QUEUE,
    )
    try:
        sent = yield from job.call(PUBLISH, builtins(request))
    except Exception as error:
        return JobError("publishing", "unexpected", one_line(error))
    if not sent["ok"]:
        return JobError("publishing", sent["error"]["code"], one_line(sent["error"]["message"]))
    job.receipt = sent["receipt"]
    return None


def _wait(job: Job, order: Order) -> Generator[Task, Any, Outcome | None]:
    """The outcome of this attempt, or None when there is to be another one."""
    inbox = job.inbox
    if not inbox.decided():
        job.enter("waiting")
    step = job.step
    yield from job.race.until(order.deadline + EARLY, inbox.decided)
    if not inbox.reported():
        job.enter("withdrawing")
        yield from job.race.until(job.now + LAST_LOOK, inbox.reported)
    cancellation = inbox.cancellation
    if not inbox.reported():
        # What lies behind the timer in the same batch is heard meanwhile.
        yield from withdraw(job)
    if inbox.report:
        return _reported(job, order, inbox.report)
    if cancellation:
        reason = f": {cancellation.reason}" if cancellation.reason else ""
        return Outcome("failed", error=JobError(step, "cancelled", one_line(f"Cancelled{reason}")))
    message = f"No report from the worker by {utc_text(order.deadline)}"
    if earlier := job.earlier_error:
        message += f"; attempt {inbox.attempt - 1} had failed: {earlier.code}: {earlier.message}"
    return Outcome("timeout", error=JobError("waiting", "timeout", one_line(message)))


def _reported(job: Job, order: Order, report: Report) -> Outcome | None:
    # A worker had the request, so there is none to withdraw; though sending it may have "failed", it was sent.
    job.receipt = None
    job.published = job.inbox.attempt
    body = hide_secrets_in(report.body)
    if report.error is None:
        return Outcome("processed", report=body)
    error = JobError("worker", one_line(report.error.code), one_line(report.error.message))
    attempts_left = job.inbox.attempt < order.start.max_attempts and job.now < order.deadline
    if report.error.retryable and attempts_left and job.inbox.cancellation is None:
        job.log(logging.WARNING, f"attempt {job.inbox.attempt} failed and is repeated: {error.code}: {error.message}")
        job.earlier_error = error
        return None
    return Outcome("failed", report=body, error=error)
