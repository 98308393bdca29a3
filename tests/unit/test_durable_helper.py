"""The notebook's helper refuses what would do harm, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.test_utils import DurableHelper, HelperError, load


@pytest.fixture
def helper() -> DurableHelper:
    # Port 9 is the discard service: whatever were sent would fail with another message.
    return DurableHelper("http://127.0.0.1:9", "unused")


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"createdTimeFrom": "2025-01-01", "runtimeStatus": ["Running"]}, "may only name ended jobs"),
        ({"createdTimeFrom": "2025-01-01", "runtimeStatus": "Completed,Pending"}, "may only name ended jobs"),
        ({"createdTimeFrom": "2025-01-01", "runtimeStatus": ["completed"]}, "may only name ended jobs"),
        ({"createdTimeFrom": "2025-01-01", "runtimeStatus": []}, "may only name ended jobs"),
        ({"createdTimeFrom": "2025-01-01", "status": ["Completed"]}, r"Unknown filters \['status'\]"),
        ({"runtimeStatus": ["Completed"]}, "createdTimeFrom is needed"),
    ],
)
def test_a_filter_that_would_reach_running_jobs_is_refused(
    helper: DurableHelper, filters: dict[str, Any], said: str
) -> None:
    with pytest.raises(HelperError, match=said):
        helper.purge_finished(filters)


def test_the_filters_in_the_data_files_are_sent(helper: DurableHelper) -> None:
    with pytest.raises(HelperError, match=r"Nobody answers at http://127\.0\.0\.1:9"):
        helper.purge_finished(load("purge-payload.local.json"))


def test_before_the_first_start_there_is_no_job(helper: DurableHelper) -> None:
    with pytest.raises(HelperError, match=r"call start\(\) first"):
        helper.status()


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOST", "")
    with pytest.raises(HelperError, match="ORCHESTRATOR_HOST is not set"):
        DurableHelper()
