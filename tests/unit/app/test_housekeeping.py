"""What is purged, and what never is."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from video_jobs.housekeeping import purge

NOW = datetime(2026, 11, 24, 3, 17, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Deleted:
    instances_deleted: int


@dataclass
class Purger:
    """Notes what is to be purged; `failing` are the numbers of the calls that fail."""

    failing: tuple[int, ...] = ()
    asked: list[tuple[datetime, datetime, list[str]]] = field(default_factory=list)

    async def purge_instance_history_by(
        self, created_time_from: datetime, created_time_to: datetime, runtime_status: list[Any]
    ) -> Deleted:
        self.asked.append((created_time_from, created_time_to, [each.name for each in runtime_status]))
        if len(self.asked) in self.failing:
            raise Exception("The operation failed with an unexpected status code 500")
        return Deleted(2)


async def run(days: str, **fields: Any) -> Purger:
    client = Purger(**fields)
    await purge(client, environ={"VIDEO_KEEP_DAYS": days}, now=lambda: NOW)
    return client


@pytest.mark.parametrize("days", ["", " ", "0"])
async def test_nothing_is_purged_unless_it_is_asked_for(days: str) -> None:
    assert (await run(days)).asked == []


@pytest.mark.parametrize("days", ["-1", "3651", "1.5", "week", "²"])
async def test_setting_that_makes_no_sense_purges_nothing(days: str, caplog: pytest.LogCaptureFixture) -> None:
    assert (await run(days)).asked == []
    assert "VIDEO_KEEP_DAYS must be a whole number" in caplog.text


async def test_small_windows_without_gaps_over_a_month(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asked = (await run("30")).asked
    assert asked[0][1] == NOW - 35 * DAY
    assert asked[-1][0] == NOW - 66 * DAY
    assert all(start == asked[place + 1][1] for place, (start, _, _) in enumerate(asked[:-1]))
    assert {end - start for start, end, _ in asked} == {timedelta(hours=6)}
    assert caplog.messages[-1].startswith("248 finished jobs")


async def test_running_jobs_are_never_asked_for() -> None:
    assert {tuple(names) for _, _, names in (await run("1")).asked} == {
        ("Completed", "Failed", "Terminated", "Canceled")
    }


async def test_window_that_fails_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert len((await run("1", failing=(1, 3))).asked) == 124
    assert caplog.text.count("could not be purged") == 2
    assert caplog.messages[-1].startswith("244 finished jobs")


async def test_run_that_takes_too_long_ends(caplog: pytest.LogCaptureFixture) -> None:
    client = Purger()
    times = iter(NOW + number * timedelta(minutes=2) for number in range(200))
    await purge(client, environ={"VIDEO_KEEP_DAYS": "1"}, now=lambda: next(times))
    assert len(client.asked) == 2
    assert "left to the next run" in caplog.text
