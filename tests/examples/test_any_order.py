"""A property: whatever happens in whatever order, a claim has one result, in time."""

import asyncio
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from devhost.testing import TestHost
from tests.documents import ROOT

EXPENSES = ROOT / "tests" / "apps" / "human_interaction"

# [example: property]
STEPS = st.lists(st.sampled_from(["approve", "refuse", "20 s pass", "crash"]), max_size=8)


@given(STEPS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_first_decision_counts_or_the_deadline(steps: list[str]) -> None:
    asyncio.run(play(steps))


async def play(steps: list[str]) -> None:
    expected = "escalated: nobody decided about 80"
    async with TestHost(EXPENSES) as host:
        deadline = host.clock.now() + timedelta(seconds=60)
        claim = await host.start_orchestration("expense", {"amount": 80, "seconds": 60})
        await host.settle()
        for step in steps:
            if step == "20 s pass":
                await host.advance(seconds=20)
            elif step == "crash":
                await host.kill()
                await host.start()
            elif not claim.has_ended():
                expected = "paid" if step == "approve" else "refused"
                await claim.raise_event("Decision", step)
            await host.settle()
        assert await claim.result() == expected
        assert claim.row().updated <= deadline


# [end]
