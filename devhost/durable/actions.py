"""What Python asks for: one handler per action type (HOST_FACTS 6.4, 6.6). Each returns the task to wait for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from .entity_messages import new_request
from .events import EventType, dump, parse_time
from .nondeterminism import InvalidReply
from .scheduled import Scheduled
from .tasks import Task, completed, when_all, when_any

if TYPE_CHECKING:
    from .replay import Replay

Action = dict[str, Any]

MAX_RETRY_INTERVAL = timedelta(days=6)
"""The storage provider's longest timer; a retry interval beyond it makes the host's call throw in silence."""

HTTP_ACTIVITY = "BuiltIn::HttpActivity"


class ActionType(IntEnum):
    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    WHEN_ANY = 11
    WHEN_ALL = 12


def _call_activity(replay: Replay, action: Action) -> Task:
    name = action["functionName"]
    if name.lower() not in replay.names.activities:
        return replay.hang(f"activity '{name}' does not exist")
    item = Scheduled(EventType.TASK_SCHEDULED, replay.take_id(), Task(), name=name, input=action["input"])
    return replay.schedule(item)


def _call_http(replay: Replay, action: Action) -> Task:
    request = dump(action["httpRequest"])
    item = Scheduled(EventType.TASK_SCHEDULED, replay.take_id(), Task(), name=HTTP_ACTIVITY, input=request)
    return replay.schedule(item)


def _call_sub_orchestrator(replay: Replay, action: Action) -> Task:
    name, child_id = action["functionName"], action.get("instanceId")
    if name.lower() not in replay.names.orchestrators:
        return replay.hang(f"sub-orchestrator '{name}' does not exist")
    if child_id and (child_id.startswith("@") or child_id in (replay.instance_id, replay.parent_id)):
        return replay.hang(f"sub-orchestration id '{child_id}' is not allowed (own id, parent's id or '@...')")
    event_id = replay.take_id()
    item = Scheduled(
        EventType.SUB_ORCHESTRATION_CREATED,
        event_id,
        Task(),
        name=name,
        input=action["input"],
        instance_id=child_id or f"{replay.execution_id}:{event_id}",
        version=action.get("version") or replay.settings.default_version,
    )
    return replay.schedule(item)


def _create_timer(replay: Replay, action: Action) -> Task:
    item = Scheduled(EventType.TIMER_CREATED, replay.take_id(), Task(), fire_at=parse_time(action["fireAt"]))
    task = replay.schedule(item)
    if action.get("isCanceled"):
        item.open = False
        task.complete(failed=True)
    return task


def _retried(attempt: Callable[[Replay, Action], Task]) -> Callable[[Replay, Action], Task]:
    """The retry loop of the .NET side: a timer after each failure, also after the last one."""

    def handler(replay: Replay, action: Action) -> Task:
        options = action["retryOptions"]
        interval = timedelta(milliseconds=options["firstRetryIntervalInMilliseconds"])
        most = options["maxNumberOfAttempts"]
        if most < 1:
            return replay.hang(f"{most} attempts are none at all")
        if interval > MAX_RETRY_INTERVAL:
            return replay.hang(f"retry interval of {interval} is longer than {MAX_RETRY_INTERVAL}")
        outer = Task()

        def run(number: int) -> None:
            task = attempt(replay, action)
            task.then(lambda: after(number, task))

        def after(number: int, task: Task) -> None:
            if not task.failed or task.value is None:
                outer.complete(task.value, failed=task.failed)
                return
            last = number == most
            timer = _retry_timer(replay, timedelta(0) if last else interval)
            timer.then(lambda: outer.complete(task.value, failed=True) if last else run(number + 1))

        run(1)
        return outer

    return handler


def _retry_timer(replay: Replay, delay: timedelta) -> Task:
    return replay.schedule(Scheduled(EventType.TIMER_CREATED, replay.take_id(), Task(), fire_at=replay.now + delay))


def _continue_as_new(replay: Replay, action: Action) -> Task:
    replay.continue_input.append(action.get("input"))
    return completed()


def _wait_for_external_event(replay: Replay, action: Action) -> Task:
    expected = action["externalEventName"]
    task = Task()
    early = replay.early_events[expected.lower()]
    if early:
        replay.hear(expected, task, early.popleft())
    else:
        replay.waiting_events[expected.lower()].append((expected, task))
    return task


def _entity_request(*, signal: bool) -> Callable[[Replay, Action], Task]:
    def handler(replay: Replay, action: Action) -> Task:
        target = action["instanceId"]
        name = target[1:].split("@", 1)[0]
        if name.lower() not in replay.names.entities:
            return replay.hang(f"entity '{name}' does not exist")
        event_id = replay.take_id()
        request = new_request(replay, event_id, target, action["operation"], json.dumps(action["input"]), signal=signal)
        item = Scheduled(
            EventType.EVENT_SENT,
            event_id,
            Task(),
            name="op",
            input=request,
            instance_id=target,
            open=not signal,
        )
        task = replay.schedule(item)
        return completed() if signal else task

    return handler


def _compound(join: Callable[[list[Task]], Task]) -> Callable[[Replay, Action], Task]:
    def handler(replay: Replay, action: Action) -> Task:
        return join([carry_out(replay, child) for child in action["compoundActions"]])

    return handler


def carry_out(replay: Replay, action: Action) -> Task:
    """Do what the action asks for; the task to wait for. Raises InvalidReply for an action of no known type."""
    kind = action.get("actionType", -1)
    handler = _HANDLERS.get(kind)
    if handler is None:
        raise InvalidReply(f"Unknown action type {kind!r} in the orchestrator's reply.")
    if kind not in (ActionType.WHEN_ANY, ActionType.WHEN_ALL):
        replay.actions_done += 1
        most = replay.settings.max_actions
        if replay.actions_done > most:
            return replay.hang(f"more than {most} actions (maxOrchestrationActions in host.json)")
    return handler(replay, action)


_HANDLERS: dict[int, Callable[[Replay, Action], Task]] = {
    ActionType.CALL_ACTIVITY: _call_activity,
    ActionType.CALL_ACTIVITY_WITH_RETRY: _retried(_call_activity),
    ActionType.CALL_SUB_ORCHESTRATOR: _call_sub_orchestrator,
    ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY: _retried(_call_sub_orchestrator),
    ActionType.CONTINUE_AS_NEW: _continue_as_new,
    ActionType.CREATE_TIMER: _create_timer,
    ActionType.WAIT_FOR_EXTERNAL_EVENT: _wait_for_external_event,
    ActionType.CALL_ENTITY: _entity_request(signal=False),
    ActionType.CALL_HTTP: _call_http,
    ActionType.SIGNAL_ENTITY: _entity_request(signal=True),
    ActionType.WHEN_ANY: _compound(when_any),
    ActionType.WHEN_ALL: _compound(when_all),
}
