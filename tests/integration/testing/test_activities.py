"""Activities replaced, broken and slowed down for one test."""

from __future__ import annotations

from datetime import timedelta

import pytest

from devhost.testing import InstanceFailedError, NeverEndsError, TestHost


async def test_without_a_word_the_app_s_own_code_runs(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("pays", 7)
    assert await job.result() == 7
    assert functions_host.queue("receipts").take() == '{\n  "charged": 7\n}'


async def test_an_activity_returns_what_the_test_says(functions_host: TestHost) -> None:
    charge = functions_host.activity("charge").returns("paid")
    job = await functions_host.start_orchestration("pays", 7)
    assert await job.result() == "paid"
    assert charge.calls == [7]


async def test_one_that_raises_twice_is_retried_in_virtual_time(functions_host: TestHost) -> None:
    begun = functions_host.clock.now()
    charge = functions_host.activity("charge").raises(ConnectionError("down"), times=2).returns("paid")
    job = await functions_host.start_orchestration("pays", 7)
    assert await job.result() == "paid"
    assert (len(charge.calls), functions_host.clock.now() - begun) == (3, timedelta(seconds=10))


async def test_after_its_times_the_app_s_own_code_follows(functions_host: TestHost) -> None:
    functions_host.activity("charge").raises(ConnectionError("down"), times=1)
    job = await functions_host.start_orchestration("pays", 7)
    assert await job.result() == 7
    assert len(functions_host.queue("receipts").take_all()) == 1


async def test_one_that_raises_fails_the_instance_as_the_host_words_it(functions_host: TestHost) -> None:
    functions_host.activity("reserve").raises(ValueError("no such order"))
    job = await functions_host.start_orchestration("pays", 7)
    with pytest.raises(InstanceFailedError, match="Activity function 'reserve' failed:  ValueError: no such order"):
        await job.result()


async def test_a_slow_one_takes_virtual_time(functions_host: TestHost) -> None:
    begun = functions_host.clock.now()
    functions_host.activity("reserve").takes(timedelta(minutes=5)).runs(lambda order: order * 2)
    functions_host.activity("charge").returns("paid")
    job = await functions_host.start_orchestration("pays", 7)
    assert await job.result() == "paid"
    assert functions_host.clock.now() - begun == timedelta(minutes=5)


async def test_one_that_never_returns_meets_the_time_limit_of_the_host(functions_host: TestHost) -> None:
    functions_host.activity("reserve").never_returns()
    job = await functions_host.start_orchestration("pays", 7)
    with pytest.raises(NeverEndsError, match=r"activity 'reserve' \(activity 'reserve' never returns\)"):
        await job.end()
    await functions_host.advance(minutes=10)
    assert "FunctionTimeoutException" in str((await job.end()).output)


async def test_a_name_that_does_not_exist_is_an_error_at_once(functions_host: TestHost) -> None:
    with pytest.raises(LookupError, match="no activity 'chrage'; it has 'charge', 'reserve'"):
        functions_host.activity("chrage")
    with pytest.raises(LookupError, match="no orchestrator 'pay'; it has "):
        await functions_host.start_orchestration("pay")


async def test_numbers_that_make_no_sense_are_refused(functions_host: TestHost) -> None:
    with pytest.raises(ValueError, match="times must be 1 or more"):
        functions_host.activity("charge").returns(1, times=0)
    with pytest.raises(ValueError, match="not negative"):
        functions_host.activity("charge").takes(timedelta(seconds=-1))
