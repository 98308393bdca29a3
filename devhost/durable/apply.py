"""Writes a decision into the store: history, status, timers and outgoing messages together, or not at all.

Called inside a transaction of the store. What is returned may be acted on only after the commit: an activity
that ran before its TaskScheduled was saved would run again after a crash without anybody knowing of the first run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from . import events
from .delivery import Delivery
from .entities import BatchResult
from .entity_messages import request_of
from .episode import TERMINAL, Decision, Execution
from .events import EventType, dump
from .scheduled import Scheduled
from .store import ENTITY, Message, Store, Timer


def start(store: Store, execution: Execution, delivery: Delivery, *, generation: int | None = 0) -> None:
    """Create an instance, in place of whatever had its id, and put its first message."""
    if store.kind_of(execution.instance_id) is not None:
        store.delete(execution.instance_id)
        delivery.forgotten.append(execution.instance_id)
    store.put(execution)
    started = events.execution_started(
        name=execution.name,
        instance_id=execution.instance_id,
        execution_id=execution.execution_id,
        input_json=execution.input,
        when=execution.created,
        version=execution.version,
        parent=execution.parent,
        generation=generation,
    )
    delivery.messages.append(store.add_message(execution.instance_id, execution.execution_id, started))


def decision(
    store: Store, execution: Execution, decided: Decision, consumed: list[Message], now: datetime
) -> tuple[Execution, Delivery]:
    """Store an episode's decision; the instance as it is now, and what to act on after the commit."""
    delivery = Delivery()
    store.delete_messages(consumed)
    after = replace(
        execution,
        status=decided.status,
        output=decided.output,
        custom_status=decided.custom_status,
        updated=now,
        failure_details=decided.failure_details,
    )
    store.add_history(execution.instance_id, decided.history)
    for item in decided.sends:
        _SENDERS[item.kind](store, after, item, delivery, now)
    if decided.continue_with is not None:
        after = _continue(store, after, decided.continue_with, delivery, now)
    store.put(after)
    if decided.ended:
        store.delete_timers(execution.instance_id)
        _tell_parent(store, after, delivery, now)
    return after, delivery


def batch(store: Store, instance_id: str, result: BatchResult, consumed: list[Message], now: datetime) -> Delivery:
    """Store what became of an entity's batch."""
    delivery = Delivery()
    store.delete_messages(consumed)
    store.put(
        Execution(
            instance_id=instance_id,
            execution_id=uuid.uuid4().hex,
            name=instance_id,
            input=result.state.as_input(),
            created=now,
            updated=now,
            status="Running",
            custom_status=result.state.as_custom_status(),
        ),
        ENTITY,
    )
    for parent, execution_id, event in result.answers:
        delivery.messages.append(store.add_message(parent, execution_id, event))
    return delivery


def _activity(store: Store, sender: Execution, item: Scheduled, delivery: Delivery, now: datetime) -> None:
    row = store.add_activity(sender.instance_id, sender.execution_id, item.event_id, item.name, item.input)
    delivery.activities.append(row)


def _child(store: Store, sender: Execution, item: Scheduled, delivery: Delivery, now: datetime) -> None:
    parent = events.parent_instance(sender.name, sender.instance_id, sender.execution_id, item.event_id, sender.version)
    child = Execution(
        instance_id=item.instance_id,
        execution_id=uuid.uuid4().hex,
        name=item.name,
        input=dump(item.input) if item.input is not None else None,
        created=now,
        updated=now,
        version=item.version,
        parent=parent,
    )
    replaced = store.get(child.instance_id)
    if replaced is not None and replaced.status not in TERMINAL:
        delivery.warnings.append(
            f"Instance '{child.instance_id}' ({replaced.name}) was {replaced.status}: it is replaced, and its work is "
            f"lost, for '{sender.instance_id}' ({sender.name}) started a child under the same id."
        )
    start(store, child, delivery, generation=None)


def _timer(store: Store, sender: Execution, item: Scheduled, delivery: Delivery, now: datetime) -> None:
    timer = Timer(item.fire_at or now, sender.instance_id, sender.execution_id, item.event_id, now)
    store.add_timer(timer)
    delivery.timers.append(timer)


def _entity_request(store: Store, sender: Execution, item: Scheduled, delivery: Delivery, now: datetime) -> None:
    request = request_of(item.input or "null")
    if request is None:
        raise ValueError(f"no entity request in the event for {item.instance_id}")
    delivery.messages.append(store.add_message(item.instance_id, None, request))


_SENDERS: dict[EventType, Callable[[Store, Execution, Scheduled, Delivery, datetime], None]] = {
    EventType.TASK_SCHEDULED: _activity,
    EventType.SUB_ORCHESTRATION_CREATED: _child,
    EventType.TIMER_CREATED: _timer,
    EventType.EVENT_SENT: _entity_request,
}


def _continue(
    store: Store,
    before: Execution,
    continue_with: tuple[events.Event, list[events.Event]],
    delivery: Delivery,
    now: datetime,
) -> Execution:
    started, carried = continue_with
    store.replace_history(before.instance_id, [])
    store.delete_timers(before.instance_id)
    execution_id = started["OrchestrationInstance"]["ExecutionId"]
    for event in (started, *carried):
        own = execution_id if event is started else None
        delivery.messages.append(store.add_message(before.instance_id, own, event))
    return replace(before, execution_id=execution_id, input=started["Input"], created=now, continued=True, output=None)


def _tell_parent(store: Store, ended: Execution, delivery: Delivery, now: datetime) -> None:
    if ended.parent is None:
        return
    event_id = ended.parent["TaskScheduleId"]
    if ended.status == "Completed":
        event = events.sub_orchestration_completed(event_id, ended.output, now)
    else:
        event = events.sub_orchestration_failed(event_id, ended.output, ended.failure_details, now)
    parent = ended.parent["OrchestrationInstance"]
    delivery.messages.append(store.add_message(parent["InstanceId"], parent["ExecutionId"], event))
