"""The task hub's state in one SQLite file.

Runs on the event loop's thread. Statements run at once inside an open transaction that is committed at the end of
the loop's current turn, so whatever many instances write in one turn shares one commit; `committed` waits for it.
Nothing is sent or answered before its commit: killed at any moment, the file holds either all of an episode or none.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import sql
from .episode import Execution
from .events import Event, dump
from .state_folder import StateError, StateTooNew

ORCHESTRATION, ENTITY = "orchestration", "entity"


@dataclass(frozen=True)
class Message:
    """Something waiting for an instance: a history event, or an entity request. `id` is its row."""

    id: int
    instance_id: str
    execution_id: str | None
    payload: dict[str, Any]


@dataclass(frozen=True)
class Activity:
    """An activity that has to run. `input` is JSON text."""

    id: int
    instance_id: str
    execution_id: str
    event_id: int
    name: str
    input: str | None


@dataclass(frozen=True, order=True)
class Timer:
    """A durable timer; ordered by when it is due."""

    fire_at: datetime
    instance_id: str
    execution_id: str
    event_id: int
    created: datetime


@dataclass(frozen=True)
class Filter:
    """Which instances to list: ids that begin with `prefix`, from `start` on, made in [created_from, created_to]."""

    prefix: str = ""
    start: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: tuple[str, ...] = ()
    kind: str | None = None


def _text(when: datetime) -> str:
    """Fixed width, so that text order is time order."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Store:
    """One task hub's file; `path` None keeps it in memory.

    With `read_only` the file has to be there, and stays as it is.
    """

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        if path is not None and not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        name = f"{path.resolve().as_uri()}?mode=ro" if path and read_only else str(path or ":memory:")
        self._db = sqlite3.connect(name, isolation_level=None, uri=read_only)
        self._commit: asyncio.Future[None] | None = None
        self._abandoned = False
        self.before_commit: Callable[[], None] | None = None
        try:
            if not read_only:
                self._prepare()
            self._check_version()
        except sqlite3.DatabaseError as error:
            self._db.close()
            text = (
                f"The state in {path} can't be read: {error}. Move the file away, or name another folder with --state."
            )
            raise StateError(text) from None

    def _prepare(self) -> None:
        # WAL with NORMAL: a killed process loses nothing; only a power cut may cost the last commits.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        if not self._db.execute(sql.TABLES).fetchone()[0]:
            self._db.executescript(f"BEGIN;{sql.CREATE}{sql.MARK}COMMIT;")

    def _check_version(self) -> None:
        found = int(self._db.execute(sql.GET_META, ("schema",)).fetchone()[0])
        if found > sql.SCHEMA_VERSION:
            self._db.close()
            raise StateTooNew(
                f"The state in {self._path} has version {found}, this devhost knows {sql.SCHEMA_VERSION}. "
                "Update devhost, or choose another folder with --state."
            )

    def close(self) -> None:
        if not self._abandoned:
            self.flush()
            self._db.close()

    def abandon(self) -> None:
        """Leave the file as the last commit left it, as a killed process does; nothing may use the store after that."""
        if not self._abandoned:
            self._abandoned = True
            if self._commit is not None:
                self._commit.cancel()
            self._db.rollback()
            self._db.close()

    # --- transactions -------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside together or none of them. Committed with the turn's other ones."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO one")
            self._db.execute("RELEASE one")
            raise
        self._db.execute("RELEASE one")
        self._commit_soon()

    async def committed(self) -> None:
        """Return when everything written so far is in the file."""
        # Shared by all that wait: shielded, so that one cancelled waiter does not cancel the others.
        await asyncio.shield(self._commit_soon())

    def _commit_soon(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        if self._abandoned:
            nothing: asyncio.Future[None] = loop.create_future()
            nothing.cancel()
            return nothing
        if self._commit is None:
            self._commit = loop.create_future()
            loop.call_soon(self.flush)
        return self._commit

    def flush(self) -> None:
        """Commit now. A commit that fails is told to everyone who waits for it."""
        if self.before_commit is not None and not self._abandoned and self._db.in_transaction:
            self.before_commit()
        if self._abandoned:
            return  # who waits for the commit dies with the host
        waiting, self._commit = self._commit, None
        try:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if waiting is None or waiting.done():
                raise
            self._db.execute("ROLLBACK")
            waiting.set_exception(error)
        else:
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    # --- instances ----------------------------------------------------------------------------------------

    def get(self, instance_id: str, kind: str | None = None) -> Execution | None:
        row = self._db.execute(sql.GET_INSTANCE, (instance_id,)).fetchone()
        return None if row is None or (kind and row[1] != kind) else _execution(row)

    def kind_of(self, instance_id: str) -> str | None:
        row = self._db.execute(sql.GET_INSTANCE, (instance_id,)).fetchone()
        return row[1] if row else None

    def put(self, execution: Execution, kind: str = ORCHESTRATION) -> None:
        parent = dump(execution.parent) if execution.parent else None
        self._db.execute(
            sql.PUT_INSTANCE,
            (
                execution.instance_id,
                kind,
                execution.execution_id,
                execution.name,
                execution.version,
                execution.status,
                execution.input,
                execution.output,
                execution.custom_status,
                _text(execution.created),
                _text(execution.updated),
                parent,
                execution.continued,
                execution.failure_details,
            ),
        )

    def find(self, wanted: Filter, limit: int) -> list[Execution]:
        """Instances in the order of their ids, at most `limit`."""
        query = sql.ALL_INSTANCES
        values: list[str | int] = [max(wanted.prefix, wanted.start)]
        if wanted.prefix:
            query, values = (
                f"{query} AND substr(instance_id, 1, ?) = ?",
                [*values, len(wanted.prefix), wanted.prefix],
            )
        if wanted.created_from:
            query, values = f"{query} AND created >= ?", [*values, _text(wanted.created_from)]
        if wanted.created_to:
            query, values = f"{query} AND created <= ?", [*values, _text(wanted.created_to)]
        if wanted.statuses:
            marks = ",".join("?" * len(wanted.statuses))
            query, values = f"{query} AND status IN ({marks})", [*values, *wanted.statuses]
        if wanted.kind:
            query, values = f"{query} AND kind = ?", [*values, wanted.kind]
        rows = self._db.execute(f"{query} ORDER BY instance_id LIMIT ?", (*values, limit))
        return [_execution(row) for row in rows]

    def delete(self, instance_id: str) -> None:
        """Forget an instance and everything under way to or from it."""
        for statement in (
            sql.DELETE_INSTANCE,
            sql.DELETE_HISTORY,
            sql.DELETE_MESSAGES,
            sql.DELETE_ACTIVITIES,
            sql.DELETE_TIMERS,
        ):
            self._db.execute(statement, (instance_id,))

    # --- history ------------------------------------------------------------------------------------------

    def history(self, instance_id: str) -> list[Event]:
        rows = self._db.execute(sql.GET_HISTORY, (instance_id,))
        return [event for (text,) in rows for event in json.loads(text)]

    def add_history(self, instance_id: str, events: list[Event]) -> None:
        self._db.execute(sql.ADD_EPISODE, (instance_id, dump(events), instance_id))

    def replace_history(self, instance_id: str, events: list[Event]) -> None:
        self._db.execute(sql.DELETE_HISTORY, (instance_id,))
        if events:
            self.add_history(instance_id, events)

    # --- under way ----------------------------------------------------------------------------------------

    def add_message(self, instance_id: str, execution_id: str | None, payload: dict[str, Any]) -> Message:
        cursor = self._db.execute(sql.ADD_MESSAGE, (instance_id, execution_id, dump(payload)))
        return Message(cursor.lastrowid or 0, instance_id, execution_id, payload)

    def delete_messages(self, messages: list[Message]) -> None:
        self._db.executemany(sql.DELETE_MESSAGE, [(one.id,) for one in messages])

    def messages(self) -> list[Message]:
        rows = self._db.execute(sql.ALL_MESSAGES)
        return [Message(row[0], row[1], row[2], json.loads(row[3])) for row in rows]

    def add_activity(
        self, instance_id: str, execution_id: str, event_id: int, name: str, input_json: str | None
    ) -> Activity:
        values = (instance_id, execution_id, event_id, name, input_json)
        cursor = self._db.execute(sql.ADD_ACTIVITY, values)
        return Activity(cursor.lastrowid or 0, *values)

    def delete_activity(self, activity: Activity) -> bool:
        """False when it is not there any more: its instance was purged or replaced meanwhile."""
        return self._db.execute(sql.DELETE_ACTIVITY, (activity.id,)).rowcount > 0

    def activities(self) -> list[Activity]:
        return [Activity(*row) for row in self._db.execute(sql.ALL_ACTIVITIES)]

    def add_timer(self, timer: Timer) -> None:
        self._db.execute(
            sql.ADD_TIMER,
            (
                timer.instance_id,
                timer.execution_id,
                timer.event_id,
                _text(timer.fire_at),
                _text(timer.created),
            ),
        )

    def delete_timer(self, timer: Timer) -> bool:
        """False when it is not there any more."""
        key = (timer.instance_id, timer.execution_id, timer.event_id)
        return self._db.execute(sql.DELETE_TIMER, key).rowcount > 0

    def delete_timers(self, instance_id: str) -> None:
        self._db.execute(sql.DELETE_TIMERS, (instance_id,))

    def timers(self) -> list[Timer]:
        rows = self._db.execute(sql.ALL_TIMERS)
        return [Timer(_time(row[3]), row[0], row[1], row[2], _time(row[4])) for row in rows]


def _execution(row: tuple[Any, ...]) -> Execution:
    return Execution(
        instance_id=row[0],
        execution_id=row[2],
        name=row[3],
        version=row[4],
        status=row[5],
        input=row[6],
        output=row[7],
        custom_status=row[8],
        created=_time(row[9]),
        updated=_time(row[10]),
        parent=json.loads(row[11]) if row[11] else None,
        continued=bool(row[12]),
        failure_details=row[13],
    )
