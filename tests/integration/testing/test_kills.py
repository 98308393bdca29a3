"""Killed between two commits and started again on the same state."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest

from devhost.testing import BadDays, TestHost


async def test_a_host_that_was_killed_goes_on_where_it_was(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("race")
    await functions_host.settle()
    await functions_host.kill()
    await functions_host.start()
    assert job.status == "Running"
    await job.raise_event("Approval", "yes")
    assert await job.result() == "approved"


async def test_at_whatever_commit_it_dies_the_instance_comes_to_its_result(functions_host: TestHost) -> None:
    charge, runs = functions_host.activity("charge"), []
    for commit in range(1, 20):
        job = await functions_host.start_orchestration("pays", commit)
        functions_host.kill_at_commit(commit)
        assert await job.result() == commit
        runs.append(charge.calls.count(commit))
        if functions_host.deaths < commit:
            break
    functions_host.queue("receipts").take_all()
    assert functions_host.deaths >= 4, "one for each activity and each episode"
    assert max(runs) == 2, "the charge whose result was not committed ran again: at least once, not exactly once"


async def test_a_start_that_is_not_committed_was_never_answered(functions_host: TestHost) -> None:
    functions_host.kill_at_commit(1)
    with pytest.raises(aiohttp.ClientError):
        await functions_host.start_orchestration("pays", 1)
    await functions_host.settle()
    assert (functions_host.deaths, functions_host.instances()) == (1, [])


@pytest.mark.functions_host(bad_days=BadDays(slow_recovery=timedelta(minutes=5)))
async def test_an_interrupted_activity_runs_again_only_after_five_minutes(functions_host: TestHost) -> None:
    charge = functions_host.activity("charge").takes(timedelta(seconds=30)).returns("paid")
    job = await functions_host.start_orchestration("pays", 7)
    await functions_host.advance(seconds=10)
    begun = functions_host.clock.now()
    await functions_host.kill()
    await functions_host.start()
    assert await job.result() == "paid"
    assert (len(charge.calls), functions_host.clock.now() - begun) == (2, timedelta(minutes=5, seconds=30))


async def test_what_was_replaced_stays_so_after_a_kill(functions_host: TestHost) -> None:
    functions_host.activity("charge").returns("paid")
    await functions_host.kill()
    await functions_host.start()
    job = await functions_host.start_orchestration("pays", 7)
    assert await job.result() == "paid"


async def test_a_host_that_does_not_run_says_so(functions_host: TestHost) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        await functions_host.start()
    await functions_host.kill()
    with pytest.raises(RuntimeError, match="does not run"):
        await functions_host.settle()
    await functions_host.start()
