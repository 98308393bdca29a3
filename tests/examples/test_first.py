"""A first test: start an orchestration, await its result, look at what it did."""

import pytest

from devhost.testing import TestHost
from tests.documents import ROOT

pytestmark = pytest.mark.functions_host(app_dir=ROOT / "tests/apps/function_chaining")


# [example: result]
async def test_a_headline_is_made_in_three_steps(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("headline", "  jar   of honey ")
    assert await job.result() == "*** Jar Of Honey ***"


# [end]


# [example: client]
async def test_what_the_sdk_tells_of_it(functions_host: TestHost) -> None:
    job = await functions_host.start_orchestration("headline", "honey", instance_id="h-1")
    await job.end()
    status = await functions_host.client.get_status("h-1", show_history=True)
    assert status.runtime_status.name == job.status == "Completed"
    assert [event["Name"] for event in job.history() if "Name" in event] == ["headline", "tidy", "title", "frame"]


# [end]
