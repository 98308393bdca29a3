"""What an instance waits for, told in words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from devhost.durable import episode, failures
from devhost.durable.engine import Engine, UserCodeFailed
from devhost.durable.episode import TERMINAL, Execution
from devhost.durable.events import EventType, dump
from devhost.durable.nondeterminism import InvalidReply, NonDeterministic
from devhost.durable.replay import Replay, replay
from devhost.durable.scheduled import Scheduled


@dataclass
class Waits:
    """`events` are names; the rest are sentences. `returned` says that the orchestrator itself has ended."""

    events: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    timers: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    returned: bool = False

    def __str__(self) -> str:
        parts = [f"event '{name}'" for name in dict.fromkeys(self.events)] + self.tasks + self.timers
        text = "waits for " + ", ".join(parts) if parts else "waits for nothing that could come"
        if self.returned and self.timers:
            text = "has returned, but stays Running until what is still open ends: " + ", ".join(parts)
        return "; ".join([text, *self.other])


async def waits_of(engine: Engine, instance_id: str) -> Waits:
    """Look at an instance that has come to rest; its orchestrator is replayed once more for that."""
    execution = engine.store.get(instance_id)
    if execution is None:
        return Waits(other=["there is no such instance"])
    if execution.status in TERMINAL:
        return Waits(other=[f"it has ended as {execution.status}"])
    call = engine.code.orchestrators.get(execution.name.lower())
    history = engine.store.history(instance_id)
    if call is None or not history:
        return Waits(other=[f"it is {execution.status} and has not begun to run"])
    try:
        state = (await _reply(call, execution, history)) or {}
        walk = Replay(
            names=engine.code.names,
            settings=engine.settings,
            instance_id=instance_id,
            execution_id=execution.execution_id,
            parent_id=None,
            actions=state["actions"][0],
        )
        replay(walk, history)
    except (UserCodeFailed, NonDeterministic, InvalidReply, KeyError, IndexError) as error:
        return Waits(other=[f"what it waits for can't be told: {error}"])
    return _told(walk, returned=bool(state.get("isDone")))


async def _reply(call: Any, execution: Execution, history: list[dict[str, Any]]) -> dict[str, Any] | None:
    played = [{**event, "IsPlayed": True} for event in history]
    try:
        return dict(json.loads(await call(episode.body(execution, [dump(event) for event in played], []))))
    except UserCodeFailed as failure:
        return failures.state_of_raised(failure.error)


def _told(walk: Replay, *, returned: bool) -> Waits:
    waits = Waits(returned=returned)
    for expected in walk.waiting_events.values():
        waits.events += [name for name, task in expected if not task.done]
    for item in walk.open_tasks:
        (waits.timers if item.kind is EventType.TIMER_CREATED else waits.tasks).append(_shown(item))
    waits.other += walk.hanging + walk.unheard
    if walk.suspended:
        waits.other.append("it is suspended")
    return waits


def _shown(item: Scheduled) -> str:
    if item.kind is EventType.TIMER_CREATED:
        return f"a timer due {item.fire_at:%Y-%m-%d %H:%M:%S} UTC"
    if item.kind is EventType.SUB_ORCHESTRATION_CREATED:
        return f"sub-orchestration '{item.instance_id}' ({item.name})"
    if item.kind is EventType.EVENT_SENT:
        return f"an answer of entity '{item.instance_id}'"
    return f"activity '{item.name}'"
