"""One episode: from the messages that arrived to what is written and sent.

`begin` appends the messages to the history, `body` is what Python is given, `finish` turns its reply into a
`Decision`. All three are pure; the shell stores a decision in one transaction.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import events, failures, nondeterminism
from .events import Event, EventType, dump
from .failures import UserError
from .names import Names
from .replay import Replay, replay
from .scheduled import ReplaySettings, Scheduled

CUSTOM_STATUS_LIMIT_KB = 16

TERMINAL = frozenset({"Completed", "Failed", "Terminated", "Canceled"})
"""Runtime statuses of an ended instance."""


@dataclass
class Execution:
    """One run of an instance, as the store keeps it. `input` and `custom_status` are JSON text.

    `output` is JSON text when Completed, else plain text (failure, reason). `started` says that an episode
    was saved; `continued` that this run came from continue-as-new.
    """

    instance_id: str
    execution_id: str
    name: str
    input: str | None
    created: datetime
    updated: datetime
    version: str | None = None
    status: str = "Pending"
    output: str | None = None
    custom_status: str | None = None
    parent: dict[str, Any] | None = None
    continued: bool = False
    failure_details: str | None = None


@dataclass(frozen=True)
class Reply:
    """What came back from Python: its state, or the error it raised (which may carry a state)."""

    state: dict[str, Any] | None = None
    error: UserError | None = None


@dataclass
class Decision:
    """What an episode decided.

    `history` is all to append, as later episodes see it; `sends` is what to put into the outbox, in order.
    `nondeterminism` tells what the history holds and what the replay asked for instead.
    `hanging` says why the instance can never go on, `unheard` which events it will never see.
    """

    history: list[Event]
    status: str
    output: str | None = None
    custom_status: str | None = None
    sends: list[Scheduled] = field(default_factory=list)
    continue_with: tuple[Event, list[Event]] | None = None
    failure_details: str | None = None
    hanging: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    nondeterminism: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL


def begin(messages: Sequence[Event], now: datetime, *, continued: bool) -> list[Event]:
    """The episode's first events: OrchestratorStarted, then the messages, ExecutionStarted first among them."""
    first = [one for one in messages if one["EventType"] == EventType.EXECUTION_STARTED]
    rest = [one for one in messages if one["EventType"] != EventType.EXECUTION_STARTED]
    opening = [events.orchestrator_started(now), *first, *rest]
    if continued and first:
        opening.append(events.orchestrator_completed(now))
    return opening


def _played(event: Event) -> Event:
    """One of the episode's first events as later episodes see it."""
    stays = event["EventType"] == EventType.ORCHESTRATOR_STARTED
    return event if stays else {**event, "IsPlayed": True}


def body(execution: Execution, history_json: Sequence[str], opening: Sequence[Event]) -> str:
    """The JSON that Python is given (HOST_FACTS 6.2). `history_json` holds the earlier events as JSON text."""
    history = ",".join([*history_json, *(dump(event) for event in opening)])
    parent = execution.parent["OrchestrationInstance"]["InstanceId"] if execution.parent else None
    rest = {
        "input": json.loads(execution.input) if execution.input is not None else None,
        "instanceId": execution.instance_id,
        "isReplaying": bool(history_json),
        "parentInstanceId": parent,
        "upperSchemaVersion": 1,
        "upperSchemaVersionNew": 3,
        "longRunningTimerIntervalDuration": "3.00:00:00",
        "maximumShortTimerDuration": "6.00:00:00",
        "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
    }
    return f'{{"history":[{history}],{dump(rest)[1:]}'


def needs_python(opening: Sequence[Event]) -> bool:
    """A termination ends the instance without another look at the orchestrator."""
    return all(event["EventType"] != EventType.EXECUTION_TERMINATED for event in opening)


