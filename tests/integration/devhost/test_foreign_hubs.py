"""Task hubs that a query names and that no worker of the host serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.devhost.golden_bench import running


def files(folder: Path) -> list[str]:
    return [one.name for one in folder.rglob("*.db")]


async def test_a_start_makes_the_hub_and_its_instance_waits_there_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, state=tmp_path / "state") as bench:
        started = await bench.webhook("POST", "orchestrators/plain/p1?taskHub=Elsewhere", 1)
        assert started.status == 202
    async with running(tmp_path, state=tmp_path / "state") as bench:
        assert (await bench.status("p1", "?taskHub=ELSEWHERE"))["runtimeStatus"] == "Pending"
        assert await bench.status("p1") == {}


async def test_reading_makes_no_hub(tmp_path: Path) -> None:
    async with running(tmp_path, state=tmp_path / "state") as bench:
        listed = await bench.webhook("GET", "instances/?taskHub=Nosuch")
        refused = await bench.webhook("POST", "instances/p1/terminate?taskHub=Nosuch")
        purged = await bench.webhook("DELETE", "instances/?taskHub=Nosuch&createdTimeFrom=2020-01-01")
        assert (listed.status, listed.body, refused.status, purged.status) == (200, b"[]", 404, 404)
    assert files(tmp_path) == ["hubh2.db"]


@pytest.mark.parametrize("name", ["../x", "x", "1abc", "a b c", "%2e%2e%2fabc"])
async def test_a_name_that_no_hub_can_have_is_refused_and_reaches_no_file(name: str, tmp_path: Path) -> None:
    async with running(tmp_path, state=tmp_path / "deep" / "state") as bench:
        refused = await bench.webhook("POST", f"orchestrators/plain?taskHub={name.replace(' ', '+')}", 1)
        assert refused.status == 400
        assert "must have 3 to 45 letters and digits" in refused.json()["ExceptionMessage"]
    assert files(tmp_path) == ["hubh2.db"]
