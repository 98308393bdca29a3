"""Some hundreds of damaged inputs of each kind; bench/fuzz.py sends ten thousand."""

from __future__ import annotations

from unittest import mock

import pytest

from bench import fuzz as bench
from devhost.durable.client import HubClient
from tests.integration.app import fuzz
from video_jobs import reports
from video_jobs.inbox import Inbox


async def test_each_start_has_its_answer_and_each_job_its_result() -> None:
    account = await fuzz.starts(seed=1, count=400)
    assert account.problems[:5] == []
    assert account.fates.keys() == {f"answered {code}" for code in (202, 400, 404, 409, 413)}
    assert account.inputs == 400


async def test_each_report_is_a_result_ignored_rejected_or_refused() -> None:
    account = await fuzz.reports(seed=1, count=600)
    assert account.problems[:5] == []
    assert account.fates.keys() >= {
        "became the result",
        "began another attempt",
        "ignored by the job",
        "rejected as not_json",
        "rejected as late",
        "answered 400",
        "answered 413",
    }
    assert account.inputs == 600


async def test_each_event_is_heard_ignored_or_refused_and_garbage_ends_no_job() -> None:
    account = await fuzz.events(seed=1, count=600)
    assert account.problems[:5] == []
    assert account.fates.keys() >= {"ended the job", "ignored by the job", "answered 400", "answered 410"}
    assert account.inputs == 600


async def forget(*_: object) -> None:
    """Stands in for what keeps or delivers something."""


def test_the_benchmark_fails_when_reports_vanish(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(count=30) == 0
    assert "90 inputs, not accounted for: 0" in capsys.readouterr().out
    with mock.patch.object(reports, "reject", forget):
        assert bench.main(count=30) == 1
    assert "NOT ACCOUNTED FOR: 'fuzz.reports(0, 30): vanished" in capsys.readouterr().out


async def test_events_that_are_lost_or_not_counted_are_noticed() -> None:
    with mock.patch.object(HubClient, "raise_event", forget):
        account = await fuzz.events(seed=1, count=60)
    assert any("its history has 0" in problem for problem in account.problems)
    with mock.patch.object(Inbox, "hear"):
        account = await fuzz.events(seed=1, count=60)
    assert any("and counts" in problem for problem in account.problems)


async def test_a_start_that_makes_two_jobs_is_noticed() -> None:
    start = HubClient.start

    async def twice(client: HubClient, name: str, instance_id: str | None, *more: str | None) -> str:
        await start(client, name, None, *more)
        return await start(client, name, instance_id, *more)

    with mock.patch.object(HubClient, "start", twice):
        account = await fuzz.starts(seed=1, count=40)
    assert any("answered 202 for" in problem for problem in account.problems)
