"""The lives of instances as recorded with a live host, played again on a running devhost: status, history and what
was seen on the way. Each recorded case is compared or listed here with the reason why not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.devhost.golden_instances import (
    Different,
    cases,
    differences,
    headers_in_any_order,
    hold_against,
)
from tests.integration.devhost.golden_instances_host import WEBHOOK, GoldenHost, Json, golden_host
from tests.integration.devhost.golden_instances_life import AFTERWARDS, SCENARIOS

pytestmark = [
    # The SDK says so of an event that comes early, which is what some of these cases are about.
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion:UserWarning"),
    # The SDK's advice, once a process, about custom classes as inputs.
    pytest.mark.filterwarnings("ignore:azure.functions :DeprecationWarning"),
    # The recorded apps are terse: they leave the closing of their notes to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"),
]

DIFFERENT: dict[str, Different] = {
    "a failing plain-function child makes the parent look non-deterministic": Different(
        "devhost shows the child's own text, where Azure loses it and claims a changed orchestrator; "
        "the parent keeps its custom status",
        ("history[2].Result: ", "final.customStatus: ", "final.output: "),
    ),
}

IN_ANOTHER_WAY = {
    "an event raised right after the start, 12 clients at once": "Azure lost 4 of 60 events; devhost delivers each",
    "raise_event from a queue trigger": "asked through the SDK without a queue: how often a message comes back is "
    "compared in test_queues_golden.py",
}
"""Cases whose recording is a statistic, or needs what is compared elsewhere: what stays is compared."""

BEFORE_ANY_WORKER = "events raised before any worker runs"
"""The case that needs two hosts, one after the other."""

LIFE = cases("06-instance-life")


@pytest.mark.parametrize(
    "case", [case for case in LIFE if case["title"] != BEFORE_ANY_WORKER], ids=lambda case: case["title"]
)
async def test_an_instance_lives_as_recorded(tmp_path: Path, case: Json) -> None:
    title = case["title"]
    async with golden_host("durable", tmp_path) as host:
        instance_id = await SCENARIOS[title](host, case)
        found = await life_differences(host, case, instance_id) if instance_id else []
        hold_against(DIFFERENT.get(title), found)
        if title in AFTERWARDS:
            await AFTERWARDS[title](host, case)


async def life_differences(host: GoldenHost, case: Json, instance_id: str) -> list[str]:
    answer = await host.request("GET", f"{WEBHOOK}/instances/{instance_id}?showHistory=true&showHistoryOutput=true")
    rows = answer.body.pop("historyEvents", None)
    found = differences(headers_in_any_order(case["final"]), headers_in_any_order(answer.body), "final")
    if case.get("history"):
        found += differences(headers_in_any_order(case["history"]), headers_in_any_order(rows), "history")
    return found


async def test_events_raised_before_any_worker_runs(tmp_path: Path) -> None:
    state, place = tmp_path / "state", f"{WEBHOOK}/instances"
    hub = {"AzureFunctionsJobHost__extensions__durableTask__hubName": "LaterHub"}
    async with golden_host("durable", tmp_path, state=state) as host:
        for name in ("waiter", "slow", "plain"):
            await host.start_by_webhook(f"{name}/{name}1", query="?taskHub=LaterHub")
        for operation in ("waiter1/raiseEvent/go", "slow1/terminate", "plain1/suspend"):
            answer = await host.request("POST", f"{place}/{operation}?taskHub=LaterHub&reason=early", 1)
            assert answer.status == 202, answer
        pending = await host.request("GET", f"{place}/waiter1?taskHub=LaterHub")
        assert pending.body["runtimeStatus"] == "Pending"
    async with golden_host("durable", tmp_path, state=state, environment=hub) as host:
        await host.quiet()
        waiter, slow, plain = [await host.status(one) for one in ("waiter1", "slow1", "plain1")]
    assert (waiter["runtimeStatus"], waiter["output"]) == ("Completed", [["int", 1]])
    assert (slow["runtimeStatus"], slow["output"]) == ("Terminated", "early")
    assert plain["runtimeStatus"] == "Completed"


def test_each_case_is_compared_or_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert {case["title"] for case in LIFE} == {*SCENARIOS, BEFORE_ANY_WORKER}
    listed = {*DIFFERENT, *IN_ANOTHER_WAY}
    assert listed <= set(SCENARIOS)
    with capsys.disabled():
        sys.stdout.write(f"\n06: {len(LIFE)} cases, {len(LIFE) - len(listed)} as recorded, {len(listed)} listed\n")
