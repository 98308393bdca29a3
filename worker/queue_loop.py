"""Takes requests from `video-to-processing`, one at a time, until told to stop."""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from video_jobs.contract import (
    REPORT_QUEUE,
    REQUEST_QUEUE,
    ContractError,
    ProcessingRequest,
    decode_request,
    encode_report,
    utc_text,
)
from worker import job, reports
from worker.account import Account, create
from worker.failures import LeaseLostError, StopRequestedError, VideoError
from worker.lease import Lease
from worker.results import Results

REJECTED_REQUESTS = "video-to-processing-rejected"
MOST_TRIES = 5
RETRY_SECONDS = 5
LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Options:
    """`visibility_seconds`: how soon another worker gets the message when this one dies in mid-work."""

    visibility_seconds: int = 60
    poll_seconds: float = 2.0


class QueueLoop:
    """The worker's loop. `stop` ends it: a request in hand is given back to the queue."""

    def __init__(
        self,
        account: Account,
        options: Options,
        stop: threading.Event,
        now: Callable[[], datetime] = job.utc_now,
    ) -> None:
        self._account = account
        self._options = options
        self._stop = stop
        self._now = now
        self._queue = account.queue(REQUEST_QUEUE)
        self._results = Results(account)

    def run(self) -> None:
        """Work until `stop` is set; storage that is down is waited for."""
        wait = self._options.poll_seconds
        while not self._stop.is_set():
            try:
                worked = self.once()
                wait = self._options.poll_seconds
            except AzureError as error:
                logging.error("Storage does not answer, trying again in %.0f s: %s", wait, _first_line(error))
                self._stop.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
                continue
            if not worked:
                self._stop.wait(wait)

    def once(self) -> bool:
        """Take one message and deal with it; whether there was one. AzureError when storage is down."""
        message = self._receive()
        if message is None:
            return False
        with Lease(self._queue, message, self._options.visibility_seconds, self._stop) as lease:
            try:
                self._deal_with(message, lease)
                # Last: until the report is out, a crash must bring the message back.
                lease.delete()
            except LeaseLostError:
                logging.warning("Message %s was taken by another worker; the work is dropped", message.id)
            except StopRequestedError:
                logging.info("Message %s goes back to the queue", message.id)
                lease.give_back()
            except Exception as error:
                logging.error("Message %s will be tried again: %s", message.id, _first_line(error), exc_info=True)
                lease.give_back(RETRY_SECONDS)
        return True

    def _receive(self) -> QueueMessage | None:
        seconds = self._options.visibility_seconds
        try:
            return self._queue.receive_message(visibility_timeout=seconds)
        except ResourceNotFoundError:
            create(self._queue)
            return self._queue.receive_message(visibility_timeout=seconds)

    def _deal_with(self, message: QueueMessage, lease: Lease) -> None:
        try:
            request = decode_request(message.content)
        except ContractError as error:
            self._reject(message, error)
            return
        self._work_on(request, message, lease)

    def _work_on(self, request: ProcessingRequest, message: QueueMessage, lease: Lease) -> None:
        """Bring a request to its end, after which its message is deleted; a subclass may do so in another way."""
        if request.deadline <= self._now():
            logging.warning(
                "Job %s, attempt %d: dropped, its deadline was %s",
                request.instance_id,
                request.attempt,
                utc_text(request.deadline),
            )
            return
        self._report(request, message, lease)

    def _report(self, request: ProcessingRequest, message: QueueMessage, lease: Lease) -> None:
        logging.info("Job %s, attempt %d: %s", request.instance_id, request.attempt, request.blob_name)
        if (message.dequeue_count or 1) > MOST_TRIES:
            began = self._now()
            error = VideoError("gave_up", f"The worker broke off {MOST_TRIES} times", retryable=False)
            report = reports.failed(request, began, began, error)
        else:
            report = job.do(request, self._account, self._results, lease.check, self._now)
        lease.check()
        self._account.put(request.reply_queue or REPORT_QUEUE, encode_report(reports.for_queue(report)))
        logging.info("Job %s: reported %s", request.instance_id, report["status"])

    def _reject(self, message: QueueMessage, error: ContractError) -> None:
        logging.warning("Message %s moved to %s: %s", message.id, REJECTED_REQUESTS, error)
        kept = {
            "reason": error.code,
            "detail": str(error),
            "received_at": utc_text(self._now()),
            "message": message.content,
        }
        while len(text := json.dumps(kept)) > 64 * 1024:
            kept["message"] = kept["message"][: len(kept["message"]) // 2]
            kept["detail"] = f"{error} (the message was cut)"
        self._account.put(REJECTED_REQUESTS, text)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
