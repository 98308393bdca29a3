"""A recording: one execution of an instance with its raw history, as a JSON file."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from devhost.durable.episode import Execution
from devhost.durable.events import EventType, format_time, parse_time
from devhost.durable.store import ENTITY, ORCHESTRATION, Filter, Store

FORMAT: Final = 1
_TEXTS: Final = ("orchestrator", "instance_id", "execution_id", "status", "created", "recorded_at", "sdk")
_TEXTS_OR_NOTHING: Final = ("version", "input", "output")
# What the replay, and the SDK, read of an event.
_KEYS: Final[dict[EventType, tuple[str, ...]]] = {
    EventType.EXECUTION_STARTED: ("Name", "Input"),
    EventType.TASK_SCHEDULED: ("Name",),
    EventType.TASK_COMPLETED: ("TaskScheduledId", "Result"),
    EventType.TASK_FAILED: ("TaskScheduledId", "Reason", "Details"),
    EventType.SUB_ORCHESTRATION_CREATED: ("Name", "InstanceId"),
    EventType.SUB_ORCHESTRATION_COMPLETED: ("TaskScheduledId", "Result"),
    EventType.SUB_ORCHESTRATION_FAILED: ("TaskScheduledId", "Reason", "Details"),
    EventType.TIMER_CREATED: ("FireAt",),
    EventType.TIMER_FIRED: ("TimerId", "FireAt"),
    EventType.EVENT_SENT: ("InstanceId",),
    EventType.EVENT_RAISED: ("Name", "Input"),
    EventType.EXECUTION_SUSPENDED: ("Reason",),
    EventType.EXECUTION_RESUMED: ("Reason",),
    EventType.GENERIC_EVENT: ("Data",),
}
_SHOWN_IDS: Final = 5


class RecordingError(Exception):
    """There is nothing to record, or a file is no recording; the text says what to change."""


@dataclass(frozen=True)
class Recording:
    """`input` is JSON text; `output` is that too when Completed, else plain text. Times are ISO 8601 in UTC."""

    orchestrator: str
    version: str | None
    instance_id: str
    execution_id: str
    input: str | None
    parent: dict[str, Any] | None
    status: str
    output: str | None
    created: str
    recorded_at: str
    sdk: str
    history: list[dict[str, Any]]

    @classmethod
    def of(cls, execution: Execution, history: list[dict[str, Any]], now: datetime) -> Recording:
        return cls(
            orchestrator=execution.name,
            version=execution.version,
            instance_id=execution.instance_id,
            execution_id=execution.execution_id,
            input=execution.input,
            parent=execution.parent,
            status=execution.status,
            output=execution.output,
            created=format_time(execution.created),
            recorded_at=format_time(now),
            sdk=importlib.metadata.version("azure-functions-durable"),
            history=history,
        )

    def text(self) -> str:
        """The file's content."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def from_state(file: Path, instance_id: str, now: datetime) -> Recording:
    """The history of an instance so far, out of a hub's file; a devhost may run on it. Raises RecordingError."""
    if not file.is_file():
        raise RecordingError(f"There is no task hub in {file}. Name the state folder with --state, the hub with --hub.")
    store = Store(file, read_only=True)
    try:
        execution = store.get(instance_id, ORCHESTRATION)
        if execution is None:
            raise RecordingError(_not_there(store, instance_id))
        return Recording.of(execution, store.history(instance_id), now)
    finally:
        store.close()


def _not_there(store: Store, instance_id: str) -> str:
    if store.get(instance_id, ENTITY) is not None:
        return f"'{instance_id}' is an entity; only orchestrations have a history to replay."
    newest = sorted(store.find(Filter(kind=ORCHESTRATION), -1), key=lambda one: one.created, reverse=True)
    ids = ", ".join(f"'{one.instance_id}'" for one in newest[:_SHOWN_IDS]) or "none"
    return f"There is no instance '{instance_id}'. The newest are: {ids}."


def read(file: Path) -> Recording:
    """The recording in a file. Raises RecordingError."""
    hint = "Recordings are made by `python -m devhost record INSTANCE`."
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordingError(f"{file} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise RecordingError(f"{file} is no JSON: {error}. {hint}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RecordingError(f"{file} is no recording of format {FORMAT}. {hint}")
    if (problem := next(_damages(content), None)) is not None:
        raise RecordingError(f"{file} is damaged: {problem}. {hint}")
    return Recording(**{field.name: content[field.name] for field in fields(Recording)})


def _damages(content: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a recording, as far as a replay needs it; what follows the first may be nonsense."""
    if missing := [field.name for field in fields(Recording) if field.name not in content]:
        yield f"it lacks {', '.join(missing)}"
    yield from (f"{name} must be text" for name in _TEXTS if not isinstance(content[name], str))
    yield from (f"{name} must be text or null" for name in _TEXTS_OR_NOTHING if not _is(content[name], str))
    if not _is(content["parent"], dict):
        yield "parent must be an object or null"
    try:
        parse_time(content["created"])
        json.loads(content["input"] or "null")
    except ValueError as error:
        yield f"created or input can't be read: {error}"
    history = content["history"]
    if not isinstance(history, list) or not history:
        yield "history must be a list of events"
    for number, event in enumerate(history):
        if (problem := _damage_of_event(event)) is not None:
            yield f"event {number} of the history {problem}"
    if history[0]["EventType"] != EventType.ORCHESTRATOR_STARTED:
        yield "the history must begin with an OrchestratorStarted (12)"


def _is(value: Any, kind: type) -> bool:
    return value is None or isinstance(value, kind)


def _damage_of_event(event: Any) -> str | None:
    if not isinstance(event, dict):
        return "is no object"
    kind = event.get("EventType")
    if isinstance(kind, bool) or kind not in list(EventType):
        return f"has the EventType {kind!r}, which there is not"
    if not isinstance(event.get("EventId"), int):
        return "has no EventId"
    try:
        parse_time(event["Timestamp"])
    except (KeyError, TypeError, ValueError):
        return "has no Timestamp that can be read"
    absent = [key for key in _KEYS.get(EventType(kind), ()) if key not in event]
    return f"lacks {', '.join(absent)}" if absent else None
