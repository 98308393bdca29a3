"""The activities: what they put on the queues or take back, and how they fail."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.app.fakes import FakeQueues
from video_jobs import storage
from video_jobs.queues import QueueError, send, take_back
from video_jobs.requests import publish, withdraw
from video_jobs.settings import SettingError, StorageAccount, storage_account

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
REQUEST: dict[str, Any] = {
    "blobUrl": "http://a/v/a.avi",
    "blobName": "v/a.avi",
    "posted": "2026-11-23T20:00:00Z",
    "instance_id": "job-1",
    "attempt": 1,
    "deadline": "2026-11-23T20:06:00Z",
    "reply_queue": "video-processed",
}
WITHDRAWAL: dict[str, Any] = {
    "instance_id": "job-1",
    "attempt": 2,
    "receipt": {"queue": "video-to-processing", "message_id": "m", "pop_receipt": "p", "expires_at": None},
}


def test_request_dies_soon_after_its_deadline() -> None:
    queues = FakeQueues()
    published = publish(REQUEST, send=queues, now=NOW + timedelta(seconds=10))
    assert published == {
        "ok": True,
        "receipt": {"queue": "video-to-processing", "message_id": "m", "pop_receipt": "p"},
    }
    ((queue, text, seconds_to_live),) = queues.sent
    assert queue == "video-to-processing"
    assert json.loads(text) == REQUEST
    assert seconds_to_live == 350 + 60


def test_request_after_its_deadline_is_not_published() -> None:
    queues = FakeQueues()
    published = publish(REQUEST, send=queues, now=NOW + timedelta(hours=1))
    assert published["error"]["code"] == "too_late"
    assert queues.sent == []


def test_storage_that_is_down_is_data() -> None:
    queues = FakeQueues(QueueError("storage_unavailable", "AccountKey=abc refused\nstack"))
    assert publish(REQUEST, send=queues, now=NOW) == {
        "ok": False,
        "error": {"code": "storage_unavailable", "message": "AccountKey=hidden refused"},
    }


@pytest.mark.parametrize("withdrawn", [True, False])
def test_request_is_withdrawn_by_its_receipt(withdrawn: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    taken: list[tuple[str, str, str]] = []

    def take_back(queue: str, message_id: str, pop_receipt: str) -> bool:
        taken.append((queue, message_id, pop_receipt))
        return withdrawn

    assert withdraw(WITHDRAWAL, take_back=take_back) == {"ok": True, "withdrawn": withdrawn}
    assert taken == [("video-to-processing", "m", "p")]
    assert caplog.messages[0].startswith("Job job-1, attempt 2: the request was " + ("with" if withdrawn else "not"))


def test_withdrawal_with_storage_down_is_data() -> None:
    def take_back(queue: str, message_id: str, pop_receipt: str) -> bool:
        raise QueueError("storage_unavailable", "AccountKey=abc refused\nstack")

    assert withdraw(WITHDRAWAL, take_back=take_back) == {
        "ok": False,
        "error": {"code": "storage_unavailable", "message": "AccountKey=hidden refused"},
    }


def test_account_by_connection_string_or_identity() -> None:
    assert storage_account({"VideoStorage": "UseDevelopmentStorage=true"}) == StorageAccount(
        connection_string="UseDevelopmentStorage=true"
    )
    identity = {
        "VideoStorage__queueServiceUri": "https://a.queue.core.windows.net",
        "VideoStorage__credential": "managedidentity",
        "VideoStorage__clientId": "c",
    }
    assert storage_account(identity) == StorageAccount(None, "https://a.queue.core.windows.net", True, "c")
    with pytest.raises(SettingError, match="VideoStorage"):
        storage_account({})


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("", "bad_setting"),
        ("nonsense", "bad_setting"),
        ("UseDevelopmentStorage=false;AccountName=x", "bad_setting"),
    ],
)
def test_setting_that_names_no_account(setting: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VideoStorage", setting)
    for use in (lambda: send("video-failed", "{}", -1), lambda: take_back("video-to-processing", "m", "p")):
        with pytest.raises(QueueError) as caught:
            use()
        assert caught.value.code == code
    storage.close()
