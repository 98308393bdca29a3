"""Time stands still until the test moves it, or skips while a result is awaited."""

from datetime import UTC, datetime, timedelta

import pytest

from devhost.testing import TestHost
from tests.documents import ROOT

FIVE_DAYS = 5 * 86400

pytestmark = pytest.mark.functions_host(app_dir=ROOT / "tests/apps/human_interaction")


# [example: five days]
async def test_nobody_decides_for_five_days(functions_host: TestHost) -> None:
    begun = functions_host.clock.now()
    claim = await functions_host.start_orchestration("expense", {"amount": 80, "seconds": FIVE_DAYS})
    assert await claim.result() == "escalated: nobody decided about 80"
    assert functions_host.clock.now() - begun == timedelta(days=5)


# [end]


# [example: advance]
async def test_the_deadline_is_kept_to_the_second(functions_host: TestHost) -> None:
    claim = await functions_host.start_orchestration("expense", {"amount": 80, "seconds": 60})
    await functions_host.settle()
    assert claim.custom_status == "waiting for a decision"
    await functions_host.advance(seconds=59)
    assert claim.status == "Running"
    await functions_host.advance(seconds=1)
    assert claim.status == "Completed"


# [end]


# [example: schedule]
@pytest.mark.functions_host(app_dir=ROOT / "tests/apps/all_triggers", now=datetime(2026, 3, 1, 2, 0, tzinfo=UTC))
async def test_the_office_opens_at_three(functions_host: TestHost) -> None:
    await functions_host.settle()
    assert functions_host.queue("openings").take_all() == ["in time"]  # it has run_on_startup
    await functions_host.advance(hours=1)
    assert functions_host.queue("openings").take_all() == ["in time"]


# [end]
