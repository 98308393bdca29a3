"""Events: by the SDK they come as JSON text, by curl as what was sent."""

import pytest

from devhost.testing import TestHost
from tests.documents import ROOT

pytestmark = pytest.mark.functions_host(app_dir=ROOT / "tests/apps/human_interaction")


# [example: event]
async def test_a_decision_is_taken_at_once(functions_host: TestHost) -> None:
    claim = await functions_host.start_orchestration("expense", {"amount": 80, "seconds": 60})
    await functions_host.settle()
    before = functions_host.clock.now()
    await claim.raise_event("Decision", "approve")
    assert await claim.result() == "paid"
    assert functions_host.clock.now() == before


# [end]


# [example: two ways]
@pytest.mark.functions_host(app_dir=ROOT / "tests/examples/shop")
@pytest.mark.parametrize("way", ["sdk", "curl"])
async def test_a_signature_is_read_either_way(functions_host: TestHost, way: str) -> None:
    parcel = await functions_host.start_orchestration("delivery")
    await functions_host.settle()
    if way == "sdk":
        await parcel.raise_event("Signed", {"by": "Olena"})
    else:
        links = functions_host.client.get_client_response_links(None, parcel.id)
        url = links["sendEventPostUri"].replace("{eventName}", "Signed")
        assert (await functions_host.request("POST", url, json={"by": "Olena"})).status == 202
    assert await parcel.result() == "signed by Olena"


# [end]
