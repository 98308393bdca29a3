"""History events: their kinds, their JSON form and the time format they carry.

An event is a plain dict in the exact key order that a live host gives to Python (HOST_FACTS 6.3). Events are
made here and nowhere else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

Event = dict[str, Any]
"""One history event, keys in the host's order: `EventType` first, `EventId`, `IsPlayed`, `Timestamp` last."""


class EventType(IntEnum):
    """The numbers of HOST_FACTS 6.3."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    GENERIC_EVENT = 17
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


def dump(value: Any) -> str:
    """Compact JSON with non-ASCII kept, as the host writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def format_time(when: datetime) -> str:
    """UTC with `Z`, trailing zeros of the fraction cut, as in history events."""
    text = when.astimezone(UTC).replace(tzinfo=None)
    if not text.microsecond:
        return text.isoformat() + "Z"
    return text.isoformat(timespec="microseconds").rstrip("0") + "Z"


def parse_time(text: str) -> datetime:
    """Read a time of the SDK or of a history event; fractions beyond microseconds are cut. Aware UTC."""
    body = text.removesuffix("Z")
    if "." in body:
        head, fraction = body.split(".", 1)
        body = f"{head}.{fraction[:6]}"
    when = datetime.fromisoformat(body)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _event(kind: EventType, fields: dict[str, Any], when: datetime, event_id: int = -1) -> Event:
    return {
        "EventType": int(kind),
        **fields,
        "EventId": event_id,
        "IsPlayed": False,
        "Timestamp": format_time(when),
    }


def execution_started(
    *,
    name: str,
    instance_id: str,
    execution_id: str,
    input_json: str | None,
    when: datetime,
    version: str | None = None,
    parent: dict[str, Any] | None = None,
    generation: int | None = 0,
) -> Event:
    """The first event of an execution. `input_json` is the stored input token as JSON text."""
    return {
        "OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id},
        "EventType": int(EventType.EXECUTION_STARTED),
        "ParentInstance": parent,
        "Name": name,
        "Version": version,
        "Input": input_json,
        "Tags": None,
        "Correlation": None,
        "ParentTraceContext": None,
        "ScheduledStartTime": None,
        "Generation": generation,
        "GenerateNewTrace": False,
        "EventId": -1,
        "IsPlayed": False,
        "Timestamp": format_time(when),
    }


def parent_instance(name: str, instance_id: str, execution_id: str, event_id: int, version: str | None) -> Event:
    """The `ParentInstance` of a child's ExecutionStarted."""
    return {
        "Name": name,
        "OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id},
        "TaskScheduleId": event_id,
        "Version": version,
    }


def orchestrator_started(when: datetime) -> Event:
    return _event(EventType.ORCHESTRATOR_STARTED, {}, when)


def orchestrator_completed(when: datetime) -> Event:
    return _event(EventType.ORCHESTRATOR_COMPLETED, {}, when)


def execution_completed(status: str, result: str | None, when: datetime, event_id: int) -> Event:
    """`status` is a runtime status name, `result` JSON text (Completed) or plain text (the others)."""
    fields = {"OrchestrationStatus": status, "Result": result, "FailureDetails": None}
    return _event(EventType.EXECUTION_COMPLETED, fields, when, event_id)


def execution_terminated(reason: str | None, when: datetime) -> Event:
    return _event(EventType.EXECUTION_TERMINATED, {"Input": reason}, when)


def execution_suspended(reason: str | None, when: datetime) -> Event:
    return _event(EventType.EXECUTION_SUSPENDED, {"Reason": reason}, when)


def execution_resumed(reason: str | None, when: datetime) -> Event:
    return _event(EventType.EXECUTION_RESUMED, {"Reason": reason}, when)


def task_scheduled(event_id: int, name: str, when: datetime, input_json: str | None = None) -> Event:
    """`input_json` is kept only with `storeInputsInOrchestrationHistory`."""
    fields = {"Name": name, "Version": "", "Input": input_json, "ParentTraceContext": None, "Tags": None}
    return _event(EventType.TASK_SCHEDULED, fields, when, event_id)


def task_completed(event_id: int, result: str | None, when: datetime) -> Event:
    return _event(EventType.TASK_COMPLETED, {"TaskScheduledId": event_id, "Result": result}, when)


def task_failed(event_id: int, reason: str, details: str | None, when: datetime) -> Event:
    fields = {"TaskScheduledId": event_id, "Reason": reason, "Details": details, "FailureDetails": None}
    return _event(EventType.TASK_FAILED, fields, when)


def sub_orchestration_created(
    event_id: int,
    name: str,
    instance_id: str,
    version: str | None,
    when: datetime,
    input_json: str | None = None,
) -> Event:
    fields = {
        "Name": name,
        "Version": version,
        "InstanceId": instance_id,
        "Input": input_json,
        "ClientSpanId": None,
        "Tags": None,
    }
    return _event(EventType.SUB_ORCHESTRATION_CREATED, fields, when, event_id)


def sub_orchestration_completed(event_id: int, result: str | None, when: datetime) -> Event:
    fields = {"TaskScheduledId": event_id, "Result": result}
    return _event(EventType.SUB_ORCHESTRATION_COMPLETED, fields, when)


def sub_orchestration_failed(event_id: int, reason: str | None, details: str | None, when: datetime) -> Event:
    fields = {"TaskScheduledId": event_id, "Reason": reason, "Details": details, "FailureDetails": None}
    return _event(EventType.SUB_ORCHESTRATION_FAILED, fields, when)


def timer_created(event_id: int, fire_at: datetime, when: datetime) -> Event:
    return _event(EventType.TIMER_CREATED, {"FireAt": format_time(fire_at)}, when, event_id)


def timer_fired(event_id: int, fire_at: datetime, created: datetime) -> Event:
    """`created` is when the timer was made: that is what the host puts into Timestamp."""
    return _event(EventType.TIMER_FIRED, {"TimerId": event_id, "FireAt": format_time(fire_at)}, created)


def event_sent(event_id: int, instance_id: str, name: str, input_text: str, when: datetime) -> Event:
    fields = {"InstanceId": instance_id, "Name": name, "Input": input_text}
    return _event(EventType.EVENT_SENT, fields, when, event_id)


def event_raised(name: str, input_json: str | None, when: datetime) -> Event:
    """`input_json` is the event's data token as JSON text."""
    fields = {"Name": name, "Input": input_json, "ParentTraceContext": None}
    return _event(EventType.EVENT_RAISED, fields, when)


def generic_event(data: str | None, when: datetime) -> Event:
    """What wakes a rewound instance; `data` is the reason given."""
    return {"Data": data, **_event(EventType.GENERIC_EVENT, {}, when)}


def emptied(event: Event) -> Event:
    """An event that rewind took back: a GenericEvent in its place, under its id."""
    kept = {key: event[key] for key in ("EventId", "IsPlayed", "Timestamp")}
    return {"Data": None, "EventType": int(EventType.GENERIC_EVENT), **kept}
