"""What of today's code still replays a recorded history, on small literal ones, and what is no recording."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.durable_functions import EntityId
from azure.durable_functions import Orchestrator as SdkOrchestrator

from devhost.durable import events
from devhost.durable.engine import Engine, UserCode, UserCodeFailed
from devhost.durable.events import Event
from devhost.durable.failures import UserError
from devhost.durable.scheduled import ReplaySettings
from devhost.histories.recording import Recording, RecordingError, read
from devhost.histories.replaying import Verdict, check

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)
Orchestrator = Callable[[Any], Any]
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads was called without:DeprecationWarning")


# --- histories ----------------------------------------------------------------------------------------------


def started(value: Any = None) -> Event:
    return events.execution_started(name="o", instance_id="i", execution_id="e", input_json=json.dumps(value), when=NOW)


def scheduled(event_id: int, name: str) -> Event:
    return events.task_scheduled(event_id, name, NOW, None)


def completed(event_id: int, value: Any) -> Event:
    return events.task_completed(event_id, json.dumps(value), NOW)


def ended(event_id: int, status: str = "Completed", output: str = '"ab"') -> Event:
    return events.execution_completed(status, output, NOW, event_id)


def episode(opening: list[Event], *decided: Event) -> list[Event]:
    """One episode as the store keeps it: its messages count as played."""
    messages = [{**event, "IsPlayed": True} for event in opening]
    return [events.orchestrator_started(NOW), *messages, *decided, events.orchestrator_completed(NOW)]


def recording(*parts: list[Event], **fields: Any) -> Recording:
    made = Recording(
        orchestrator="o",
        version=None,
        instance_id="i",
        execution_id="e",
        input=None,
        parent=None,
        status="Completed",
        output='"ab"',
        created="2026-11-23T20:00:00Z",
        recorded_at="2026-11-23T20:00:00Z",
        sdk="1.7.0",
        history=[event for part in parts for event in part],
    )
    return replace(made, **fields)


FIRST = episode([started()], scheduled(0, "a"))
SECOND = episode([completed(0, "a")], scheduled(1, "b"))
LAST = episode([completed(1, "b")], ended(2))
CHAIN = recording(FIRST, SECOND, LAST)


# --- the code of today --------------------------------------------------------------------------------------


async def replayed(found: Recording, orchestrator: Orchestrator) -> Verdict:
    """The verdict on an app of one orchestrator, two activities and an entity; only the orchestrator is asked."""

    async def ask(body: str) -> str:
        try:
            return str(SdkOrchestrator.create(orchestrator)(body))
        except Exception as error:
            raise UserCodeFailed(UserError(type(error).__name__, str(error), "  File ...\n")) from None

    async def unused(*_: Any) -> Any:
        raise AssertionError("a replay runs no activity")

    code = UserCode({"o": ask}, {"a": unused, "b": unused}, {"counter": unused}, unused)
    return await check(found, cast(Engine, SimpleNamespace(code=code, settings=ReplaySettings())))


def chain(context: Any) -> Any:
    first = yield context.call_activity("a")
    second = yield context.call_activity("b")
    return first + second


def renamed(context: Any) -> Any:
    first = yield context.call_activity("a")
    second = yield context.call_activity("a")
    return first + second


def removed(context: Any) -> Any:
    return (yield context.call_activity("b"))


def added(context: Any) -> Any:
    first, _ = yield context.task_all([context.call_activity("a"), context.call_activity("b")])
    second = yield context.call_activity("b")
    return first + second


def swapped(context: Any) -> Any:
    second = yield context.call_activity("b")
    first = yield context.call_activity("a")
    return first + second


def another_kind(context: Any) -> Any:
    first = yield context.call_activity("a")
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
    return first


def ends_early(context: Any) -> Any:
    return (yield context.call_activity("a"))


def goes_on(context: Any) -> Any:
    both = yield from chain(context)
    yield context.wait_for_external_event("more")
    return both


def asks_for_more(context: Any) -> Any:
    both = yield from chain(context)
    yield context.call_activity("a")
    return both


def raises(context: Any) -> Any:
    yield from chain(context)
    raise ValueError("no\nmore")


def starts_over(context: Any) -> Any:
    yield from chain(context)
    context.continue_as_new(1)


def calls_nobody(context: Any) -> Any:
    first = yield context.call_activity("a")
    second = yield context.call_activity("gone")
    return first + second


def signals(context: Any) -> Any:
    yield context.call_activity("a")
    context.signal_entity(EntityId("counter", "k"), "add", 1)
    return (yield context.call_activity("b"))


SUSPENDED = recording(
    FIRST,
    episode([events.execution_suspended("why", NOW)]),
    episode([completed(0, "a")]),
    episode([events.execution_resumed("go", NOW)], scheduled(1, "b")),
    LAST,
)
TERMINATED = recording(
    FIRST,
    episode([events.execution_terminated("enough", NOW)], ended(1, "Terminated", "enough")),
    status="Terminated",
    output="enough",
)
REWOUND = recording(
    episode([started()], events.emptied(scheduled(0, "a"))),
    episode([events.emptied(completed(0, "a"))], events.emptied(ended(1))),
    episode([events.generic_event("again", NOW)], scheduled(0, "a")),
    SECOND,
    LAST,
)
CONTINUED = recording(
    [
        events.orchestrator_started(NOW),
        {**started(), "IsPlayed": True},
        {**events.orchestrator_completed(NOW), "IsPlayed": True},
        scheduled(0, "a"),
        events.orchestrator_completed(NOW),
    ],
    SECOND,
    LAST,
)
OPEN = recording(FIRST, SECOND, status="Running", output=None)
OPEN_AT_A = recording(FIRST, episode([completed(0, "a")]), status="Running", output=None)
OPEN_AT_THE_END = recording(FIRST, SECOND, episode([completed(1, "b")]), status="Running", output=None)


@pytest.mark.parametrize(
    ("found", "episodes"),
    [(CHAIN, 3), (OPEN, 2), (SUSPENDED, 5), (TERMINATED, 2), (REWOUND, 5), (CONTINUED, 3)],
    ids=["ended", "open", "suspended and resumed", "terminated", "rewound", "continued as new"],
)
async def test_unchanged_code_replays_and_nothing_is_noted(found: Recording, episodes: int) -> None:
    assert await replayed(found, chain) == Verdict(episodes)


@pytest.mark.parametrize(
    ("orchestrator", "problem"),
    [
        (renamed, "at episode 2, event id 1: the history holds activity 'b', but the code now asks for activity 'a'"),
        (removed, "at episode 1, event id 0: the history holds activity 'a', but the code now asks for activity 'b'"),
        (added, "at episode 1, event id 1: the code now asks for activity 'b', which the history does not hold"),
        (swapped, "at episode 1, event id 0: the history holds activity 'a', but the code now asks for activity 'b'"),
        (another_kind, "at episode 2, event id 1: the history holds activity 'b', but the code now asks for a timer"),
        (signals, "event id 1: the history holds activity 'b', but the code now asks for a message to entity"),
        (ends_early, "at episode 2, event id 1: the history holds activity 'b', but the code no longer asks for it"),
        (calls_nobody, "at episode 2, event id 1: the history holds activity 'b', but the code no longer asks for it"),
        (goes_on, "at episode 3, the history ends here, but the code now goes on"),
        (asks_for_more, "event id 2: the code now asks for activity 'a', which the history does not hold"),
        (raises, "at episode 3, the history ends here as Completed, but the code now ends as Failed"),
        (starts_over, "at episode 3, the code now continues as new here, which the history does not"),
    ],
)
async def test_changed_code_is_told(orchestrator: Orchestrator, problem: str) -> None:
    assert problem in str((await replayed(CHAIN, orchestrator)).failure)


@pytest.mark.parametrize(
    ("found", "orchestrator", "problem"),
    [
        (OPEN_AT_A, calls_nobody, "would now wait for ever: activity 'gone' does not exist"),
        (OPEN_AT_A, ends_early, "now ends here as Completed, but the instance did not end here"),
        (OPEN_AT_THE_END, starts_over, "continues as new here, which the history does not"),
        (REWOUND, renamed, "at episode 4, event id 1: the history holds activity 'b'"),
    ],
)
async def test_open_and_rewound_instances_are_compared_too(
    found: Recording, orchestrator: Orchestrator, problem: str
) -> None:
    assert problem in str((await replayed(found, orchestrator)).failure)


# --- the file -----------------------------------------------------------------------------------------------


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "chain.json"
    file.write_text(CHAIN.text(), encoding="utf-8")
    assert read(file) == CHAIN


def _without(key: str) -> list[Event]:
    return [{name: value for name, value in event.items() if name != key} for event in CHAIN.history]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"orchestrator": 5}, "orchestrator must be text"),
        ({"output": []}, "output must be text or null"),
        ({"parent": "p"}, "parent must be an object or null"),
        ({"created": "yesterday"}, "created or input can't be read"),
        ({"input": "{"}, "created or input can't be read"),
        ({"history": {}}, "history must be a list of events"),
        ({"history": []}, "history must be a list of events"),
        ({"history": ["x"]}, "event 0 of the history is no object"),
        ({"history": CHAIN.history[1:]}, "must begin with an OrchestratorStarted"),
        ({"history": [*CHAIN.history, {"EventType": 99}]}, "has the EventType 99, which there is not"),
        ({"history": _without("EventType")}, "event 0 of the history has the EventType None"),
        ({"history": _without("EventId")}, "event 0 of the history has no EventId"),
        ({"history": _without("Timestamp")}, "event 0 of the history has no Timestamp"),
        ({"history": _without("Name")}, "event 1 of the history lacks Name"),
        ({"history": _without("TaskScheduledId")}, "event 5 of the history lacks TaskScheduledId"),
    ],
)
def test_damaged_recording_is_told_in_one_line(fields: dict[str, Any], problem: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({**json.loads(CHAIN.text()), **fields}), encoding="utf-8")
    with pytest.raises(RecordingError) as caught:
        read(file)
    assert problem in str(caught.value)
    assert str(caught.value).startswith(f"{file} is damaged: ")
    assert "\n" not in str(caught.value)
