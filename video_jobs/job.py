"""What an orchestration knows of its job while it runs, and how it can end."""

import logging
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from video_jobs.contract import JobError, StartRequest, utc, utc_text
from video_jobs.durable import OrchestrationContext, Task
from video_jobs.inbox import EVENTS, Inbox
from video_jobs.race import EventRace
from video_jobs.redaction import one_line

Stage = Literal["publishing", "waiting", "withdrawing", "notifying"]


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


@dataclass(frozen=True)
class Outcome:
    """How the job went: a report, an error, or both when the worker reported FAILED."""

    status: Literal["processed", "timeout", "failed"]
    report: dict[str, Any] | None = None
    error: JobError | None = None


class Job:
    """What is known of the job so far.

    `order` is None until the input is read; `receipt` is that of a request that may still be in the queue;
    `published` counts the attempts that were; `earlier_error` is why the attempt before this one failed;
    `rejected` are the events that had no effect and are to be kept, as entries for `video-processed-rejected`.
    """

    def __init__(self, context: OrchestrationContext) -> None:
        self.context = context
        self.requested_at = utc(context.current_utc_datetime)
        self.order: Order | None = None
        self.receipt: dict[str, Any] | None = None
        self.published = 0
        self.earlier_error: JobError | None = None
        self.rejected: list[dict[str, str]] = []
        self.inbox = Inbox(context.instance_id, self._ignore)
        self.race = EventRace(context, EVENTS, self.inbox.hear)
        self._stage: Stage | None = None
        self._ignored = 0
        self._last_ignored = ""

    @property
    def now(self) -> datetime:
        """The orchestration's time, the same in each replay."""
        return utc(self.context.current_utc_datetime)

    @property
    def step(self) -> str:
        """Where the job is, for its errors."""
        return self._stage or "input"

    def enter(self, stage: Stage) -> None:
        """Show the stage to whoever asks for the status."""
        self._stage = stage
        self._show()

    def call(self, name: str, input_: Any) -> Generator[Task, Any, Any]:
        """The result of an activity; events are heard meanwhile. Raises what the activity raised."""
        task = self.context.call_activity(name, input_)
        yield from self.race.during(task)
        return (yield task)

    def pause(self, time: timedelta) -> Generator[Task, Any, None]:
        """Let time pass; events are heard meanwhile, and shorten nothing."""
        yield from self.race.until(self.now + time, lambda: False)

    def log(self, level: int, text: str) -> None:
        """A line in the log, once: not again when the orchestration is replayed."""
        if not self.context.is_replaying:
            logging.log(level, "Job %s: %s", self.context.instance_id, text)

    def _ignore(self, reason: str, detail: str, message: str | None) -> None:
        self._ignored += 1
        self._last_ignored = one_line(f"{reason}: {detail}")
        self.log(logging.WARNING, f"an event was ignored: {self._last_ignored}")
        if message is not None:
            entry = {"reason": reason, "detail": one_line(detail), "received_at": utc_text(self.now)}
            self.rejected.append({**entry, "message": message})
        self._show()

    def _show(self) -> None:
        deadline = utc_text(self.order.deadline) if self.order else None
        status: dict[str, Any] = {"stage": self._stage, "attempt": self.inbox.attempt, "deadline": deadline}
        if self._ignored:
            status["ignored"] = {"count": self._ignored, "last": self._last_ignored}
        self.context.set_custom_status(status)