def finish(
    execution: Execution,
    history: Sequence[Event],
    opening: list[Event],
    reply: Reply,
    *,
    names: Names,
    settings: ReplaySettings,
    now: datetime,
) -> Decision:
    """What follows from Python's reply. `history` are the earlier events, `opening` those of `begin`."""
    episode = _Episode(execution, [*history, *opening], opening, names, settings, now)
    terminated = next((e for e in opening if e["EventType"] == EventType.EXECUTION_TERMINATED), None)
    if terminated is not None:
        return episode.end("Terminated", terminated["Input"], keep_status=True)
    if reply.error is not None:
        state = failures.state_of_raised(reply.error)
        if state is None:
            text = failures.plain_orchestrator_failed(execution.name, reply.error)
            return episode.end("Failed", text, details=failures.plain_orchestrator_details(reply.error))
        return episode.conclude(state)
    if reply.state is None:
        raise ValueError("a reply holds a state or an error")
    return episode.conclude(reply.state)


def unknown_orchestrator(execution: Execution, opening: list[Event], known: list[str], now: datetime) -> Decision:
    """The decision for an instance whose orchestrator the app does not have."""
    episode = _Episode(execution, opening, opening, Names.of([], [], []), ReplaySettings(), now)
    return episode.end("Failed", failures.unknown_orchestrator(execution.name, known))


def stuck(execution: Execution, opening: list[Event], reasons: Sequence[str], now: datetime) -> Decision:
    """The decision of the strict mode for an instance that would wait for ever."""
    episode = _Episode(execution, opening, opening, Names.of([], [], []), ReplaySettings(), now)
    text = f"it would wait for ever: {'; '.join(reasons)}"
    return episode.end("Failed", failures.orchestrator_failed(execution.name, text))


