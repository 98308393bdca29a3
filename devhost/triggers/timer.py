"""Timer triggers.

Deviation from the live host: the status of a timer lies in devhost's own state folder (`timers.json`), not
in the blob container `azure-webjobs-hosts`, so that timers need no storage account; and there is no
singleton lock, because one devhost is all the hosts there are.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from azure.functions.meta import Datum

from devhost.context import RetryContext
from devhost.invoke import FunctionFailed
from devhost.triggers.ncrontab import Schedule, local_zone, parse
from devhost.triggers.retries import RetryPolicy
from devhost.triggers.timer_status import NEVER, TimerStatus, TimerStatuses
from devhost.triggers.timestamps import local_and_utc, round_trip

if TYPE_CHECKING:
    from devhost.clock import Clock
    from devhost.functions import AppIndex, Function
    from devhost.invoke import Invoker
    from devhost.settings import HostSettings

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=30)
_SHOWN_OCCURRENCES = 5


class TimerTriggers:
    """Runs every `timerTrigger` function by its schedule.

    `state` is the folder for what outlives the process; without one no missed occurrence is noticed.
    """

    def __init__(
        self, settings: HostSettings, index: AppIndex, invoker: Invoker, clock: Clock, state: Path | None
    ) -> None:
        self._settings = settings
        self._index = index
        self._invoker = invoker
        self._clock = clock
        self._statuses = TimerStatuses(state)
        self._timers: list[Timer] = []

    async def start(self) -> None:
        """Begin to wait; a missed occurrence or `runOnStartup` gives one run at once.

        Raises ValueError for a time zone or schedule that can't be read, UnresolvedSetting for `%NAME%`.
        """
        self._statuses.load()
        zone = local_zone(self._settings.environment)
        for function in self._index.by_trigger("timerTrigger"):
            schedule = parse(self._settings.resolve(function.trigger["schedule"]), zone)
            timer = Timer(function, schedule, zone, invoker=self._invoker, clock=self._clock, statuses=self._statuses)
            self._timers.append(timer)
            timer.start()

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Start no more runs and wait for those that go on, at most `grace`; what is cut then is logged."""
        timers, self._timers = self._timers, []
        await asyncio.gather(*(timer.stop(grace) for timer in timers))


class Timer:
    """One function's schedule. Runs never overlap; one that lasts past its next turn is followed at once."""

    def __init__(
        self,
        function: Function,
        schedule: Schedule,
        zone: tzinfo,
        *,
        invoker: Invoker,
        clock: Clock,
        statuses: TimerStatuses,
    ) -> None:
        self._function = function
        self._schedule = schedule
        self._zone = zone
        self._invoker = invoker
        self._clock = clock
        self._statuses = statuses
        self._monitored = False
        self._retries: RetryPolicy | None = None
        self._running = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Work out the first occurrence, say so in the log, and begin to wait for it."""
        now = self._clock.now()
        first = self._schedule.next_after(now)
        if first is None:
            log.warning("'%s' never runs: its schedule has no occurrence.", self._function.name)
            return
        trigger = self._function.trigger
        self._retries = self._read_retries()
        self._monitored = trigger.get("useMonitor") is not False and self._schedule.monitored_at(now)
        status = self._restored(TimerStatus(last=NEVER, next=first, last_updated=NEVER), now)
        self._log_occurrences(now)
        past_due = status.next < now
        details: str | None
        if past_due:
            details = f"UnscheduledInvocationReason: IsPastDue, OriginalSchedule: {self._shown(status.next)}"
        else:
            details = "UnscheduledInvocationReason: RunOnStartup" if trigger.get("runOnStartup") else None
        self._task = asyncio.create_task(self._keep_time(status, past_due, details), name=self._function.name)

    async def stop(self, grace: timedelta) -> None:
        if self._task is None:
            return
        self._stopping = True
        if self._running:
            waiting = asyncio.create_task(self._clock.sleep_until(self._clock.now() + grace))
            await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not self._task.done():
                log.warning("'%s' still ran %s after the stop; it was cut off.", self._function.name, grace)
        self._task.cancel()
        await asyncio.wait({self._task})

    def _restored(self, fresh: TimerStatus, now: datetime) -> TimerStatus:
        if not self._monitored:
            return fresh
        stored = self._statuses.get(self._function.name)
        if stored is None:
            # Written before the first run: an occurrence missed from now on is known at the next start.
            self._statuses.put(self._function.name, TimerStatus(NEVER, fresh.next, last_updated=now))
            return fresh
        status = stored.brought_up_to_date(self._schedule, now) or fresh
        if status != stored:
            self._statuses.put(self._function.name, status)
        return status

    def _shown(self, moment: datetime) -> str:
        return round_trip(moment.astimezone(self._zone))

    def _log_occurrences(self, now: datetime) -> None:
        lines, moment = [], now
        for _ in range(_SHOWN_OCCURRENCES):
            occurrence = self._schedule.next_after(moment)
            if occurrence is None:
                break
            moment = occurrence
            lines.append(local_and_utc(occurrence.astimezone(self._zone)))
        log.info(
            "The next %s occurrences of the '%s' schedule (%s) will be:\n%s",
            _SHOWN_OCCURRENCES, self._function.name, self._schedule.describe(), "\n".join(lines),
        )  # fmt: skip

    async def _keep_time(self, status: TimerStatus, past_due: bool, details: str | None) -> None:
        unplanned = past_due or details is not None
        while True:
            if not unplanned:
                await self._clock.sleep_until(status.next)
            fired = self._clock.now()
            self._running = True
            await self._run(status, past_due, details, fired)
            self._running = unplanned = past_due = False
            details = None
            following = self._schedule.next_after(fired)
            if following is None:
                log.warning("'%s' has run for the last time: no occurrence is left.", self._function.name)
                return
            status = TimerStatus(last=fired, next=following, last_updated=fired)
            # Kept after the run, not before: a run that a crash cuts is past due at the next start.
            if self._monitored:
                self._statuses.put(self._function.name, status)
            if self._stopping:
                return

    async def _run(self, status: TimerStatus, past_due: bool, details: str | None, fired: datetime) -> None:
        information = {
            "Schedule": {"AdjustForDST": self._schedule.adjusts_for_dst},
            "ScheduleStatus": status.to_json(self._zone) if self._monitored else None,
            "IsPastDue": past_due,
        }
        reason = f"Timer fired at {self._shown(fired)}"
        trigger = Datum(json.dumps(information), "json")
        retry = 0
        while not await self._succeeds(trigger, reason, details, retry):
            retry += 1
            if self._retries is None or not self._retries.allows(retry) or self._stopping:
                return  # the invoker has logged it; the schedule goes on
            await self._clock.sleep_until(self._clock.now() + self._retries.delay(retry))

    async def _succeeds(self, trigger: Datum, reason: str, details: str | None, retry: int) -> bool:
        most = self._retries.most if self._retries else 0
        try:
            await self._invoker.invoke(
                self._function, trigger, reason=reason, details=details, retry=RetryContext(retry, most)
            )
        except FunctionFailed:
            return False
        return True

    def _read_retries(self) -> RetryPolicy | None:
        try:
            return RetryPolicy.of(self._function.retry_policy)
        except ValueError as problem:
            log.error("'%s' runs without retries: its retry policy can't be used: %s.", self._function.name, problem)
            return None
