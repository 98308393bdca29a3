"""HTTP functions and queue messages, with neither ports nor storage."""

import json

import pytest

from devhost.testing import TestHost
from tests.documents import ROOT

pytestmark = pytest.mark.functions_host(app_dir=ROOT / "tests/apps/human_interaction")


# [example: http]
async def test_the_whole_way_over_http(functions_host: TestHost) -> None:
    answer = await functions_host.request("POST", "/api/expenses", json={"amount": 80, "seconds": 60})
    assert answer.status == 202
    claim = functions_host.instance(answer.json()["id"])
    await functions_host.settle()
    await functions_host.request("POST", f"/api/expenses/{claim.id}/decision", data="refuse")
    assert await claim.result() == "refused"
    status = await functions_host.request("GET", answer.json()["statusQueryGetUri"])
    assert status.json()["output"] == "refused"


# [end]


# [example: queues]
@pytest.mark.functions_host(app_dir=ROOT / "tests/apps/all_triggers")
async def test_a_message_starts_a_delivery(functions_host: TestHost) -> None:
    functions_host.queue("parcels").put({"number": "p1", "to": "Odesa"})
    await functions_host.settle()
    assert await functions_host.instance("p1").result() == "delivered to Odesa"
    assert functions_host.queue("receipts").take() == "receipt for p1"
    functions_host.queue("openings").take_all()


# [end]


# [example: poison]
@pytest.mark.functions_host(app_dir=ROOT / "tests/apps/all_triggers")
async def test_a_message_that_nobody_can_read_is_put_aside(functions_host: TestHost) -> None:
    message = json.dumps({"to": "Odesa"})  # no number
    functions_host.queue("parcels").put(message)
    await functions_host.settle()
    assert functions_host.queue("parcels-poison").take_all() == [message]
    functions_host.queue("openings").take_all()


# [end]
