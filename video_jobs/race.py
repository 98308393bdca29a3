"""The race between the worker's report and the deadline.

Three facts about the host and its SDK decide how this is written:

- An event that arrives while nobody waits for its name is kept by the SDK for ever and then answers every
  later wait of that name. So from an orchestrator's first step on there is always an open wait for both
  names; between two waits nothing else may be yielded.
- The host goes through what was scheduled in order and looks no further than the first thing that has not
  ended. So each wait that opens a new event wait has a timer of its own, cancelled when the wait ends:
  otherwise the host would stand at a wait that no event ends, and never reach what comes after it.
- An uncancelled timer keeps a finished instance running until it fires, and a long one can't be cancelled. So
  every timer is cancelled on every way out, and none is longer than a day.
"""

import json
import logging
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

from video_jobs.contract import EVENT_NAME, OLDER_EVENT_NAME, ContractError, Report, decode_event
from video_jobs.durable import OrchestrationContext, Task, TimerTask

NAMES = (EVENT_NAME, OLDER_EVENT_NAME)
LONGEST_TIMER = timedelta(days=1)
# The timer may fire up to a second early, and a report may lie behind it in the same batch.
LAST_LOOK = timedelta(seconds=1)
_EVENT_RAISED = 15

Waiting = Generator[Task, Any, Any]


class ReportRace:
    """Hears the report from the moment it is made until the job is decided."""

    def __init__(self, context: OrchestrationContext) -> None:
        _keep_events_as_text(context)
        self._context = context
        self._waits = {name: context.wait_for_external_event(name) for name in NAMES}
        self.report: Report | None = None

    def during(self, task: Task) -> Waiting:
        """Run `task` to its end and listen meanwhile; returns its result, raises what it raised."""
        guarded = False
        while not task.is_completed and self.report is None:
            yield from self._next([task], self._now + LONGEST_TIMER if guarded else None)
            guarded = self._take() or guarded
        return (yield task)

    def until(self, deadline: datetime) -> Generator[Task, Any, Report | None]:
        """The first report that fits, or None when the deadline has passed without one."""
        yield from self._listen(deadline)
        yield from self._listen(self._now + LAST_LOOK)
        return self.report

    @property
    def _now(self) -> datetime:
        return self._context.current_utc_datetime

    def _listen(self, end: datetime) -> Waiting:
        fire_at = min(end, self._now + LONGEST_TIMER)
        while self.report is None:
            fired = yield from self._next([], fire_at)
            self._take()
            if fired and fire_at == end:
                return
            # From the time it was due, not from now: it may have fired early.
            fire_at = min(end, fire_at + LONGEST_TIMER) if fired else fire_at

    def _next(self, others: list[Task], fire_at: datetime | None) -> Generator[Task, Any, bool]:
        timer: TimerTask | None = self._context.create_timer(fire_at) if fire_at else None
        try:
            tasks = [*others, *self._waits.values(), *([timer] if timer else [])]
            winner = yield self._context.task_any(tasks)
            return timer is not None and winner is timer
        finally:
            if timer is not None and not timer.is_completed:
                timer.cancel()

    def _take(self) -> bool:
        """Read the waits that ended and open new ones in their place; whether there were any."""
        ended = [name for name, wait in self._waits.items() if wait.is_completed]
        for name in ended:
            data = self._waits[name].result
            self._waits[name] = self._context.wait_for_external_event(name)
            self.report = self.report or self._read(name, data)
        return bool(ended)

    def _read(self, name: str, data: Any) -> Report | None:
        try:
            return decode_event(json.loads(data), self._context.instance_id)
        except (ContractError, ValueError, TypeError, RecursionError) as error:
            if not self._context.is_replaying:
                job = self._context.instance_id
                logging.warning("Job %s: event %r ignored, it is no report: %s", job, name, error)
            return None


def _keep_events_as_text(context: OrchestrationContext) -> None:
    """Have the SDK hand over the event's JSON as text.

    It would otherwise try to build the class that a `__class__` key names, fail, and take the job down with
    it: anybody who may raise an event could do that.
    """
    for event in context.histories:
        if event.event_type == _EVENT_RAISED and event.Name in NAMES:
            event.Input = json.dumps(event.Input)
