"""One pass over an orchestration's history with the actions that Python returned for it.

This is what the .NET side does in an episode (HOST_FACTS 6.6): the actions are walked in order, each becomes a
call whose completion is awaited before the next one is looked at, while the history's events complete what they
belong to. What the walk asks for and the history does not hold yet is new: `Replay.new`.

Pure: history and reply in, decisions out; no clock, no I/O.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import nondeterminism
from .actions import carry_out
from .entity_messages import request_of
from .events import Event, EventType, parse_time
from .names import Names
from .scheduled import ReplaySettings, Scheduled
from .tasks import Task

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass
class Replay:
    """The state of one pass. Make it with `replay`."""

    names: Names
    settings: ReplaySettings
    instance_id: str
    execution_id: str
    parent_id: str | None
    actions: list[dict[str, Any]]
    now: datetime = _LONG_AGO
    next_id: int = 0
    pending: dict[int, Scheduled] = field(default_factory=dict)
    scheduled: dict[int, Scheduled] = field(default_factory=dict)
    held: dict[int, Scheduled] = field(default_factory=dict)
    waiting_events: dict[str, list[tuple[str, Task]]] = field(default_factory=lambda: defaultdict(list))
    early_events: dict[str, deque[Event]] = field(default_factory=lambda: defaultdict(deque))
    entity_calls: dict[str, Task] = field(default_factory=dict)
    last_request: dict[str, datetime] = field(default_factory=dict)
    suspended: bool = False
    suspend_reason: str | None = None
    while_suspended: deque[Event] = field(default_factory=deque)
    continue_input: list[str | None] = field(default_factory=list)
    carried_over: list[Event] = field(default_factory=list)
    hanging: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    actions_done: int = 0
    walked: bool = False
    terminated: Event | None = None
    _index: int = 0

    @property
    def new(self) -> list[Scheduled]:
        """What has to be written and sent now, in the order of event ids."""
        return [] if self.suspended else [self.pending[key] for key in sorted(self.pending)]

    @property
    def open_tasks(self) -> list[Scheduled]:
        """What keeps the instance from ending."""
        return [one for one in self.scheduled.values() if one.open and not one.task.done]

    def take_id(self) -> int:
        event_id = self.next_id
        self.next_id += 1
        return event_id

    def schedule(self, item: Scheduled) -> Task:
        """Ask for `item`; it is new unless the history turns out to hold it."""
        self.pending[item.event_id] = item
        self.scheduled[item.event_id] = item
        return item.task

    def hang(self, reason: str) -> Task:
        """A call that the host throws away in silence: nothing is scheduled and Python waits for ever."""
        if reason not in self.hanging:
            self.hanging.append(reason)
        task = Task()
        task.complete(failed=True)
        return task

    def hear(self, expected: str, task: Task, event: Event) -> None:
        """Give an event to its wait. The host ignores case here, the SDK does not: then Python never sees it."""
        if event["Name"] != expected:
            self.unheard.append(f"event '{event['Name']}' was raised, but the orchestrator waits for '{expected}'")
        task.complete(event)

    def suspend(self, reason: str | None) -> None:
        """What is new waits until `release`."""
        self.suspended, self.suspend_reason = True, reason
        self.held, self.pending = {**self.held, **self.pending}, {}

    def release(self) -> None:
        self.suspended = False
        self.pending, self.held = {**self.held, **self.pending}, {}

    def start(self) -> None:
        """Start the walk, or go on with it: called again when what it waits for completes."""
        while self._index < len(self.actions):
            task = carry_out(self, self.actions[self._index])
            self._index += 1
            if not task.done:
                task.then(self.start)
                return
        self.walked = True

    def process(self, event: Event) -> None:
        """Apply one history event."""
        kind = EventType(event["EventType"])
        if self.suspended and kind in _DEFERRED_WHILE_SUSPENDED:
            self.while_suspended.append(event)
            return
        handler = _EVENT_HANDLERS.get(kind)
        if handler is not None:
            handler(self, event)


def _orchestrator_started(replay: Replay, event: Event) -> None:
    replay.now = parse_time(event["Timestamp"])


def _execution_started(replay: Replay, event: Event) -> None:
    replay.start()


def _scheduling(replay: Replay, event: Event) -> None:
    """A scheduling event of the past: the walk must have asked for the same thing under the same id."""
    event_id = event["EventId"]
    asked = replay.pending.get(event_id) or replay.held.get(event_id)
    # Checked first: what does not fit stays new, and the host writes it down beside what it collided with.
    nondeterminism.check(event, asked)
    replay.pending.pop(event_id, None)
    replay.held.pop(event_id, None)
    if asked is not None and event["EventType"] == EventType.SUB_ORCHESTRATION_CREATED:
        asked.instance_id = event["InstanceId"]
    if event["EventType"] == EventType.EVENT_SENT:
        _expect_entity_answer(replay, event, asked)


def _expect_entity_answer(replay: Replay, event: Event, asked: Scheduled | None) -> None:
    request = request_of(event["Input"])
    if request is None or asked is None:
        return
    replay.last_request[event["InstanceId"]] = parse_time(request["Timestamp"])
    if not request.get("signal"):
        replay.entity_calls[request["id"]] = asked.task


def _completion(replay: Replay, event: Event, key: str, *, failed: bool) -> None:
    item = replay.scheduled.get(event[key])
    if item is not None:
        item.task.complete(event, failed=failed)


def _event_raised(replay: Replay, event: Event) -> None:
    call = replay.entity_calls.pop(event["Name"], None)
    if call is not None:
        call.complete(event)
        return
    name = event["Name"].lower()
    if replay.waiting_events[name]:
        expected, task = replay.waiting_events[name].pop()
        replay.hear(expected, task, event)
    elif replay.continue_input:
        replay.carried_over.append(event)
    else:
        replay.early_events[name].append(event)


def _suspended(replay: Replay, event: Event) -> None:
    replay.suspend(event["Reason"])


def _resumed(replay: Replay, event: Event) -> None:
    replay.release()
    replay.suspend_reason = event["Reason"]
    while replay.while_suspended and not replay.suspended:
        replay.process(replay.while_suspended.popleft())


def _terminated(replay: Replay, event: Event) -> None:
    replay.terminated = event


_DEFERRED_WHILE_SUSPENDED = frozenset(
    {
        EventType.TASK_COMPLETED,
        EventType.TASK_FAILED,
        EventType.SUB_ORCHESTRATION_COMPLETED,
        EventType.SUB_ORCHESTRATION_FAILED,
        EventType.TIMER_FIRED,
        EventType.EVENT_RAISED,
    }
)

_EVENT_HANDLERS: dict[EventType, Callable[[Replay, Event], None]] = {
    EventType.ORCHESTRATOR_STARTED: _orchestrator_started,
    EventType.EXECUTION_STARTED: _execution_started,
    EventType.EXECUTION_TERMINATED: _terminated,
    EventType.TASK_SCHEDULED: _scheduling,
    EventType.SUB_ORCHESTRATION_CREATED: _scheduling,
    EventType.TIMER_CREATED: _scheduling,
    EventType.EVENT_SENT: _scheduling,
    EventType.TASK_COMPLETED: lambda r, e: _completion(r, e, "TaskScheduledId", failed=False),
    EventType.TASK_FAILED: lambda r, e: _completion(r, e, "TaskScheduledId", failed=True),
    EventType.SUB_ORCHESTRATION_COMPLETED: lambda r, e: _completion(r, e, "TaskScheduledId", failed=False),
    EventType.SUB_ORCHESTRATION_FAILED: lambda r, e: _completion(r, e, "TaskScheduledId", failed=True),
    EventType.TIMER_FIRED: lambda r, e: _completion(r, e, "TimerId", failed=False),
    EventType.EVENT_RAISED: _event_raised,
    EventType.EXECUTION_SUSPENDED: _suspended,
    EventType.EXECUTION_RESUMED: _resumed,
}


def replay(state: Replay, history: Iterable[Event]) -> Replay:
    """Walk `state.actions` over `history`. Raises `NonDeterministic` when they do not fit together."""
    for event in history:
        state.process(event)
    return state
