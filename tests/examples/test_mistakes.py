"""Mistakes that no mock finds, and how the test kit tells of them."""

from collections.abc import Callable

import pytest

from devhost.testing import LeftoverError, NeverEndsError, ReplayDiffers, TestHost
from tests.documents import ROOT

SHOP = ROOT / "tests" / "examples" / "shop"
Shown = Callable[[BaseException], bool]


async def test_a_random_number_in_an_orchestrator(shown_in_guide: Shown) -> None:
    with pytest.raises(ReplayDiffers) as found:
        async with TestHost(SHOP) as functions_host:
            # [example: nondeterminism]
            invoice = await functions_host.start_orchestration("invoice")
            await invoice.result()
            # [end]
    assert shown_in_guide(found.value)


async def test_a_timer_that_is_not_cancelled(shown_in_guide: Shown) -> None:
    with pytest.raises(LeftoverError) as found:
        async with TestHost(SHOP) as functions_host:
            # [example: leftovers]
            offer = await functions_host.start_orchestration("offer", instance_id="offer-1")
            await functions_host.settle()
            await offer.raise_event("Accepted")
            functions_host.queue("labels").put("for nobody")
            # [end]
    assert shown_in_guide(found.value)


# [example: never ends]
@pytest.mark.functions_host(app_dir=SHOP, leftovers="ignore")
async def test_nobody_signs(functions_host: TestHost) -> None:
    parcel = await functions_host.start_orchestration("delivery", instance_id="parcel-1")
    with pytest.raises(NeverEndsError, match="it waits for event 'Signed'"):
        await parcel.result()


# [end]


@pytest.mark.functions_host(app_dir=SHOP, leftovers="ignore")
async def test_the_guide_shows_what_nobody_signing_looks_like(functions_host: TestHost, shown_in_guide: Shown) -> None:
    parcel = await functions_host.start_orchestration("delivery", instance_id="parcel-1")
    with pytest.raises(NeverEndsError) as found:
        await parcel.result()
    assert shown_in_guide(found.value)
