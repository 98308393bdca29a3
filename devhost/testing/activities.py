"""An activity of the app replaced or broken for one test."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from devhost.host import Host
from devhost.testing.clock import VirtualClock

_FOR_EVER: Final = datetime.max.replace(tzinfo=UTC)


class Activity:
    """One activity function. What is asked of it here holds for this test, also after a kill and a new start.

    Behaviours are used in the order in which they were given; the last one stays, and one with `times` is used up
    first: `raises(ConnectionError("down"), times=2).returns("paid")` fails twice and then succeeds. With `times` and
    nothing after it, the app's own code follows. `calls` holds the inputs of all runs so far.
    """

    def __init__(self, name: str, clock: VirtualClock) -> None:
        self.name = name
        self.calls: list[Any] = []
        self.naps: list[datetime] = []
        self._clock = clock
        self._steps: list[tuple[Callable[[Any], Any] | None, int | None]] = []
        self._delay = timedelta(0)

    def returns(self, value: Any, *, times: int | None = None) -> Self:
        """Return `value` instead of running."""
        return self._then(lambda _: value, times)

    def raises(self, error: BaseException, *, times: int | None = None) -> Self:
        """Raise `error` instead of running."""

        def fail(_: Any) -> Any:
            raise error

        return self._then(fail, times)

    def runs(self, call: Callable[[Any], Any], *, times: int | None = None) -> Self:
        """Run `call` (plain or async) with the activity's input instead of the app's function."""
        return self._then(call, times)

    def takes(self, delay: timedelta) -> Self:
        """Take this long, in virtual time, before doing what it does."""
        if delay < timedelta(0):
            raise ValueError(f"An activity can't take {delay}: give a time that is not negative.")
        self._delay = delay
        return self

    def never_returns(self) -> Self:
        """Run for ever; what ends it is the `functionTimeout` of host.json, if time moves that far."""
        self._delay = timedelta.max
        return self

    def restore(self) -> Self:
        """Be the app's own code again, at once."""
        self._steps, self._delay = [], timedelta(0)
        return self

    def hangs(self) -> bool:
        return self._delay == timedelta.max

    def next_due(self) -> datetime | None:
        """When a slow run of it goes on."""
        return min(self.naps, default=None)

    def _then(self, call: Callable[[Any], Any], times: int | None) -> Self:
        if times is not None and times < 1:
            raise ValueError(f"times must be 1 or more, not {times}.")
        # A lasting behaviour replaces the lasting one before it; what is to be used up first stays in front.
        self._steps = [step for step in self._steps if step[1] is not None]
        self._steps.append((call, times))
        return self

    # --- in the host --------------------------------------------------------------------------------------

    def install(self, host: Host) -> None:
        """Stand before the app's function in a host that is loaded and does not run yet."""
        function = next(one for one in host.index.by_trigger("activityTrigger") if one.name == self.name)
        parameter = function.trigger["name"]

        async def run(arguments: dict[str, Any], original: Callable[[], Awaitable[Any]]) -> Any:
            return await self._run(arguments[parameter], original)

        host.invoker.replace(function, run)

    async def _run(self, given: Any, original: Callable[[], Awaitable[Any]]) -> Any:
        self.calls.append(given)
        step = self._next_step()
        await self._nap()
        if step is None:
            return await original()
        result = step(given)
        return await result if inspect.isawaitable(result) else result

    def _next_step(self) -> Callable[[Any], Any] | None:
        if not self._steps:
            return None
        call, times = self._steps[0]
        if times is not None:
            self._steps[0] = (call, times - 1)
            if times == 1:
                del self._steps[0]
        return call

    async def _nap(self) -> None:
        if not self._delay:
            return
        if self.hangs():
            await self._clock.sleep_until(_FOR_EVER)
        due = self._clock.now() + self._delay
        self.naps.append(due)
        try:
            await self._clock.sleep_until(due)
        finally:
            self.naps.remove(due)
