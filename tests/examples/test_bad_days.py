"""What a live host does now and then, on request."""

from datetime import timedelta

import pytest

from devhost.testing import BadDays, TestHost
from tests.documents import ROOT

EXPENSES = ROOT / "tests" / "apps" / "human_interaction"
PARCELS = ROOT / "tests" / "apps" / "all_triggers"
PRINTER = ROOT / "tests" / "apps" / "monitor"
HEADLINES = ROOT / "tests" / "apps" / "function_chaining"


# [example: lost event]
LATE_AND_LOSSY = BadDays(late_starts=timedelta(seconds=2), lose_events_to_pending=True)


@pytest.mark.functions_host(app_dir=EXPENSES, bad_days=LATE_AND_LOSSY)
async def test_a_decision_that_comes_too_soon_is_lost(functions_host: TestHost) -> None:
    claim = await functions_host.start_orchestration("expense", {"amount": 80, "seconds": 60})
    answer = await functions_host.request("POST", f"/api/expenses/{claim.id}/decision", data="approve")
    assert answer.status == 202
    assert await claim.result() == "escalated: nobody decided about 80"


# [end]


# [example: unordered]
@pytest.mark.functions_host(app_dir=EXPENSES, bad_days=BadDays(unordered_events=True))
async def test_a_second_thought_overtakes_the_first(functions_host: TestHost) -> None:
    claim = await functions_host.start_orchestration("expense", {"amount": 80, "seconds": 60})
    await functions_host.settle()
    await claim.raise_event("Decision", "approve")
    await claim.raise_event("Decision", "refuse")
    assert await claim.result() == "refused"


# [end]


# [example: duplicate]
@pytest.mark.functions_host(app_dir=PARCELS, bad_days=BadDays(duplicate_messages=True))
async def test_a_message_that_comes_twice_ends_as_poison(functions_host: TestHost) -> None:
    deliver = functions_host.activity("deliver").takes(timedelta(minutes=1))
    functions_host.queue("parcels").put({"number": "p1", "to": "Odesa"})
    assert await functions_host.instance("p1").result() == "delivered to Odesa"
    assert deliver.calls == ["Odesa"]
    # `start_new` refused the second message each time: p1 was Running.
    assert functions_host.queue("parcels-poison").take_all() == ['{"number": "p1", "to": "Odesa"}']
    assert functions_host.queue("receipts").take_all() == ["receipt for p1"]
    functions_host.queue("openings").take_all()


# [end]


# [example: early]
@pytest.mark.functions_host(app_dir=PRINTER, bad_days=BadDays(early_timers=timedelta(milliseconds=900)))
async def test_a_monitor_looks_more_often_than_planned(functions_host: TestHost) -> None:
    monitor = await functions_host.start_orchestration("monitor", {"job": "a", "every": 60, "for": 600})
    assert await monitor.result() == "expired"
    assert monitor.custom_status["looks"] > 10


# [end]


# [example: slow recovery]
@pytest.mark.functions_host(app_dir=HEADLINES, bad_days=BadDays(slow_recovery=timedelta(minutes=5)))
async def test_a_crash_costs_five_minutes(functions_host: TestHost) -> None:
    title = functions_host.activity("title").takes(timedelta(seconds=30))
    headline = await functions_host.start_orchestration("headline", "honey")
    await functions_host.settle()
    crash = functions_host.clock.now()
    await functions_host.kill()
    await functions_host.start()
    assert await headline.result() == "*** Honey ***"
    assert title.calls == ["honey", "honey"]
    assert functions_host.clock.now() - crash == timedelta(minutes=5, seconds=30)


# [end]


# [example: mix]
@pytest.mark.parametrize("seed", range(20))
async def test_a_decision_that_waits_for_the_start_always_counts(seed: int) -> None:
    async with TestHost(EXPENSES, bad_days=BadDays(mix=seed)) as host:
        claim = await host.start_orchestration("expense", {"amount": 80, "seconds": 60})
        while claim.status == "Pending":
            await host.advance(seconds=1)
        await claim.raise_event("Decision", "approve")
        assert await claim.result() == "paid"


# [end]
