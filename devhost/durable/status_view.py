"""An instance as the management API shows it: status JSON and `historyEvents` (HOST_FACTS 5.4 and 9). Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import events
from .episode import Execution
from .events import Event, EventType

Row = dict[str, Any]

_NAMES = {
    EventType.EXECUTION_STARTED: "ExecutionStarted",
    EventType.EXECUTION_COMPLETED: "ExecutionCompleted",
    EventType.EXECUTION_TERMINATED: "ExecutionTerminated",
    EventType.TASK_SCHEDULED: "TaskScheduled",
    EventType.TASK_COMPLETED: "TaskCompleted",
    EventType.TASK_FAILED: "TaskFailed",
    EventType.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    EventType.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    EventType.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    EventType.TIMER_CREATED: "TimerCreated",
    EventType.TIMER_FIRED: "TimerFired",
    EventType.EVENT_SENT: "EventSent",
    EventType.EVENT_RAISED: "EventRaised",
    EventType.GENERIC_EVENT: "GenericEvent",
    EventType.EXECUTION_SUSPENDED: "ExecutionSuspended",
    EventType.EXECUTION_RESUMED: "ExecutionResumed",
}

_LEFT_OUT = frozenset({EventType.ORCHESTRATOR_STARTED, EventType.ORCHESTRATOR_COMPLETED})

_COMPLETIONS = frozenset(
    {
        EventType.TASK_COMPLETED,
        EventType.TASK_FAILED,
        EventType.SUB_ORCHESTRATION_COMPLETED,
        EventType.SUB_ORCHESTRATION_FAILED,
    }
)

_SCHEDULING = frozenset({EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED})

_HIDDEN = frozenset(
    {
        "EventType",
        "EventId",
        "IsPlayed",
        "OrchestrationInstance",
        "ParentInstance",
        "Version",
        "TaskScheduledId",
    }
    | {"TimerId", "ClientSpanId"}
)


class SameKeyTwice(Exception):
    """Two scheduling events under one id: the host can't show this history."""


@dataclass(frozen=True)
class Shown:
    """The flags of a status query."""

    input: bool = True
    history: bool = False
    history_output: bool = False


def value_of(text: str | None) -> Any:
    """Stored text as JSON when it is some, else as it is."""
    if text is None:
        return None
    try:
        return parsed(text)
    except json.JSONDecodeError:
        return text


def parsed(text: str) -> Any:
    """JSON, with `NaN` and `Infinity` as texts: so the host writes them again. Raises JSONDecodeError."""
    return json.loads(text, parse_constant=str)


def seconds(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status(execution: Execution, *, show_input: bool = True) -> Row:
    """The status body without history, keys in the host's order."""
    return {
        "name": execution.name,
        "instanceId": execution.instance_id,
        "runtimeStatus": execution.status,
        "input": value_of(execution.input) if show_input else None,
        "customStatus": value_of(execution.custom_status),
        "output": value_of(execution.output),
        "createdTime": seconds(execution.created),
        "lastUpdatedTime": seconds(execution.updated),
    }


def entity_history(execution: Execution) -> list[Event]:
    """An entity shows the start of its latest batch alone."""
    return [
        events.execution_started(
            name=execution.name,
            instance_id=execution.instance_id,
            execution_id=execution.execution_id,
            input_json=execution.input,
            when=execution.created,
            generation=None,
        )
    ]


def history(stored: Sequence[Event], shown: Shown) -> list[Row]:
    """`historyEvents`. Raises SameKeyTwice where the host answers 400."""
    scheduled = _scheduling_events(stored)
    ended = {e["TaskScheduledId"] for e in stored if e["EventType"] in _COMPLETIONS}
    rows = []
    for event in stored:
        kind = EventType(event["EventType"])
        if kind in _LEFT_OUT or (kind in _SCHEDULING and event["EventId"] in ended):
            continue
        rows.append(_row(event, kind, scheduled, shown))
    return rows


def _scheduling_events(stored: Sequence[Event]) -> dict[int, Event]:
    found: dict[int, Event] = {}
    for event in stored:
        if event["EventType"] in _SCHEDULING:
            if event["EventId"] in found and found[event["EventId"]]["EventType"] == event["EventType"]:
                raise SameKeyTwice(f"{_NAMES[EventType(event['EventType'])]}_{event['EventId']}")
            found[event["EventId"]] = event
    return found


def _row(event: Event, kind: EventType, scheduled: dict[int, Event], shown: Shown) -> Row:
    row: Row = {} if kind is EventType.GENERIC_EVENT else {"EventType": _NAMES[kind]}
    for key, value in event.items():
        if key == "EventType" and kind is EventType.GENERIC_EVENT:
            row["EventType"] = _NAMES[kind]
        elif key not in _HIDDEN:
            row[key] = value
    if kind is EventType.EXECUTION_STARTED:
        row["FunctionName"] = row.pop("Name")
        row.pop("Tags")
    if kind in _COMPLETIONS:
        _add_origin(row, kind, scheduled.get(event["TaskScheduledId"]))
    if "Result" in row:
        row["Result"] = value_of(row["Result"])
    if not shown.history_output:
        row.pop("Result", None)
    if not shown.input:
        row.pop("Input", None)
    return row


def _add_origin(row: Row, kind: EventType, origin: Event | None) -> None:
    if origin is None:
        return
    row["ScheduledTime"] = origin["Timestamp"].removesuffix("Z") + "+00:00"
    row["FunctionName"] = origin["Name"]
    if kind in (EventType.SUB_ORCHESTRATION_COMPLETED, EventType.SUB_ORCHESTRATION_FAILED):
        row["InstanceId"] = origin["InstanceId"]
    row["Input"] = origin["Input"]
