"""What the recordings of the management API leave out: which instances there were, and in which state.

A set-up is a generator that yields before each exchange of its case what the placeholders of that exchange stand
for. Nothing yielded means: the instance that was started last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

from tests.integration.devhost.golden_bench import Bench
from tests.integration.devhost.golden_notation import Given

Case = dict[str, Any]
SetUp = Callable[[Bench, Case], AsyncIterator[Given]]

HOUR = timedelta(hours=1)
ONE_THREAD = {"PYTHON_THREADPOOL_THREAD_COUNT": "1"}
OTHER_HUB = {"AzureFunctionsJobHost__extensions__durableTask__hubName": "HubH2c"}

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "start_new by the SDK: input arrives as a JSON string": ONE_THREAD,
    "starting an id that exists": ONE_THREAD,
    # These were added to the app after that case.
    "unknown orchestrator: accepted, then Failed": {
        f"AzureWebJobs.{name}.Disabled": "1" for name in ("cancs", "cantight", "slowfirst", "ver")
    },
    "starting an id that exists, overridableExistingInstanceStates AnyState": {
        **OTHER_HUB,
        "AzureFunctionsJobHost__extensions__durableTask__overridableExistingInstanceStates": "AnyState",
    },
    "start with a version, defaultVersion 1.0 in host.json": {
        **OTHER_HUB,
        "AzureFunctionsJobHost__extensions__durableTask__defaultVersion": "1.0",
    },
}


def text(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def nothing(bench: Bench, case: Case) -> AsyncIterator[Given]:
    for _ in case["exchange"]:
        yield Given(bench.last)


# --- 04: binding and rpc ------------------------------------------------------------------------------------


async def a_completed_one(bench: Bench, case: Case) -> AsyncIterator[Given]:
    answered = await bench.webhook("POST", "orchestrators/plain", {"a": 1})
    found = str(answered.json()["id"])
    await bench.reach(found, "Completed")
    for _ in case["exchange"]:
        yield Given(found)


# --- 05: starts ---------------------------------------------------------------------------------------------


async def first_pending(bench: Bench, _: Case) -> AsyncIterator[Given]:
    async with bench.held():
        yield Given()
        yield Given(bench.last)


async def ended_each_time(bench: Bench, case: Case) -> AsyncIterator[Given]:
    """The same ids come again: what has them has to have ended."""
    for exchange in case["exchange"]:
        yield Given()
        if exchange["response"]["status"] == 202:
            await bench.reach(bench.last, "Completed")


async def an_id_taken(bench: Bench, _: Case) -> AsyncIterator[Given]:
    await bench.start("waiter", "du1", 1, reach="Running")
    for _number in range(3):
        yield Given()
    await bench.reach("du1", "Suspended")
    for _number in range(3, 11):
        yield Given()
    async with bench.held():
        yield Given()
        yield Given()


async def any_state(bench: Bench, _: Case) -> AsyncIterator[Given]:
    await bench.start("waiter", "any1", reach="Running")
    yield Given()


# --- 05: status and events ----------------------------------------------------------------------------------


async def status_flags(bench: Bench, _: Case) -> AsyncIterator[Given]:
    chain = await bench.start("chain", reach="Completed")
    failed = await bench.start("actfail", reach="Failed")
    waiting = await bench.in_state("Running")
    for found, times in [(chain, 8), (failed, 3), (waiting, 5), (chain, 11)]:
        for _number in range(times):
            yield Given(found)


async def sdk_status_flags(bench: Bench, _: Case) -> AsyncIterator[Given]:
    chain = await bench.start("chain", reach="Completed")
    yield Given(chain)
    yield Given(chain)
    yield Given(await bench.start("actfail", reach="Failed"))
    yield Given(await bench.in_state("Running"))


async def a_waiter_each(bench: Bench, case: Case) -> AsyncIterator[Given]:
    for _ in case["exchange"]:
        yield Given(await bench.start("waiter", reach="Running"))


async def state_before_each(bench: Bench, case: Case) -> AsyncIterator[Given]:
    for exchange in case["exchange"]:
        yield Given(await bench.in_state(exchange["state_before"]))


async def sdk_on_every_state(bench: Bench, _: Case) -> AsyncIterator[Given]:
    states = ["Running", "Suspended", *["Completed"] * 5, *["Failed"] * 4, *["Terminated"] * 5]
    for state in [*states, "Completed", "Completed", "Running"]:
        yield Given(await bench.in_state(state))


async def one_to_purge(bench: Bench, _: Case) -> AsyncIterator[Given]:
    for state in ["Running", "Suspended", "Completed", "Failed", "Terminated", "Completed"]:
        found = await bench.in_state(state)
        yield Given(found)
        yield Given(found)


# --- 05: lists ----------------------------------------------------------------------------------------------


async def pages(bench: Bench) -> None:
    """105 instances pg-000 .. pg-104."""
    await _start_all(bench, [("plain", f"pg-{number:03d}", 1) for number in range(105)], "Completed")


async def letters(bench: Bench) -> None:
    """Seven instances lp-.., whose order by id is not that of a dictionary."""
    await _start_all(bench, [("plain", f"lp-{one}", {"k": 1}) for one in ("1", "C", "_", "a", "b")], "Completed")
    await bench.in_state("Failed", "lp-fail")
    await bench.in_state("Running", "lp-run")


async def crowd(bench: Bench, failed: int, waiting: int, ended: int) -> None:
    """What else there was, under ids as the host makes them: `parentcatch` first (its child is one more that has
    failed), then `plain`, and so on."""
    await bench.start("parentcatch", f"{0:032x}", {"name": "actfail"}, reach="Completed")
    kinds = ["plain"] * ended + ["genraise"] * failed + ["waitcs"] * waiting
    status = {"plain": "Completed", "genraise": "Failed", "waitcs": "Running"}
    for kind, reached in status.items():
        numbers = [number for number, one in enumerate(kinds, 1) if one == kind]
        await _start_all(bench, [(kind, f"{number:032x}", None) for number in numbers], reached)


async def _start_all(bench: Bench, wanted: list[tuple[str, str, Any]], status: str) -> None:
    await asyncio.gather(*(bench.start(name, one, data) for name, one, data in wanted))
    for _name, one, _data in wanted:
        await bench.reach(one, status)


async def paging(bench: Bench, case: Case) -> AsyncIterator[Given]:
    await crowd(bench, 0, 0, 100)
    await pages(bench)
    async for given in nothing(bench, case):
        yield given


async def filters(bench: Bench, case: Case) -> AsyncIterator[Given]:
    await crowd(bench, 0, 0, 3)
    await letters(bench)
    await bench.start("entcall", reach="Completed")
    await bench.start("plain", "@x", 1, reach="Completed")
    past, future = text(bench.clock.now() - HOUR), text(bench.clock.now() + HOUR)
    times = {11: past, 12: past, 13: future}
    for number, _ in enumerate(case["exchange"]):
        yield Given(times=(times.get(number, ""),))


async def sdk_lists(bench: Bench, _: Case) -> AsyncIterator[Given]:
    past = text(bench.clock.now() - HOUR)
    await crowd(bench, failed=47, waiting=33, ended=20)
    between = text(bench.clock.now())
    await letters(bench)
    await pages(bench)
    yield Given()
    yield Given(times=(past, text(bench.clock.now() + HOUR)))
    yield Given(times=(between,))


async def show_input(bench: Bench, _: Case) -> AsyncIterator[Given]:
    for one in (f"{0:032x}", f"{1:032x}"):
        await bench.start("waiter", one, reach="Running")
        await bench.operate(one, "raiseEvent/go", 1)
        await bench.reach(one, "Completed")
    await bench.start("plain", "si-1", {"k": 1}, reach="Completed")
    yield Given()


# --- 05: purge ----------------------------------------------------------------------------------------------


async def empty_windows(bench: Bench, case: Case) -> AsyncIterator[Given]:
    await bench.in_state("Completed")
    future, later = text(bench.clock.now() + HOUR), text(bench.clock.now() + 2 * HOUR)
    for _ in case["exchange"]:
        yield Given(times=(future, later))


async def six(bench: Bench, prefix: str) -> Given:
    """2 Completed, 1 each Failed, Running, Terminated, Suspended; the window that they were made in."""
    past = text(bench.clock.now() - HOUR)
    states = {"c1": "Completed", "c2": "Completed", "f": "Failed", "r": "Running", "s": "Suspended", "t": "Terminated"}
    for name, state in states.items():
        await bench.in_state(state, f"{prefix}-{name}")
    return Given(times=(past, text(bench.clock.now() + HOUR)))


async def purge_not_honoured(bench: Bench, _: Case) -> AsyncIterator[Given]:
    window = await six(bench, "zz")
    for _number in range(3):
        yield window
    for _number in range(2):
        await bench.in_state("Running", "zz-r")
        yield window


async def purge_honoured(bench: Bench, case: Case) -> AsyncIterator[Given]:
    window = await six(bench, "zy")
    for _ in case["exchange"]:
        yield window


# --- 05: entities -------------------------------------------------------------------------------------------


async def counter(bench: Bench, _: Case) -> AsyncIterator[Given]:
    await bench.start("entcall", reach="Completed")
    yield Given(bench.last)
    yield Given(bench.last)


async def entities(bench: Bench, _: Case) -> AsyncIterator[Given]:
    await bench.start("entcall", reach="Completed")
    for _number in range(18):
        yield Given()
    await bench.sdk({"op": "signal_entity", "args": [{"__ent__": ["Counter", "s1"]}, "add", 3]})
    await bench.entity("counter", "s1", "3")


SET_UPS: dict[str, SetUp] = {
    "the local rpc endpoint": a_completed_one,
    "keys on the webhook": a_completed_one,
    "start_new by the SDK: input arrives as a JSON string": first_pending,
    "unusual instance ids: all taken": ended_each_time,
    "starting an id that exists": an_id_taken,
    "starting an id that exists, overridableExistingInstanceStates AnyState": any_state,
    "status: flags, Running, Failed, missing": status_flags,
    "SDK get_status flags": sdk_status_flags,
    "raiseEvent: content types, bodies, names": a_waiter_each,
    "SDK raise_event: every datum arrives as str": a_waiter_each,
    "operations on every state": state_before_each,
    "the same with the SDK": sdk_on_every_state,
    "purge one instance": one_to_purge,
    "list: paging": paging,
    "list: filters": filters,
    "SDK get_status_all and get_status_by": sdk_lists,
    "showInput": show_input,
    "purge by filter": empty_windows,
    "purge by filter: runtimeStatus and window": purge_not_honoured,
    "purge by filter: honoured statuses": purge_honoured,
    "status of a list entry: entity and child rows": counter,
    "entities": entities,
}
