"""The durable engine under test: the real one, with replays forced, bad days played, and a way to kill it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from devhost.clock import Clock
from devhost.durable.delivery import Delivery
from devhost.durable.engine import Engine, Limits, UserCode, UserCodeFailed, WriteLog
from devhost.durable.events import EventType, dump
from devhost.durable.failures import UserError
from devhost.durable.scheduled import ReplaySettings
from devhost.durable.store import Activity, Message, Store
from devhost.durable.timer_queue import TimerQueue
from devhost.testing.bad_days import Dice

_OVERTAKEN_AFTER = timedelta(seconds=1)
_SHORTEST_EARLY = timedelta(seconds=1)
_COMPARED = ("actions", "isDone", "output", "error", "customStatus")


class ReplayDiffers(AssertionError):
    """An orchestrator did something else when the same history was given to it again."""


class Interrupted:
    """What ran when a host was killed: the ids of its activities and of the messages of its episodes."""

    def __init__(self) -> None:
        self.activities: set[int] = set()
        self.messages: set[int] = set()


class VirtualEngine(Engine):
    """An engine of the test kit. `problems` takes what should fail the test; `interrupted` what a kill cut off."""

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
        dice: Dice,
        interrupted: Interrupted,
        problems: list[Exception] | None,
    ) -> None:
        super().__init__(store, code, clock, limits, settings, log, strict=strict)
        self._dice, self._interrupted = dice, interrupted
        self._problems = problems
        if problems is not None:
            code.orchestrators = {name: self._replayed(name, call) for name, call in code.orchestrators.items()}
        self._timers = _EarlyTimers(dice.early_by())
        self._running: set[int] = set()
        self._held: dict[asyncio.Task[None], datetime] = {}
        self._overtaken: dict[str, Message] = {}
        self._recovering = False

    # --- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._recovering = True
        super().start()
        self._recovering = False

    async def stop(self, grace: float = 5.0) -> None:
        for task in list(self._held):
            task.cancel()
        await super().stop(grace)

    def kill(self) -> None:
        """Die: what is not committed never happened, what runs is cut off."""
        self._stopping = True
        self._interrupted.activities = set(self._running)
        self._interrupted.messages = {
            message.id for instance_id in self._busy for message in self._mailboxes.get(instance_id, ())
        }
        self.store.abandon()
        for task in (*self._tasks, *self._held, *([self._timer_task] if self._timer_task else [])):
            task.cancel()

    def next_due(self) -> datetime | None:
        """When the engine goes on by itself: the earliest durable timer, or what a bad day holds back."""
        moments = [*self._held.values(), super().next_due()]
        return min((moment for moment in moments if moment is not None), default=None)

    async def _run_activity(self, activity: Activity) -> None:
        self._running.add(activity.id)
        try:
            await super()._run_activity(activity)
        finally:
            self._running.discard(activity.id)

    # --- bad days -----------------------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        if self._recovering:
            delivery = self._recovered(delivery)
        else:
            delivery.messages = [message for message in delivery.messages if self._arrives(message)]
        super().deliver(delivery)

    def _recovered(self, delivery: Delivery) -> Delivery:
        delay = self._dice.recovery_delay(self.limits.hidden)
        cut_off = self._interrupted
        late = Delivery(
            messages=[one for one in delivery.messages if one.id in cut_off.messages],
            activities=[one for one in delivery.activities if one.id in cut_off.activities],
        )
        if not delay or not (late.messages or late.activities):
            return delivery
        self._hold(delay, self._release(late))
        delivery.messages = [one for one in delivery.messages if one.id not in cut_off.messages]
        delivery.activities = [one for one in delivery.activities if one.id not in cut_off.activities]
        return delivery

    def _arrives(self, message: Message) -> bool:
        """Whether the message goes on at once; if not, it is held back or lost."""
        kind = message.payload.get("EventType")
        execution = self.store.get(message.instance_id)
        if execution is None or kind not in (EventType.EXECUTION_STARTED, EventType.EVENT_RAISED):
            return True
        pending = execution.status == "Pending" and not execution.continued
        if kind == EventType.EXECUTION_STARTED:
            delay = self._dice.start_delay() if pending else None
            if delay:
                self._hold(delay, self._release(Delivery(messages=[message])))
            return not delay
        if pending and self._dice.loses_event():
            self._lose(message)
            return False
        return self._is_in_turn(message)

    def _lose(self, message: Message) -> None:
        with self.store.transaction():
            self.store.delete_messages([message])
        self._log(
            "WARNING",
            f"Instance '{message.instance_id}' is Pending: event '{message.payload['Name']}' is accepted and lost.",
        )

    def _is_in_turn(self, message: Message) -> bool:
        earlier = self._overtaken.pop(message.instance_id, None)
        if earlier is not None:
            super().deliver(Delivery(messages=[message, earlier]))
            return False
        if self._dice.overtakes():
            self._overtaken[message.instance_id] = message
            self._hold(_OVERTAKEN_AFTER, self._give_up_waiting(message))
            return False
        return True

    def _hold(self, delay: timedelta, then: Callable[[], None]) -> None:
        when = self.clock.now() + delay
        task = asyncio.create_task(self._later(when, then), name="held back by a bad day")
        self._held[task] = when
        task.add_done_callback(lambda done: self._held.pop(done, None))

    async def _later(self, when: datetime, then: Callable[[], None]) -> None:
        await self.clock.sleep_until(when)
        then()

    def _release(self, delivery: Delivery) -> Callable[[], None]:
        return lambda: super(VirtualEngine, self).deliver(delivery)

    def _give_up_waiting(self, message: Message) -> Callable[[], None]:
        def go_on() -> None:
            if self._overtaken.get(message.instance_id) is message:
                del self._overtaken[message.instance_id]
                super(VirtualEngine, self).deliver(Delivery(messages=[message]))

        return go_on

    # --- forced replay ------------------------------------------------------------------------------------

    def _replayed(self, name: str, call: Callable[[str], Awaitable[str]]) -> Callable[[str], Awaitable[str]]:
        async def twice(body: str) -> str:
            first = await _outcome(call, body)
            second = await _outcome(call, _as_replay(body))
            if (difference := _difference(first, second)) is not None:
                problem = ReplayDiffers(
                    f"Orchestrator '{name}' is not deterministic: given the same history again, {difference}. "
                    "Take time and ids from the context, everything else from the input and from activities."
                )
                assert self._problems is not None  # noqa: S101 - else nothing is replayed
                self._problems.append(problem)
                raise UserCodeFailed(UserError("ReplayDiffers", str(problem), ""))
            if isinstance(first, UserCodeFailed):
                raise first
            return first

        return twice


class _EarlyTimers(TimerQueue):
    """Timers that are due a little before their time.

    One of less than a second is on time: no virtual time would pass in an orchestrator that waits for the rest of
    its time again and again.
    """

    def __init__(self, early: timedelta) -> None:
        super().__init__()
        self._early = early

    def next_due(self) -> datetime | None:
        if super().next_due() is None:
            return None
        first = self._heap[0]
        is_short = first.fire_at - first.created < _SHORTEST_EARLY
        return first.fire_at if is_short else first.fire_at - self._early


async def _outcome(call: Callable[[str], Awaitable[str]], body: str) -> str | UserCodeFailed:
    try:
        return await call(body)
    except UserCodeFailed as failure:
        return failure


def _as_replay(body: str) -> str:
    """The same request as the next episode would make it: all of it has been played."""
    request = json.loads(body)
    for event in request["history"]:
        event["IsPlayed"] = True
    request["isReplaying"] = True
    return dump(request)


def _difference(first: str | UserCodeFailed, second: str | UserCodeFailed) -> str | None:
    if isinstance(first, UserCodeFailed) or isinstance(second, UserCodeFailed):
        before, after = (
            one.error.message if isinstance(one, UserCodeFailed) else "no error" for one in (first, second)
        )
        return None if before == after else f"it raised {_cut(after)} instead of {_cut(before)}"
    if first == second:
        return None
    states: list[dict[str, Any]] = [json.loads(first), json.loads(second)]
    for key in _COMPARED:
        before, after = (dump(state.get(key)) for state in states)
        if before != after:
            return f"its {key} became {_cut(after)} instead of {_cut(before)}"
    return None


def _cut(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]}…"
