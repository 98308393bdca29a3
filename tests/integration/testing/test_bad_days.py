"""The live host's bad days, each on request."""

from __future__ import annotations

from datetime import timedelta

import pytest

from devhost.testing import BadDays, NeverEndsError, TestHost

SECOND = timedelta(seconds=1)


async def test_on_a_good_day_an_event_to_a_pending_instance_arrives(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("waits")
    await job.raise_event("Approval", "Olena")
    assert await job.result() == "Olena"


@pytest.mark.functions_host(bad_days=BadDays(lose_events_to_pending=True, late_starts=2 * SECOND), leftovers="ignore")
async def test_an_event_to_a_pending_instance_is_accepted_and_lost(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("waits")
    answer = await functions_host.request(
        "POST", f"/runtime/webhooks/durabletask/instances/{job.id}/raiseEvent/Approval", json="Olena"
    )
    assert (answer.status, job.status) == (202, "Pending")
    with pytest.raises(NeverEndsError, match="event 'Approval'"):
        await job.end()
    await job.raise_event("Approval", "Olena")
    assert await job.result() == "Olena"


@pytest.mark.functions_host(bad_days=BadDays(late_starts=3 * SECOND))
async def test_a_start_comes_late(functions_host: TestHost) -> None:
    begun = functions_host.clock.now()
    job = await functions_host.start_orchestration("pays", 1)
    functions_host.activity("charge").returns("paid")
    await functions_host.advance(seconds=2)
    assert job.status == "Pending"
    await job.result()
    assert functions_host.clock.now() - begun == 3 * SECOND


@pytest.mark.functions_host(bad_days=BadDays(early_timers=timedelta(seconds=0.9)))
async def test_a_timer_fires_early(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("clock_watcher")
    assert await job.result() == pytest.approx(59.1)


@pytest.mark.functions_host(bad_days=BadDays(duplicate_messages=True), leftovers="ignore")
async def test_a_queue_message_comes_twice(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("waits")
    await functions_host.settle()
    functions_host.queue("approvals").put({"id": job.id, "by": "Olena"})
    await job.result()
    await functions_host.settle()
    runs = [line.text for line in functions_host.log if "Executing 'Functions.approve'" in line.text]
    functions_host.queue("approvals-poison").take_all()
    assert len(runs) >= 2


@pytest.mark.functions_host(bad_days=BadDays(unordered_events=True))
async def test_the_later_of_two_events_comes_first(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("two_events")
    await functions_host.settle()
    await job.raise_event("Note", "first")
    await job.raise_event("Note", "second")
    assert await job.result() == ['"second"', '"first"']


@pytest.mark.functions_host(bad_days=BadDays(unordered_events=True))
async def test_an_event_that_nothing_overtakes_comes_a_second_later(functions_host: TestHost) -> None:
    begun = functions_host.clock.now()
    job = await functions_host.start_orchestration("waits")
    await functions_host.settle()
    await job.raise_event("Approval", "Olena")
    assert await job.result() == "Olena"
    assert functions_host.clock.now() - begun == SECOND


@pytest.mark.parametrize("seed", range(5))
async def test_the_same_seed_gives_the_same_days(seed: int, functions_app: str) -> None:
    async def days() -> list[float]:
        async with TestHost(functions_app, bad_days=BadDays(mix=seed)) as host:
            begun, ends = host.clock.now(), []
            for _ in range(10):
                job = await host.start_orchestration("clock_watcher")
                await job.result()
                ends.append((host.clock.now() - begun).total_seconds())
            return ends

    first = await days()
    assert first == await days()
    assert len(set(first)) == 10


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="less than a second"):
        BadDays(early_timers=SECOND)
    with pytest.raises(ValueError, match="late_starts must not be negative"):
        BadDays(late_starts=-SECOND)
