"""Carries out the plans of the misbehaving worker; the queue, the lease and storage are the real worker's."""

import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime

from azure.storage.queue import QueueMessage

from video_jobs.contract import ProcessingRequest
from worker.account import Account
from worker.fake import modes
from worker.job import utc_now
from worker.lease import Lease
from worker.queue_loop import Options, QueueLoop

CRASHED = 70
# How long it may take until a wait notices that its lease was lost.
LONGEST_PAUSE_SECONDS = 1.0


class FakeLoop(QueueLoop):
    """The worker's loop with another way to work; it sets `stop` itself after `count` requests (None: never).

    It answers requests whose deadline has passed, too. `pause` waits so many seconds, or less.
    """

    def __init__(
        self,
        account: Account,
        options: Options,
        stop: threading.Event,
        behaviour: modes.Behaviour,
        count: int | None = None,
        now: Callable[[], datetime] = utc_now,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(account, options, stop, now)
        self._behaviour = behaviour
        self._count = count
        self._pause = pause or stop.wait
        self._done = 0

    def _work_on(self, request: ProcessingRequest, message: QueueMessage, lease: Lease) -> None:
        logging.info("Job %s, attempt %d: taken", request.instance_id, request.attempt)
        plan = modes.plan(modes.Taken(request, self._now(), self._done), self._behaviour)
        if plan.crash:
            self._crash(request)
        for each in plan.messages:
            self._wait_until(each.due, request, lease)
            self._account.put(request.reply_queue, each.text)
            logging.info("Job %s: sent %s to %s", request.instance_id, each.what, request.reply_queue)
        if not plan.messages:
            logging.info("Job %s: nothing is sent, the request is deleted", request.instance_id)
        self._done += 1
        if self._done == self._count:
            self._stop.set()

    def _crash(self, request: ProcessingRequest) -> None:
        seconds = self._options.visibility_seconds
        logging.warning(
            "Job %s: crashing with exit code %d; its request is on the queue again in %d s",
            request.instance_id,
            CRASHED,
            seconds,
        )
        # Nothing is cleaned up, as when the machine goes down: the lease just lapses.
        os._exit(CRASHED)

    def _wait_until(self, due: datetime, request: ProcessingRequest, lease: Lease) -> None:
        """Returns when it is time; raises what `Lease.check` raises."""
        if (left := (due - self._now()).total_seconds()) > 0:
            logging.info("Job %s: waiting %.1f s", request.instance_id, left)
        while left > 0:
            lease.check()
            self._pause(min(left, LONGEST_PAUSE_SECONDS))
            left = (due - self._now()).total_seconds()
        lease.check()
