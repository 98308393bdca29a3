"""The hub's file: all of a transaction or nothing of it, also for a process that is killed, and no newer file is
opened by mistake."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devhost.durable import events, sql
from devhost.durable.client import HubClient
from devhost.durable.engine import Engine, Limits, UserCode
from devhost.durable.episode import Execution
from devhost.durable.events import Event
from devhost.durable.scheduled import ReplaySettings
from devhost.durable.state_folder import StateTooNew
from devhost.durable.store import ENTITY, Filter, Store, Timer
from devhost.testing.clock import VirtualClock, settle

NOW = datetime(2026, 11, 23, 20, 0, 0, 123456, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(Store(None)) as found:
        yield found


class BrokenOff(Exception):
    """What went wrong in the middle of a transaction."""


def execution(instance_id: str = "i", **changes: Any) -> Execution:
    return replace(Execution(instance_id, "e", "o", None, created=NOW, updated=NOW), **changes)


# --- transactions -----------------------------------------------------------------------------------------


async def test_a_transaction_that_breaks_off_leaves_nothing(store: Store) -> None:
    with contextlib.suppress(BrokenOff), store.transaction():
        store.put(execution())
        store.add_history("i", [events.orchestrator_started(NOW)])
        store.add_message("i", "e", {"EventType": 0})
        store.add_activity("i", "e", 0, "a", None)
        store.add_timer(Timer(NOW, "i", "e", 1, NOW))
        raise BrokenOff
    assert (store.get("i"), store.history("i"), store.messages()) == (None, [], [])
    assert (store.activities(), store.timers()) == ([], [])


async def test_it_takes_nobody_elses_transaction_of_the_same_turn_with_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub.db")
    with store.transaction():
        store.put(execution("kept"))
    with contextlib.suppress(BrokenOff), store.transaction():
        store.put(execution("lost"))
        raise BrokenOff
    with store.transaction():
        store.put(execution("kept too"))
    await store.committed()
    store.close()
    with closing(Store(tmp_path / "hub.db")) as again:
        assert [one.instance_id for one in again.find(Filter(), 10)] == ["kept", "kept too"]


async def test_nothing_is_in_the_file_before_the_commit_and_all_after_it(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = Store(path)
    with store.transaction():
        store.put(execution())
    with closing(sqlite3.connect(path)) as reader:
        count = "SELECT count(*) FROM instances"
        assert reader.execute(count).fetchone() == (0,)
        await store.committed()
        assert reader.execute(count).fetchone() == (1,)
    store.close()


async def test_one_who_stops_waiting_for_a_commit_does_not_stop_the_others(store: Store) -> None:
    with store.transaction():
        store.put(execution())
    impatient, patient = asyncio.create_task(store.committed()), asyncio.create_task(store.committed())
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    assert store.get("i") is not None


def fails_at_commit(store: Store) -> None:
    """Leave something in the open transaction that SQLite refuses only at its end."""
    with store.transaction():
        store._db.execute("INSERT INTO child VALUES (1)")


@pytest.fixture
def refusable(store: Store) -> Store:
    """A store whose commit can be made to fail, as a full disk would make it."""
    store._db.executescript(
        "PRAGMA foreign_keys = ON; CREATE TABLE parent (id INTEGER PRIMARY KEY);"
        "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);"
    )
    return store


async def test_a_commit_that_fails_is_told_to_all_who_wait_and_leaves_nothing(refusable: Store) -> None:
    async def write(instance_id: str) -> None:
        with refusable.transaction():
            refusable.put(execution(instance_id))
        fails_at_commit(refusable)
        await refusable.committed()

    told = await asyncio.gather(write("i"), write("k"), return_exceptions=True)
    assert [type(one) for one in told] == [sqlite3.IntegrityError] * 2
    assert refusable.find(Filter(), 10) == []
    with refusable.transaction():
        refusable.put(execution("next"))
    await refusable.committed()
    assert refusable.get("next") is not None


# --- what the engine does when nothing can be saved -------------------------------------------------------


async def waits(body: str) -> str:
    """An orchestrator that waits for the event `go`, or for a timer of a minute."""
    history: list[Event] = json.loads(body)["history"]
    fire_at = events.format_time(events.parse_time(history[0]["Timestamp"]) + timedelta(minutes=1))
    actions = [
        {"actionType": 6, "externalEventName": "go", "reason": "ExternalEvent"},
        {"actionType": 5, "fireAt": fire_at, "isCanceled": False},
    ]
    done = any(event["EventType"] == events.EventType.TIMER_FIRED for event in history)
    reply = {"isDone": done, "schemaVersion": 2, "actions": [[{"actionType": 11, "compoundActions": actions}]]}
    return json.dumps(reply)


async def no_http(event_id: int, request: str, now: datetime) -> Event:
    raise AssertionError(request)


@asynccontextmanager
async def running(
    store: Store, clock: VirtualClock, orchestrator: Callable[[str], Awaitable[str]] = waits
) -> AsyncIterator[tuple[HubClient, list[str]]]:
    """A hub with one orchestrator, and its log."""
    log: list[str] = []
    code = UserCode({"o": orchestrator}, {}, {}, no_http)
    engine = Engine(
        store, code, clock, Limits(10, 10, 10), ReplaySettings(), lambda level, text: log.append(f"{level}: {text}")
    )
    engine.start()
    try:
        yield HubClient(store, clock, engine.deliver, engine.invalidate), log
    finally:
        await engine.stop()


async def test_an_episode_that_could_not_be_saved_runs_again_with_the_next_message(refusable: Store) -> None:
    refused: list[bool] = []

    async def unlucky(body: str) -> str:
        if not refused:
            refused.append(True)
            fails_at_commit(refusable)  # in the transaction that the episode's will be part of
        return await waits(body)

    async with running(refusable, VirtualClock(), unlucky) as (client, log):
        instance_id = await client.start("o", None, None)
        await settle()
        assert any("FOREIGN KEY constraint failed" in line for line in log)
        assert (shown(refusable, instance_id).status, refusable.history(instance_id)) == ("Pending", [])
        await client.raise_event(instance_id, "other", "1")
        await settle()
        assert [event["EventType"] for event in refusable.history(instance_id)] == [12, 0, 15, 10, 13]


def shown(store: Store, instance_id: str) -> Execution:
    found = store.get(instance_id)
    assert found is not None
    return found


async def test_due_timers_that_could_not_be_saved_fire_a_little_later(refusable: Store) -> None:
    clock = VirtualClock()
    async with running(refusable, clock) as (client, log):
        instance_id = await client.start("o", None, None)
        await settle()
        refusable._db.execute("ALTER TABLE timers RENAME TO hidden")
        await clock.advance(timedelta(minutes=1))
        assert any("1 timer(s) are due but can't be saved" in line for line in log)
        refusable._db.execute("ALTER TABLE hidden RENAME TO timers")
        await clock.advance(timedelta(seconds=1))
        assert shown(refusable, instance_id).status == "Completed"


# --- a process that is killed -----------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from devhost.durable import events
from devhost.durable.episode import Execution
from devhost.durable.store import Store

NOW = datetime(2026, 11, 23, tzinfo=UTC)


async def write(store: Store) -> None:
    number = 0
    while True:
        number += 1
        with store.transaction():
            store.put(Execution("i", "e", "o", str(number), created=NOW, updated=NOW, status="Running"))
            store.add_history("i", [events.orchestrator_started(NOW), events.orchestrator_completed(NOW)])
            store.add_message("i", "e", {"EventType": 15, "Number": number})
            store.add_activity("i", "e", number, "a", str(number))
        await store.committed()
        print(number, flush=True)


asyncio.run(write(Store(Path(sys.argv[1]))))
"""


