"""Activities replaced, broken or slowed down for one test."""

from datetime import timedelta

import pytest

from devhost.testing import InstanceFailedError, NeverEndsError, TestHost
from tests.documents import ROOT

pytestmark = pytest.mark.functions_host(app_dir=ROOT / "tests/examples/shop")


# [example: replaced]
async def test_what_is_charged_is_printed(functions_host: TestHost) -> None:
    charge = functions_host.activity("charge").returns("paid by voucher")
    order = await functions_host.start_orchestration("order", {"sku": 7})
    assert await order.result() == "[paid by voucher]"
    assert charge.calls == [{"sku": 7}]


# [end]


# [example: broken]
async def test_the_bank_is_down_twice(functions_host: TestHost) -> None:
    begun = functions_host.clock.now()
    charge = functions_host.activity("charge").raises(ConnectionError("bank is down"), times=2)
    order = await functions_host.start_orchestration("order", {"sku": 7})
    assert await order.result() == "[receipt for 7]"
    assert len(charge.calls) == 3
    assert functions_host.clock.now() - begun == timedelta(minutes=2)


async def test_the_bank_stays_down(functions_host: TestHost) -> None:
    functions_host.activity("charge").raises(ConnectionError("bank is down"))
    order = await functions_host.start_orchestration("order", {"sku": 7})
    with pytest.raises(InstanceFailedError, match="ConnectionError: bank is down"):
        await order.result()


# [end]


# [example: slow]
async def test_a_slow_bank(functions_host: TestHost) -> None:
    functions_host.activity("charge").takes(timedelta(minutes=3))
    order = await functions_host.start_orchestration("order", {"sku": 7})
    await functions_host.advance(minutes=2)
    assert order.status == "Running"
    assert await order.result() == "[receipt for 7]"


@pytest.mark.functions_host(leftovers="ignore")
async def test_a_bank_that_never_answers(functions_host: TestHost) -> None:
    functions_host.activity("charge").never_returns()
    order = await functions_host.start_orchestration("order", {"sku": 7})
    with pytest.raises(NeverEndsError, match="activity 'charge' never returns"):
        await order.result()


# [end]
