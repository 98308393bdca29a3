"""Time in a test: it stands still, is moved, or is skipped while a result is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devhost.testing import NeverEndsError, TestHost

KIT_APP = Path(__file__).parent / "kit_app"
EXPENSES = Path(__file__).parents[2] / "apps" / "human_interaction"
FIVE_DAYS = 5 * 86400
NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)


@pytest.fixture
async def expenses() -> AsyncIterator[TestHost]:
    async with TestHost(EXPENSES, now=NOW) as host:
        yield host


@pytest.fixture
async def kit() -> AsyncIterator[TestHost]:
    async with TestHost(KIT_APP, now=NOW, leftovers="ignore") as host:
        yield host


async def test_a_five_day_timer_fires_while_the_result_is_awaited(expenses: TestHost) -> None:
    job = await expenses.start_orchestration("expense", {"amount": 80, "seconds": FIVE_DAYS})
    assert await job.result() == "escalated: nobody decided about 80"
    assert expenses.clock.now() - NOW == timedelta(days=5)


async def test_time_stands_still_until_it_is_moved(expenses: TestHost) -> None:
    job = await expenses.start_orchestration("expense", {"amount": 80, "seconds": 60})
    await expenses.settle()
    assert (job.status, job.custom_status, expenses.clock.now()) == ("Running", "waiting for a decision", NOW)
    await expenses.advance(seconds=59)
    assert job.status == "Running"
    await expenses.advance(timedelta(seconds=1))
    assert job.status == "Completed"


async def test_an_event_by_the_sdk_and_one_over_http(expenses: TestHost) -> None:
    first = await expenses.start_orchestration("expense", {"amount": 1, "seconds": 60})
    answer = await expenses.request("POST", "/api/expenses", json={"amount": 2, "seconds": 60})
    second = expenses.instance(answer.json()["id"])
    await expenses.settle()
    await first.raise_event("Decision", "approve")
    assert (await expenses.request("POST", f"/api/expenses/{second.id}/decision", data="refuse")).status == 202
    assert [await first.result(), await second.result()] == ["paid", "refused"]
    assert expenses.clock.now() == NOW


async def test_many_are_awaited_at_once(expenses: TestHost) -> None:
    jobs = [await expenses.start_orchestration("expense", {"amount": n, "seconds": 60 + n}) for n in range(50)]
    results = await asyncio.gather(*(job.result() for job in jobs))
    assert results == [f"escalated: nobody decided about {n}" for n in range(50)]


async def test_a_queue_message_comes_to_its_function_without_storage_or_polling(kit: TestHost) -> None:
    job = await kit.start_orchestration("waits")
    await kit.settle()
    kit.queue("approvals").put({"id": job.id, "by": "Olena"})
    assert await job.result() == "Olena"
    assert kit.queue("approvals").messages() == []


async def test_what_can_not_end_by_itself_says_at_once_what_it_waits_for(kit: TestHost) -> None:
    job = await kit.start_orchestration("waits")
    with pytest.raises(NeverEndsError, match=r"\(waits\) does not end by itself: it waits for event 'Approval'"):
        await job.result()
    assert kit.clock.now() == NOW


async def test_an_await_has_a_limit_in_virtual_time(kit: TestHost) -> None:
    job = await kit.start_orchestration("race")
    with pytest.raises(NeverEndsError, match=r"event 'Approval', a timer due 2026-03-01 00:31:00 UTC"):
        await job.end(within=timedelta(seconds=30))


async def test_schedules_run_when_time_moves_over_them(kit: TestHost) -> None:
    await kit.advance(hours=3)
    runs = [line.text for line in kit.log if "Executed 'Functions.every_hour' (Succeeded" in line.text]
    assert len(runs) == 3


async def test_work_that_really_waits_is_named(kit: TestHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devhost.testing.host.PATIENCE_SECONDS", 0.05)
    blocked = asyncio.Event()
    kit.activity("reserve").runs(lambda _: blocked.wait())
    await kit.start_orchestration("pays", 1)
    with pytest.raises(TimeoutError, match="this still runs: reserve"):
        await kit.settle()
    blocked.set()


def test_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        TestHost(KIT_APP, now=datetime(2026, 1, 1))  # noqa: DTZ001