@pytest.mark.parametrize("after", [1, 40, 150])
def test_a_process_killed_while_it_writes_leaves_whole_episodes(tmp_path: Path, after: int) -> None:
    path = tmp_path / "hub.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(after)]
        writer.kill()
        told += [int(line) for line in writer.stdout.read().splitlines() if line]
    with closing(Store(path)) as store:
        found = store.get("i")
        assert found is not None
        written = int(found.input or 0)
        assert written >= told[-1], "what was told as saved is there"
        assert len(store.history("i")) == 2 * written
        assert [one.payload["Number"] for one in store.messages()] == [*range(1, written + 1)]
        assert [one.event_id for one in store.activities()] == [*range(1, written + 1)]
        assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- versions of the file ---------------------------------------------------------------------------------


def test_a_file_of_a_newer_devhost_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    Store(path).close()
    newer = sql.SCHEMA_VERSION + 1
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(newer),))
    with pytest.raises(StateTooNew) as refused:
        Store(path)
    assert str(refused.value) == (
        f"The state in {path} has version {newer}, this devhost knows {sql.SCHEMA_VERSION}. "
        "Update devhost, or choose another folder with --state."
    )
    with closing(sqlite3.connect(path)) as other:
        assert other.execute(sql.GET_META, ("schema",)).fetchone() == (str(newer),)


