"""Does today's code still replay a recorded history?

Each episode of the recording is given to the orchestrator as the host gave it then. What it schedules has to be what
the history holds, in kind, name and order, and it has to end where it ended; inputs and outputs may have changed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from azure.functions.meta import Datum

from devhost.clock import SystemClock
from devhost.durable import episode
from devhost.durable.engine import Engine, UserCodeFailed
from devhost.durable.episode import Execution, Reply
from devhost.durable.events import Event, EventType, dump, parse_time
from devhost.durable.taskhub import TaskHub
from devhost.functions import Function, index_app
from devhost.histories.recording import Recording
from devhost.invoke import Invoker
from devhost.logs import HostLog, LogLine
from devhost.settings import HostSettings

_SCHEDULING = (
    EventType.TASK_SCHEDULED,
    EventType.SUB_ORCHESTRATION_CREATED,
    EventType.TIMER_CREATED,
    EventType.EVENT_SENT,
)
_ENDINGS = (EventType.ORCHESTRATOR_COMPLETED, EventType.EXECUTION_COMPLETED)
_SHOWN = {
    EventType.TASK_SCHEDULED: "activity '{Name}'",
    EventType.SUB_ORCHESTRATION_CREATED: "sub-orchestration '{Name}'",
    EventType.TIMER_CREATED: "a timer",
    EventType.EVENT_SENT: "a message to entity '{InstanceId}'",
}


class AppError(Exception):
    """The app can't be loaded; the text says why."""


@dataclass
class Verdict:
    """What became of a replay: `failure` says where it went another way; `notes` are changes that do no harm."""

    episodes: int = 0
    failure: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Episode:
    opening: list[Event]
    scheduled: list[Event]
    ended: Event | None

    @property
    def is_rewind(self) -> bool:
        return any(
            event["EventType"] == EventType.GENERIC_EVENT and event["Data"] is not None for event in self.opening
        )

    @property
    def asks_python(self) -> bool:
        return episode.needs_python(self.opening)


@asynccontextmanager
async def loaded(app_dir: Path) -> AsyncIterator[Engine]:
    """An engine with the app's functions that runs nothing by itself. Raises AppError, SettingsError."""
    clock = SystemClock()
    settings = HostSettings(app_dir, defaults={"AZURE_FUNCTIONS_ENVIRONMENT": "Development"})
    index = index_app(settings)
    try:
        if (problem := settings.host_error or index.host_error or index.error) is not None:
            raise AppError(f"The app in {app_dir} can't be loaded: {problem}")
        log = HostLog(clock, sink=_drop)
        invoker = Invoker(settings, clock, lambda binding: "", _no_output, log, unlimited=True)
        hub = TaskHub(settings, index, invoker, clock, None, system_key="", log=log, listen=False)
        try:
            yield hub.engine
        finally:
            await hub.stop()
            invoker.close()
    finally:
        index.unload()
        settings.restore()


async def check(recording: Recording, engine: Engine) -> Verdict:
    """Replay a recording with the orchestrators of `engine`."""
    verdict = Verdict()
    if recording.orchestrator.lower() not in engine.code.orchestrators:
        known = ", ".join(f"'{name}'" for name in engine.code.orchestrator_names) or "none"
        verdict.failure = f"the app has no orchestrator '{recording.orchestrator}' any more; it has {known}"
        return verdict
    before: list[Event] = []
    episodes = list(_episodes(recording.history))
    # What a rewind took back is not in the history any more: the episodes before it can't be compared.
    first = max((place for place, one in enumerate(episodes) if one.is_rewind), default=0)
    for place, one in enumerate(episodes):
        verdict.episodes += 1
        if one.asks_python and place >= first:
            problem = await _check_episode(recording, engine, before, one, verdict)
            if problem is not None:
                verdict.failure = f"at episode {verdict.episodes}, {problem}"
                return verdict
        before += [*one.opening, *one.scheduled]
    return verdict


