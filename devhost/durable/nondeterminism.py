"""An orchestrator that no longer fits its history, told in the host's words (HOST_FACTS 6.6)."""

from __future__ import annotations

from .events import Event, EventType
from .scheduled import Scheduled

_CHANGED = "Was a change made to the orchestrator code after this instance had already started running?"

_KIND = {
    EventType.TASK_SCHEDULED: "an activity task",
    EventType.SUB_ORCHESTRATION_CREATED: "a sub-orchestration task",
    EventType.TIMER_CREATED: "a timer task",
    EventType.EVENT_SENT: "a send event task",
}

_ACTION = {
    EventType.TASK_SCHEDULED: "ScheduleTaskOrchestratorAction",
    EventType.SUB_ORCHESTRATION_CREATED: "CreateSubOrchestrationAction",
    EventType.TIMER_CREATED: "CreateTimerOrchestratorAction",
    EventType.EVENT_SENT: "SendEventOrchestratorAction",
}


class InvalidReply(Exception):
    """What Python returned can't be walked; the instance fails with this text."""


class NonDeterministic(Exception):
    """The replay asks for something else than the history holds; the instance fails with this text.

    `comparison` says the same for whoever has to find the reason: the id, what is there, what came.
    """

    def __init__(self, text: str, event: Event, asked: Scheduled | None) -> None:
        super().__init__(f"Non-Deterministic workflow detected: {text}")
        came = "nothing came yet" if asked is None else f"{_shown(asked.kind, asked.name)} came"
        expected = _shown(EventType(event["EventType"]), event.get("Name"))
        self.comparison = f"at event id {event['EventId']} the history holds {expected}, but in the replay {came}."


def _shown(kind: EventType, name: str | None) -> str:
    return _KIND[kind] if kind is EventType.TIMER_CREATED else f"{_KIND[kind]} '{name}'"


def check(event: Event, asked: Scheduled | None) -> None:
    """Raise `NonDeterministic` unless `asked` is what the scheduling `event` of the past recorded."""
    problem = _problem(event, asked)
    if problem is not None:
        raise NonDeterministic(problem, event, asked)


def _problem(event: Event, asked: Scheduled | None) -> str | None:
    """The host's words for what does not fit; None when it does."""
    kind = EventType(event["EventType"])
    event_id, name = event["EventId"], event.get("Name")
    if asked is None:
        return (
            f"A previous execution of this orchestration scheduled {_KIND[kind]} with sequence ID {event_id}"
            f"{_identity(kind, event)}, but the current replay execution hasn't (yet?) scheduled this task. {_CHANGED}"
        )
    recorded = f" named '{name}'" if kind is not EventType.TIMER_CREATED else ""
    past = (
        f"A previous execution of this orchestration scheduled {_KIND[kind]} with sequence number {event_id}"
        f"{recorded}, but the current orchestration replay instead "
    )
    if asked.kind is not kind:
        return f"{past}produced a {_ACTION[asked.kind]} action with this sequence number. {_CHANGED}"
    named = kind in (EventType.TASK_SCHEDULED, EventType.SUB_ORCHESTRATION_CREATED)
    if named and asked.name.lower() != str(name).lower():
        return f"{past}scheduled {_KIND[kind]} named '{asked.name}' with this sequence number.  {_CHANGED}"
    return None


def _identity(kind: EventType, event: Event) -> str:
    if kind is EventType.TIMER_CREATED:
        return ""
    if kind is EventType.SUB_ORCHESTRATION_CREATED:
        version = event["Version"] or ""
        return f" and name '{event['Name']}' (version '{version}', instance ID '{event['InstanceId']}')"
    return f" and name '{event['Name']}' (version '{event.get('Version') or ''}')"
