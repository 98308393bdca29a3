"""Orchestrations, activities, entities and histories as recorded with a live host, played again on a running devhost:
what Python was given, how each instance ended and what its history shows. Each recorded case is compared."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from tests.integration.devhost import golden_instances_bodies as bodies
from tests.integration.devhost import golden_instances_protocol as protocol
from tests.integration.devhost.golden_instances import Different, by_title, cases, hold_against
from tests.integration.devhost.golden_instances_host import Json, golden_host

pytestmark = [
    # The SDK says so of an event that comes early, which is what some of these cases are about.
    pytest.mark.filterwarnings("ignore:Potential duplicate Task completion:UserWarning"),
    # The SDK's advice, once a process, about custom classes as inputs.
    pytest.mark.filterwarnings("ignore:azure.functions :DeprecationWarning"),
    # The recorded apps are terse: they leave the closing of their notes to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"),
]

_OWN_TEXT = "devhost shows the exception's own text, where Azure loses it and claims a changed orchestrator"
_TEXT_PLACES = (".body.output: ", "history[2].Result: ")

DIFFERENT: dict[str, Different] = {
    "error text with a credential-like token": Different(_OWN_TEXT, _TEXT_PLACES),
    "error text with a line that starts with Stack:": Different(_OWN_TEXT, _TEXT_PLACES),
    "error text that holds the state marker": Different(_OWN_TEXT, _TEXT_PLACES),
    "unknown activity among others in a task_all": Different(
        "two activities run side by side; here the first ends first, in the recording the second did",
        ("history[1].Result: ", "history[2].Result: "),
    ),
}

CUT_OFF = {
    "host killed (-9) in mid-activity, started again": "test_an_activity_cut_off_by_a_kill_runs_again",
    "host stopped with SIGTERM in mid-activity, started again": "test_an_activity_cut_off_by_a_stop_runs_again",
}
"""Cases that need two hosts, one after the other."""

EPISODES = [*cases("07-orchestrator-protocol"), *cases("09-history")]
BODIES = cases("08-activities-entities")


@pytest.mark.parametrize(
    "case", [case for case in EPISODES if case["title"] not in CUT_OFF], ids=lambda case: case["title"]
)
async def test_an_orchestration_ends_as_recorded(tmp_path: Path, case: Json) -> None:
    async with golden_host("protocol", tmp_path, environment=protocol.ENVIRONMENTS.get(case["title"])) as host:
        hold_against(DIFFERENT.get(case["title"]), await protocol.compared(host, case))


@pytest.mark.parametrize("case", BODIES, ids=lambda case: case["title"])
async def test_activities_and_entities_are_given_what_was_recorded(tmp_path: Path, case: Json) -> None:
    compared = bodies.activity_differences if case["title"] in bodies.ACTIVITY_CASES else bodies.entity_differences
    async with golden_host("protocol", tmp_path, environment=bodies.ENVIRONMENTS.get(case["title"])) as host:
        assert await compared(host, case) == []


async def test_an_activity_cut_off_by_a_stop_runs_again(tmp_path: Path) -> None:
    case = by_title("07-orchestrator-protocol")["host stopped with SIGTERM in mid-activity, started again"]
    environment = protocol.ENVIRONMENTS[case["title"]]
    async with golden_host("protocol", tmp_path, state=tmp_path / "state", environment=environment) as host:
        host.naps.hold()
        instance_id = await host.start("slow_one", 15)
    assert await ends_as_recorded(tmp_path, tmp_path / "state", case, instance_id) == []


async def test_an_activity_cut_off_by_a_kill_runs_again(tmp_path: Path) -> None:
    case = by_title("07-orchestrator-protocol")["host killed (-9) in mid-activity, started again"]
    async with golden_host("protocol", tmp_path, state=tmp_path / "state") as host:
        host.naps.hold()
        instance_id = await host.start("slow_one", 20)
        # What the disk holds at this moment is all that a kill leaves.
        await asyncio.to_thread(shutil.copytree, tmp_path / "state", tmp_path / "left")
    assert await ends_as_recorded(tmp_path, tmp_path / "left", case, instance_id) == []


async def ends_as_recorded(scratch: Path, state: Path, case: Json, instance_id: str) -> list[str]:
    """A second host over the state of the first: the activity runs again and the instance completes once."""
    environment = protocol.ENVIRONMENTS.get(case["title"])
    async with golden_host("protocol", scratch, state=state, environment=environment) as host:
        await host.quiet()
        return await protocol.compared_ends(host, case, instance_id)


def test_each_case_is_compared_or_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    titles = [case["title"] for case in (*EPISODES, *BODIES)]
    assert {case["title"] for case in BODIES} == {*bodies.ACTIVITY_CASES, *bodies.ENTITY_CASES}
    assert set(CUT_OFF.values()) <= set(globals())
    listed = {*DIFFERENT, *bodies.DIFFERENT}
    assert listed | set(CUT_OFF) | set(protocol.SCENARIOS) <= set(titles)
    with capsys.disabled():
        as_recorded = len(titles) - len(listed)
        sys.stdout.write(f"\n07 to 09: {len(titles)} cases, {as_recorded} as recorded, {len(listed)} listed\n")