async def _check_episode(
    recording: Recording, engine: Engine, before: list[Event], one: _Episode, verdict: Verdict
) -> str | None:
    execution = _execution(recording)
    fresh = [one.opening[0], *({**event, "IsPlayed": False} for event in one.opening[1:])]
    call = engine.code.orchestrators[recording.orchestrator.lower()]
    try:
        text = await call(episode.body(execution, [dump(event) for event in before], fresh))
        reply = Reply(state=json.loads(text))
    except UserCodeFailed as failed:
        reply = Reply(error=failed.error)
    now = parse_time(fresh[0]["Timestamp"])
    decided = episode.finish(
        execution, before, fresh, reply, names=engine.code.names, settings=engine.settings, now=now
    )
    if decided.nondeterminism is not None:
        return decided.nondeterminism.rstrip(".")
    asked = [event for event in decided.history if event["EventType"] in _SCHEDULING]
    problem = _compared(one.scheduled, asked)
    if problem is None and decided.continue_with is not None:
        problem = "the code now continues as new here, which the history does not"
    if problem is None and decided.hanging and not decided.ended:
        problem = f"the code would now wait for ever: {'; '.join(decided.hanging)}"
    if problem is None and decided.ended != (one.ended is not None):
        problem = (
            f"the code now ends here as {decided.status}, but the instance did not end here"
            if decided.ended
            else "the history ends here, but the code now goes on"
        )
    if problem is None and one.ended is not None:
        if decided.status != recording.status:
            return f"the history ends here as {recording.status}, but the code now ends as {decided.status}"
        if decided.output != recording.output:
            verdict.notes.append(f"the output is another one now: {_cut(decided.output)}")
    return problem


def _compared(recorded: Sequence[Event], asked: Sequence[Event]) -> str | None:
    for then, now in zip(recorded, asked, strict=False):
        if _identity(then) != _identity(now):
            return (
                f"event id {then['EventId']}: the history holds {_shown(then)}, but the code now asks for {_shown(now)}"
            )
    if len(recorded) > len(asked):
        then = recorded[len(asked)]
        return f"event id {then['EventId']}: the history holds {_shown(then)}, but the code no longer asks for it"
    if len(asked) > len(recorded):
        now = asked[len(recorded)]
        return f"event id {now['EventId']}: the code now asks for {_shown(now)}, which the history does not hold"
    return None


def _identity(event: Event) -> tuple[object, ...]:
    return event["EventType"], event["EventId"], str(event.get("Name", "")).lower()


def _shown(event: Event) -> str:
    return _SHOWN[EventType(event["EventType"])].format_map(event)


def _episodes(history: Sequence[Event]) -> Iterator[_Episode]:
    starts = [place for place, event in enumerate(history) if event["EventType"] == EventType.ORCHESTRATOR_STARTED]
    for begin, end in zip(starts, [*starts[1:], len(history)], strict=True):
        events = history[begin:end]
        ended = next((event for event in events if event["EventType"] == EventType.EXECUTION_COMPLETED), None)
        yield _Episode(
            opening=[event for event in events if event["EventType"] not in (*_SCHEDULING, *_ENDINGS)],
            scheduled=[event for event in events if event["EventType"] in _SCHEDULING],
            ended=ended,
        )


def _execution(recording: Recording) -> Execution:
    created: datetime = parse_time(recording.created)
    return Execution(
        instance_id=recording.instance_id,
        execution_id=recording.execution_id,
        name=recording.orchestrator,
        input=recording.input,
        created=created,
        updated=created,
        version=recording.version,
        status="Running",
        parent=recording.parent,
    )


def _cut(text: str | None) -> str:
    shown = str(text)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


async def _no_output(function: Function, binding: dict[str, Any], datum: Datum) -> None:
    """Orchestrators put nothing out."""


def _drop(line: LogLine) -> None:
    """What the app logs while it is checked is of no interest."""
