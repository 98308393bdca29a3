"""The loop around the core: takes messages to episodes, runs activities and entities, fires timers.

Nothing here polls: work starts when a message is delivered, an activity is added or the earliest timer is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import traceback
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..clock import Clock
from . import activities, apply, entities, episode, events
from .actions import HTTP_ACTIVITY
from .delivery import Delivery
from .episode import TERMINAL, Execution, Reply
from .events import Event, dump
from .failures import UserError
from .names import Names
from .scheduled import ReplaySettings
from .store import ENTITY, Activity, Message, Store, Timer
from .timer_queue import TimerQueue

WriteLog = Callable[[str, str], None]
"""(level name, text)."""

CACHED_INSTANCES = 1000
"""How many instances' histories stay in memory between their episodes."""

SAVE_AGAIN_AFTER = timedelta(seconds=1)
"""How long due timers wait when the state could not be saved, as on a full disk."""


_USUAL_CAUSES = (
    "Usual causes: the orchestrator was changed while the instance ran; it reads the clock, random numbers, "
    "settings, files or the network instead of its input, `context.current_utc_datetime` and activities; "
    "it goes through a set, whose order differs from run to run."
)


class UserCodeFailed(Exception):
    """User code raised; `error` says what."""

    def __init__(self, error: UserError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True)
class Limits:
    """host.json: how many of each kind run at a time, and how many operations an entity batch holds.

    `hidden` is how long a live host's queues hide what a crash interrupted. devhost, which notices its own start, goes
    on at once; the test kit plays the live host.
    """

    orchestrators: int
    activities: int
    entities: int
    entity_batch: int = 5000
    hidden: timedelta = timedelta(minutes=5)


class UserCode:
    """How the engine reaches the app's functions. Each call gets and gives JSON text, or raises UserCodeFailed."""

    def __init__(
        self,
        orchestrators: dict[str, Callable[[str], Awaitable[str]]],
        activity_functions: dict[str, Callable[[str | None], Awaitable[str | None]]],
        entity_functions: dict[str, Callable[[str], Awaitable[str]]],
        http: Callable[[int, str, datetime], Awaitable[Event]],
    ) -> None:
        self.orchestrators = {name.lower(): call for name, call in orchestrators.items()}
        self.orchestrator_names = list(orchestrators)
        self.activities = {name.lower(): call for name, call in activity_functions.items()}
        self.entities = {name.lower(): call for name, call in entity_functions.items()}
        self.entity_names = list(entity_functions)
        self.http = http
        self.names = Names.of(orchestrators, activity_functions, entity_functions)


@dataclass
class _Loaded:
    """An instance in memory: the row, its history parsed and as JSON text."""

    execution: Execution
    history: list[Event]
    texts: list[str]
    warned: set[str] = field(default_factory=set)


