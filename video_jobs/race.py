"""The race between external events and timers.

Three facts about the host and its SDK decide how this is written:

- An event that arrives while nobody waits for its name is kept by the SDK for ever and then answers every
  later wait of that name. So from an orchestrator's first step on there is always an open wait for each
  name; between two waits nothing else may be yielded.
- The host goes through what was scheduled in order and looks no further than the first thing that has not
  ended. So each wait that opens a new event wait has a timer of its own, cancelled when the wait ends, or
  an activity of its own: otherwise the host would stand at a wait that no event ends, and never reach what
  comes after it.
- An uncancelled timer keeps a finished instance running until it fires, and a long one can't be cancelled. So
  every timer is cancelled on every way out, and none is longer than a day.
"""

import json
from collections.abc import Callable, Generator, Sequence
from datetime import datetime, timedelta
from typing import Any

from video_jobs.durable import OrchestrationContext, Task, TimerTask

LONGEST_TIMER = timedelta(days=1)
_EVENT_RAISED = 15

Waiting = Generator[Task, Any, None]


class EventRace:
    """Hears the events of some names from the moment it is made until the orchestrator waits no more.

    Each is given to `hear` once, in the order of arrival, as its name and the text of its JSON.
    """

    def __init__(self, context: OrchestrationContext, names: Sequence[str], hear: Callable[[str, str], None]) -> None:
        _keep_events_as_text(context, names)
        self._context = context
        self._hear = hear
        self._waits = {name: context.wait_for_external_event(name) for name in names}

    def during(self, task: Task) -> Waiting:
        """Start `task`, which is an activity, and listen until it has ended, well or not."""
        guarded = False
        while not task.is_completed:
            yield from self._next([task], self._now + LONGEST_TIMER if guarded else None)
            guarded = self._take() or guarded

    def until(self, end: datetime, enough: Callable[[], bool]) -> Waiting:
        """Listen until `enough()` is true, or `end` has come."""
        fire_at = min(end, self._now + LONGEST_TIMER)
        while not enough():
            fired = yield from self._next([], fire_at)
            self._take()
            if fired and fire_at == end:
                return
            # From the time it was due, not from now: it may have fired early.
            fire_at = min(end, fire_at + LONGEST_TIMER) if fired else fire_at

    @property
    def _now(self) -> datetime:
        return self._context.current_utc_datetime

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
        """Hear the waits that ended and open new ones in their place; whether there were any."""
        ended = [name for name, wait in self._waits.items() if wait.is_completed]
        for name in ended:
            text = self._waits[name].result
            self._waits[name] = self._context.wait_for_external_event(name)
            self._hear(name, text)
        return bool(ended)


def _keep_events_as_text(context: OrchestrationContext, names: Sequence[str]) -> None:
    """Have the SDK hand over the events' JSON as text, and know their names in any case, as the host does.

    It would otherwise try to build the class that a `__class__` key names, fail, and take the job down with
    it: anybody who may raise an event could do that. And the host takes `Processed` for `processed`: the SDK,
    which does not, would never show it to us.
    """
    known = {name.lower(): name for name in names}
    for event in context.histories:
        if event.event_type == _EVENT_RAISED and (name := known.get((event.Name or "").lower())):
            event.Name, event.Input = name, json.dumps(event.Input)