def test_a_file_is_opened_again_with_what_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "hub.db"
    with closing(Store(path)) as store:
        store.put(execution("kept"))
    with closing(Store(path)) as store:
        assert store.get("kept") == execution("kept")
        assert store.get("other") is None


# --- rows -------------------------------------------------------------------------------------------------


async def test_rows_come_back_as_they_were_put(store: Store) -> None:
    parent = events.parent_instance("p", "parent", "pe", 3, None)
    full = execution(
        version="1.0",
        status="Failed",
        input='"ї"',
        output="text",
        custom_status="{}",
        parent=parent,
        continued=True,
        failure_details="d",
    )
    timer = Timer(NOW + timedelta(days=3), "i", "e", 7, NOW)
    with store.transaction():
        store.put(full)
        store.add_history("i", [events.orchestrator_started(NOW)])
        store.add_history("i", [events.orchestrator_completed(NOW)])
        message = store.add_message("i", None, {"op": "add", "text": "ї"})
        activity = store.add_activity("i", "e", 0, "a", None)
        store.add_timer(timer)
    assert store.get("i") == full
    assert [event["EventType"] for event in store.history("i")] == [12, 13]
    assert (store.messages(), store.activities(), store.timers()) == ([message], [activity], [timer])


async def test_what_was_taken_is_not_given_twice(store: Store) -> None:
    timer = Timer(NOW, "i", "e", 7, NOW)
    with store.transaction():
        activity = store.add_activity("i", "e", 0, "a", None)
        store.add_timer(timer)
    assert (store.delete_activity(activity), store.delete_activity(activity)) == (True, False)
    assert (store.delete_timer(timer), store.delete_timer(timer)) == (True, False)


async def test_deleting_an_instance_takes_everything_under_way_with_it(store: Store) -> None:
    with store.transaction():
        for instance_id in ("i", "other"):
            store.put(execution(instance_id))
            store.add_history(instance_id, [events.orchestrator_started(NOW)])
            store.add_message(instance_id, None, {})
            store.add_activity(instance_id, "e", 0, "a", None)
            store.add_timer(Timer(NOW, instance_id, "e", 7, NOW))
        store.delete("i")
    assert (store.get("i"), store.history("i")) == (None, [])
    assert [one.instance_id for one in store.messages()] == ["other"]
    assert [one.instance_id for one in store.activities()] == ["other"]
    assert [one.instance_id for one in store.timers()] == ["other"]
    assert len(store.history("other")) == 1


async def test_a_replaced_history_is_the_only_one(store: Store) -> None:
    with store.transaction():
        store.add_history("i", [events.orchestrator_started(NOW)])
        store.replace_history("i", [events.orchestrator_completed(NOW)])
    assert [event["EventType"] for event in store.history("i")] == [13]
    with store.transaction():
        store.replace_history("i", [])
    assert store.history("i") == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["@counter@k", "a1", "a2", "b"]),
        (Filter(prefix="a"), ["a1", "a2"]),
        (Filter(prefix="a", start="a2"), ["a2"]),
        (Filter(start="a2"), ["a2", "b"]),
        (Filter(statuses=("Failed",)), ["b"]),
        (Filter(statuses=("Failed", "Completed")), ["a2", "b"]),
        (Filter(created_from=NOW + timedelta(seconds=1)), ["b"]),
        (Filter(created_to=NOW), ["@counter@k", "a1", "a2"]),
        (Filter(kind=ENTITY), ["@counter@k"]),
        (Filter(prefix="%"), []),
    ],
)
async def test_instances_are_found_in_the_order_of_their_ids(store: Store, wanted: Filter, found: list[str]) -> None:
    with store.transaction():
        store.put(execution("b", status="Failed", created=NOW + timedelta(seconds=1)))
        store.put(execution("a2", status="Completed"))
        store.put(execution("a1"))
        store.put(execution("@counter@k"), ENTITY)
    assert [one.instance_id for one in store.find(wanted, 10)] == found
    assert [one.instance_id for one in store.find(wanted, 1)] == found[:1]


async def test_an_entity_is_found_as_such(store: Store) -> None:
    with store.transaction():
        store.put(execution("@counter@k"), ENTITY)
    assert store.kind_of("@counter@k") == ENTITY
    assert store.kind_of("nobody") is None
    assert store.get("@counter@k", "orchestration") is None