class Engine:
    """Runs one task hub. `deliver` is given what a committed transaction left to do.

    `strict` fails an instance that would wait for ever, where the live host leaves it Running.
    """

    def __init__(
        self,
        store: Store,
        code: UserCode,
        clock: Clock,
        limits: Limits,
        settings: ReplaySettings,
        log: WriteLog,
        *,
        strict: bool = False,
    ) -> None:
        self.store, self.code, self.clock, self.limits, self.settings = store, code, clock, limits, settings
        self._log = log
        self.strict = strict
        self._mailboxes: dict[str, deque[Message]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._busy: set[str] = set()
        self._activities: deque[Activity] = deque()
        self._running_activities = 0
        self._timers = TimerQueue()
        self._timer_added = asyncio.Event()
        self._cache: OrderedDict[str, _Loaded] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer_task: asyncio.Task[None] | None = None
        self._stopping = False

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up everything that the store says is under way."""
        delivery = Delivery(
            messages=self.store.messages(), activities=self.store.activities(), timers=self.store.timers()
        )
        self._timer_task = asyncio.create_task(self._fire_timers(), name="durable timers")
        self.deliver(delivery)

    async def stop(self, grace: float = 5.0) -> None:
        """Start nothing new; wait up to `grace` seconds for what runs, then cancel it. It runs again later."""
        self._stopping = True
        if self._timer_task is not None:
            self._timer_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._timer_task
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def deliver(self, delivery: Delivery) -> None:
        """Act on a committed transaction."""
        for warning in delivery.warnings:
            self._log("WARNING", warning)
        for instance_id in delivery.forgotten:
            self.forget(instance_id)
        for message in delivery.messages:
            self._mailboxes.setdefault(message.instance_id, deque()).append(message)
            if message.instance_id not in self._busy:
                self._ready[message.instance_id] = None
        self._activities.extend(delivery.activities)
        for timer in delivery.timers:
            self._timers.add(timer)
        if delivery.timers:
            self._timer_added.set()
        self._pump()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The episodes, entity batches and activities under way."""
        return set(self._tasks)

    def next_due(self) -> datetime | None:
        """When the earliest durable timer is due."""
        return self._timers.next_due()

    def forget(self, instance_id: str) -> None:
        """An instance was purged or replaced."""
        self._mailboxes.pop(instance_id, None)
        self._ready.pop(instance_id, None)
        self._cache.pop(instance_id, None)
        self._timers.discard(instance_id)
        self._activities = deque(one for one in self._activities if one.instance_id != instance_id)

    # --- scheduling ---------------------------------------------------------------------------------------

    def _pump(self) -> None:
        if self._stopping:
            return
        most = self.limits.orchestrators + self.limits.entities
        while self._ready and len(self._busy) < most:
            instance_id, _ = self._ready.popitem(last=False)
            self._busy.add(instance_id)
            self._spawn(self._work(instance_id), f"episode of {instance_id}")
        while self._activities and self._running_activities < self.limits.activities:
            self._running_activities += 1
            activity = self._activities.popleft()
            self._spawn(self._run_activity(activity), f"activity {activity.name} of {activity.instance_id}")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            trace = "".join(traceback.format_exception(error))
            self._log("ERROR", f"Internal error in {task.get_name()}; it is tried again at the next start.\n{trace}")
        self._pump()

    async def _work(self, instance_id: str) -> None:
        messages = list(self._mailboxes.get(instance_id, ()))
        try:
            requests = [one for one in messages if "EventType" not in one.payload]
            if requests and self._is_orchestration(instance_id):
                await self._drop(instance_id, requests, "An orchestration takes no entity operations")
            elif requests:
                await self._run_entity(instance_id, requests[: self.limits.entity_batch])
            elif messages:
                await self._run_episode(instance_id, messages)
        finally:
            self._busy.discard(instance_id)
        if self._mailboxes.get(instance_id) and not self._held_back(instance_id):
            self._ready[instance_id] = None

    def _is_orchestration(self, instance_id: str) -> bool:
        kind = self.store.kind_of(instance_id)
        return kind is not None and kind != ENTITY

    def _take(self, instance_id: str, consumed: Iterable[Message]) -> None:
        """Remove what was consumed from the mailbox; what arrived meanwhile stays."""
        done = {message.id for message in consumed}
        mailbox = self._mailboxes.get(instance_id)
        if mailbox is None:
            return
        left = deque(message for message in mailbox if message.id not in done)
        if left:
            self._mailboxes[instance_id] = left
        else:
            del self._mailboxes[instance_id]

    async def _committed(self, instance_id: str, consumed: list[Message]) -> None:
        """Wait until what was written is in the file. If it can't be, memory goes back to what the file holds."""
        try:
            await self.store.committed()
        except sqlite3.Error:
            self._cache.pop(instance_id, None)
            self._mailboxes.setdefault(instance_id, deque()).extendleft(reversed(consumed))
            raise

    # --- orchestrations -----------------------------------------------------------------------------------

    async def _run_episode(self, instance_id: str, messages: list[Message]) -> None:
        loaded = self._load(instance_id)
        if loaded is None or loaded.execution.status in TERMINAL:
            await self._drop(instance_id, messages, "No such instance" if loaded is None else "It has ended")
            return
        execution = loaded.execution
        current = [one for one in messages if one.execution_id in (None, execution.execution_id)]
        stale = [one for one in messages if one.execution_id not in (None, execution.execution_id)]
        if stale:
            await self._drop(instance_id, stale, "They belong to an earlier execution")
        if not current or not self._may_run(execution):
            return
        now = self.clock.now()
        opening = episode.begin(
            [one.payload for one in current], now, continued=execution.continued and not loaded.history
        )
        decided = await self._decide(loaded, opening)
        if self._is_replaced(execution):
            return
        now = self.clock.now()
        with self.store.transaction():
            after, delivery = apply.decision(self.store, execution, decided, current, now)
        self._take(instance_id, current)
        self._remember(loaded, after, decided)
        await self._committed(instance_id, current)
        if decided.ended:
            self._timers.discard(instance_id)
        self.deliver(delivery)

    async def _decide(self, loaded: _Loaded, opening: list[Event]) -> episode.Decision:
        execution = loaded.execution
        call = self.code.orchestrators.get(execution.name.lower())
        if call is None:
            return episode.unknown_orchestrator(execution, opening, self.code.orchestrator_names, self.clock.now())
        reply = Reply(state={})
        if episode.needs_python(opening):
            reply = await _ask(call, episode.body(execution, loaded.texts, opening))
        now = self.clock.now()
        decided = episode.finish(
            execution, loaded.history, opening, reply, names=self.code.names, settings=self.settings, now=now
        )
        self._warn(loaded, decided)
        if self.strict and decided.hanging and not decided.ended:
            return episode.stuck(execution, opening, decided.hanging, now)
        return decided

    def _warn(self, loaded: _Loaded, decided: episode.Decision) -> None:
        """Where the host hangs in silence, say so: once for each reason."""
        of = f"Instance '{loaded.execution.instance_id}' ({loaded.execution.name})"
        for reason in decided.hanging:
            if reason not in loaded.warned:
                self._log("WARNING", f"{of} waits for ever: {reason}.")
        for reason in decided.unheard:
            if reason not in loaded.warned:
                self._log("WARNING", f"{of} will not see an event, for Python minds the case of its name: {reason}.")
        loaded.warned.update(decided.hanging, decided.unheard)
        if decided.nondeterminism is not None:
            self._log("ERROR", f"{of} failed: {decided.nondeterminism} {_USUAL_CAUSES}")

    def _load(self, instance_id: str) -> _Loaded | None:
        loaded = self._cache.get(instance_id)
        if loaded is not None:
            self._cache.move_to_end(instance_id)
            return loaded
        execution = self.store.get(instance_id)
        if execution is None:
            return None
        history = self.store.history(instance_id)
        return _Loaded(execution, history, [dump(event) for event in history])

    def _remember(self, loaded: _Loaded, after: Execution, decided: episode.Decision) -> None:
        if decided.ended:
            self._cache.pop(after.instance_id, None)
            return
        loaded.execution = after
        if decided.continue_with is not None:
            loaded.history, loaded.texts = [], []
        else:
            loaded.history.extend(decided.history)
            loaded.texts.extend(dump(event) for event in decided.history)
        self._cache[after.instance_id] = loaded
        while len(self._cache) > CACHED_INSTANCES:
            self._cache.popitem(last=False)

    def invalidate(self, instance_id: str) -> None:
        """The store's row or history was changed by somebody else (rewind)."""
        self._cache.pop(instance_id, None)

    def _is_replaced(self, execution: Execution) -> bool:
        now = self.store.get(execution.instance_id)
        return now is None or now.execution_id != execution.execution_id

    def _may_run(self, execution: Execution) -> bool:
        """A version newer than the app's own waits; the host puts its start message back for ever."""
        if not is_newer(execution.version, self.settings.default_version):
            return True
        self._log(
            "WARNING",
            f"Instance '{execution.instance_id}' stays Pending: its version {execution.version} is newer than "
            f"this app's defaultVersion {self.settings.default_version}.",
        )
        return False

    def _held_back(self, instance_id: str) -> bool:
        execution = self.store.get(instance_id)
        return execution is not None and is_newer(execution.version, self.settings.default_version)

    async def _drop(self, instance_id: str, messages: list[Message], why: str) -> None:
        with self.store.transaction():
            self.store.delete_messages(messages)
        self._take(instance_id, messages)
        await self._committed(instance_id, messages)
        self._log("WARNING", f"Instance '{instance_id}': discarding {len(messages)} message(s). {why}.")

    # --- entities -----------------------------------------------------------------------------------------

    async def _run_entity(self, instance_id: str, messages: list[Message]) -> None:
        requests = [one.payload for one in messages]
        before = entities.EntityState.of(self.store.get(instance_id, ENTITY))
        name, _ = entities.split_id(instance_id)
        call = self.code.entities.get(name.lower())
        try:
            if call is None:
                raise ValueError(f"the app has no entity '{name}'")
            reply = json.loads(await call(entities.body(instance_id, before, requests)))
            result = entities.finish(requests, reply, self.clock.now())
        except UserCodeFailed as error:
            result = entities.failed(before, requests, error.error.message, self.clock.now())
        except ValueError as error:
            result = entities.failed(before, requests, str(error), self.clock.now())
        for problem in result.errors:
            self._log("ERROR", f"Entity '{instance_id}', {problem}")
        with self.store.transaction():
            delivery = apply.batch(self.store, instance_id, result, messages, self.clock.now())
        self._take(instance_id, messages)
        await self._committed(instance_id, messages)
        self.deliver(delivery)

    # --- activities ---------------------------------------------------------------------------------------

    async def _run_activity(self, activity: Activity) -> None:
        try:
            event = await self._outcome(activity)
            # Both in one transaction: the activity leaves the outbox only as its result reaches the inbox.
            delivery = Delivery()
            with self.store.transaction():
                if self.store.delete_activity(activity):
                    delivery.messages.append(self.store.add_message(activity.instance_id, activity.execution_id, event))
            await self.store.committed()
            self.deliver(delivery)
        finally:
            self._running_activities -= 1

    async def _outcome(self, activity: Activity) -> Event:
        if activity.name == HTTP_ACTIVITY:
            return await self.code.http(activity.event_id, activity.input or "null", self.clock.now())
        call = self.code.activities.get(activity.name.lower())
        if call is None:
            return activities.missing(activity.event_id, activity.name, self.clock.now())
        try:
            result = await call(activity.input)
        except UserCodeFailed as error:
            return activities.failed(activity.event_id, activity.name, error.error, self.clock.now())
        return activities.completed(activity.event_id, result, self.clock.now())

    # --- timers -------------------------------------------------------------------------------------------

    async def _fire_timers(self) -> None:
        while True:
            self._timer_added.clear()
            due = self._timers.pop_due(self.clock.now())
            if not due:
                await self._until_next_timer()
                continue
            try:
                await self._fire(due)
            except sqlite3.Error as error:
                self._log("ERROR", f"{len(due)} timer(s) are due but can't be saved, tried again soon: {error}")
                for timer in due:
                    self._timers.add(timer)
                await self.clock.sleep_until(self.clock.now() + SAVE_AGAIN_AFTER)

    async def _until_next_timer(self) -> None:
        following = self._timers.next_due()
        added = asyncio.ensure_future(self._timer_added.wait())
        waits: set[asyncio.Future[Any]] = {added}
        if following is not None:
            waits.add(asyncio.ensure_future(self.clock.sleep_until(following)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _fire(self, due: list[Timer]) -> None:
        delivery = Delivery()
        with self.store.transaction():
            for timer in due:
                if self.store.delete_timer(timer):
                    event = events.timer_fired(timer.event_id, timer.fire_at, timer.created)
                    delivery.messages.append(self.store.add_message(timer.instance_id, timer.execution_id, event))
        await self.store.committed()
        self.deliver(delivery)


async def _ask(call: Callable[[str], Awaitable[str]], body: str) -> Reply:
    try:
        text = await call(body)
    except UserCodeFailed as error:
        return Reply(error=error.error)
    return Reply(state=json.loads(text))


def is_newer(version: str | None, than: str | None) -> bool:
    """Compare dotted versions; no version is the oldest of all."""
    return _parts(version) > _parts(than)


def _parts(version: str | None) -> list[tuple[int, str]]:
    if not version:
        return []
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.split(".")]