@dataclass
class _Episode:
    execution: Execution
    all_events: list[Event]
    opening: list[Event]
    names: Names
    settings: ReplaySettings
    now: datetime
    custom_status: str | None = None
    walk: Replay | None = None
    nondeterminism: str | None = None

    def conclude(self, state: dict[str, Any]) -> Decision:
        """Walk the actions of `state` and see whether the instance ends, goes on or waits."""
        problem = self._take_custom_status(state)
        if problem is None:
            problem = self._walk(state)
        if problem is not None:
            return self.end("Failed", problem)
        walk = self.walk
        assert walk is not None  # noqa: S101 - _walk set it
        if not walk.walked or walk.open_tasks or not (state.get("isDone") or "error" in state):
            return self._decision("Suspended" if walk.suspended else "Running", walk.suspend_reason)
        # Also when suspended: what had its end before the suspension came is not held up by it.
        walk.release()
        if state.get("error") is not None:
            text = failures.sanitise(str(state["error"]))
            return self.end(
                "Failed",
                failures.orchestrator_failed(self.execution.name, text),
                keep_status=True,
                details=f"Message: {text}, StackTrace: ",
            )
        if walk.continue_input:
            return self._continue(walk)
        return self.end("Completed", dump(state.get("output")), keep_status=True)

    def end(
        self, status: str, output: str | None, *, keep_status: bool = False, details: str | None = None
    ) -> Decision:
        if not keep_status:
            self.custom_status = None
        elif status == "Terminated":
            self.custom_status = self.execution.custom_status
        decision = self._decision(status, output)
        decision.failure_details = details
        return decision

    def _take_custom_status(self, state: dict[str, Any]) -> str | None:
        value = state.get("customStatus")
        if value is None:
            first_of_continued = self.execution.continued and len(self.all_events) == len(self.opening)
            self.custom_status = self.execution.custom_status if first_of_continued else None
            return None
        text = dump(value)
        kilobytes = len(text.encode("utf-16-le")) // 1024
        if kilobytes > CUSTOM_STATUS_LIMIT_KB:
            return failures.orchestrator_failed(
                self.execution.name,
                f"The UTF-16 size of the JSON-serialized payload must not exceed {CUSTOM_STATUS_LIMIT_KB} KB. "
                f"The current payload size is {kilobytes} KB.",
            )
        self.custom_status = text
        return None

    def _walk(self, state: dict[str, Any]) -> str | None:
        """Walk the actions; the text of the failure when they can't be walked."""
        outer = state.get("actions", [])
        name = self.execution.name
        if len(outer) != 1:
            return failures.orchestrator_failed(
                name,
                "With OOProc schema V3, expected actions array to be of length 1 in outer layer "
                f"but got size: {len(outer)}",
            )
        parent = self.execution.parent["OrchestrationInstance"]["InstanceId"] if self.execution.parent else None
        self.walk = Replay(
            names=self.names,
            settings=self.settings,
            instance_id=self.execution.instance_id,
            execution_id=self.execution.execution_id,
            parent_id=parent,
            actions=outer[0],
        )
        try:
            replay(self.walk, self.all_events)
        except nondeterminism.NonDeterministic as error:
            self.nondeterminism = error.comparison
            return str(error)
        except nondeterminism.InvalidReply as error:
            return failures.orchestrator_failed(name, str(error))
        return None

    def _decision(self, status: str, output: str | None) -> Decision:
        new = self.walk.new if self.walk else []
        history = [*map(_played, self.opening), *(self._record(one) for one in new)]
        if status in TERMINAL:
            next_id = self.walk.next_id if self.walk else _next_id(self.all_events)
            history.append(events.execution_completed(status, output, self.now, next_id))
        # A run from continue-as-new begins with one: it stays the only one when nothing was added.
        if history[-1]["EventType"] != EventType.ORCHESTRATOR_COMPLETED:
            history.append(events.orchestrator_completed(self.now))
        return Decision(
            history,
            status,
            output,
            self.custom_status,
            sends=[one for one in new if not one.task.done] if status not in TERMINAL else _signals(new),
            hanging=self.walk.hanging if self.walk else [],
            unheard=self.walk.unheard if self.walk else [],
            nondeterminism=self.nondeterminism,
        )

    def _record(self, item: Scheduled) -> Event:
        return _RECORDS[item.kind](item, self.now, self.settings)

    def _continue(self, walk: Replay) -> Decision:
        decision = self._decision("Running", None)
        started = events.execution_started(
            name=self.execution.name,
            instance_id=self.execution.instance_id,
            execution_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{self.execution.execution_id}/continued").hex,
            input_json=dump(walk.continue_input[-1]),
            when=self.now,
            version=self.execution.version,
            parent=self.execution.parent,
            generation=None,
        )
        decision.continue_with = (started, [{**one, "IsPlayed": False} for one in walk.carried_over])
        return decision


def _signals(new: list[Scheduled]) -> list[Scheduled]:
    """What still goes out when the instance ends in this episode: signals, for which nobody waits."""
    return [one for one in new if one.kind is EventType.EVENT_SENT and not one.open]


def _next_id(history: Sequence[Event]) -> int:
    return max((event["EventId"] for event in history), default=-1) + 1


def _task_scheduled(item: Scheduled, now: datetime, settings: ReplaySettings) -> Event:
    kept = dump([item.input]) if settings.store_inputs else None
    return events.task_scheduled(item.event_id, item.name, now, kept)


def _sub_orchestration_created(item: Scheduled, now: datetime, settings: ReplaySettings) -> Event:
    kept = dump(item.input) if settings.store_inputs else None
    return events.sub_orchestration_created(item.event_id, item.name, item.instance_id, item.version, now, kept)


def _timer_created(item: Scheduled, now: datetime, settings: ReplaySettings) -> Event:
    return events.timer_created(item.event_id, item.fire_at or now, now)


def _event_sent(item: Scheduled, now: datetime, settings: ReplaySettings) -> Event:
    return events.event_sent(item.event_id, item.instance_id, item.name, item.input or "", now)


_RECORDS = {
    EventType.TASK_SCHEDULED: _task_scheduled,
    EventType.SUB_ORCHESTRATION_CREATED: _sub_orchestration_created,
    EventType.TIMER_CREATED: _timer_created,
    EventType.EVENT_SENT: _event_sent,
}
