"""The worker against the emulator: each kind of footage gets its report, and nothing is done twice or lost."""

import json
import signal
import threading
from datetime import datetime
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient

from tests.integration.worker.conftest import Bench
from tests.integration.worker.process import WorkerProcess
from tests.integration.worker.slow_source import SlowSource
from video_jobs.contract import REQUEST_QUEUE, decode_report
from worker import cli, sample
from worker.account import Account
from worker.failures import LeaseLostError
from worker.lease import Lease
from worker.queue_loop import MOST_TRIES, REJECTED_REQUESTS, Options, QueueLoop

LONG_ENOUGH = 30


def work(bench: Bench, *, visibility: int = 60, stop: threading.Event | None = None) -> bool:
    return QueueLoop(bench.account, Options(visibility), stop or threading.Event()).once()


def stored(bench: Bench, url: str) -> bytes:
    container, _, name = url.removeprefix(bench.account.blobs.url).partition("/")
    return bench.account.container(container).download_blob(name).readall()


def test_footage_is_processed(bench: Bench, clip: bytes) -> None:
    url = bench.upload(clip)
    request = bench.ask(url)
    assert work(bench)
    (report,) = bench.reports()
    assert list(report)[:6] == [
        "instance_id",
        "blobUrl",
        "blobName",
        "status",
        "start_timestamp",
        "stop_timestamp",
    ]
    assert (report["instance_id"], report["blobUrl"], report["status"]) == (request.instance_id, url, "PROCESSED")
    assert datetime.fromisoformat(report["start_timestamp"]).tzinfo is None
    assert report["start_timestamp"] <= report["stop_timestamp"]
    details = report["details"]
    assert (details["duration_seconds"], details["fps"], details["frames"]) == (4.0, 25.0, 100)
    for found, expected in zip(details["segments"], sample.crossings(4), strict=True):
        assert found["start_seconds"] == pytest.approx(expected.start_seconds, abs=0.2)
        assert found["stop_seconds"] == pytest.approx(expected.stop_seconds, abs=0.2)
    assert json.loads(stored(bench, details["result_url"])) == report
    assert stored(bench, details["contact_sheet_url"])[:2] == b"\xff\xd8"
    assert bench.waiting() == 0
    assert decode_report(json.dumps(report)).status == "PROCESSED"


def test_no_request(bench: Bench) -> None:
    assert not work(bench)
    assert cli.main(["--once", "--connection", bench.connection_string]) == 0


def test_missing_queues_and_container_are_created(bench: Bench, clip: bytes) -> None:
    bench.account.queue(REQUEST_QUEUE).delete_queue()
    assert not work(bench)
    bench.ask(bench.upload(clip))
    assert work(bench)
    assert bench.reports()[0]["status"] == "PROCESSED"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "blob_missing"),
        (b"", "blob_empty"),
        (b"no video at all\n" * 100, "not_a_video"),
        ("half", "truncated"),
    ],
)
def test_footage_that_cannot_be_processed(content: bytes | str | None, code: str, bench: Bench, clip: bytes) -> None:
    url = bench.upload(clip[: len(clip) // 2] if isinstance(content, str) else content or b"")
    request = bench.ask(url if content is not None else f"{url}.gone")
    assert work(bench)
    (report,) = bench.reports()
    assert (report["instance_id"], report["status"]) == (request.instance_id, "FAILED")
    assert list(report["error"]) == ["code", "message", "retryable"]
    assert (report["error"]["code"], report["error"]["retryable"]) == (code, False)
    assert bench.waiting() == 0


def test_footage_from_any_url(bench: Bench, clip: bytes) -> None:
    with SlowSource(clip) as source:
        source.release.set()
        bench.ask(source.url)
        assert work(bench)
    (report,) = bench.reports()
    assert report["status"] == "PROCESSED"
    assert "SeCrEt" not in json.dumps(report)


def test_source_that_is_down_may_be_tried_again(bench: Bench) -> None:
    with SlowSource(b"") as source:
        url = source.url
    bench.ask(url)
    assert work(bench)
    (report,) = bench.reports()
    assert (report["error"]["code"], report["error"]["retryable"]) == ("download_failed", True)
    assert "SeCrEt" not in json.dumps(report)


def test_same_request_again_is_reported_again_but_not_done_again(bench: Bench, clip: bytes) -> None:
    url = bench.upload(clip)
    request = bench.ask(url)
    assert work(bench)
    bench.account.container("videos").delete_blob(url.rpartition("/")[2])
    bench.ask(url, instance_id=request.instance_id)
    assert work(bench)
    first, second = bench.reports()
    assert first == second


def test_request_after_its_deadline_is_dropped(bench: Bench, clip: bytes) -> None:
    bench.ask(bench.upload(clip), seconds=-1)
    assert work(bench)
    assert bench.reports() == []
    assert bench.waiting() == 0


@pytest.mark.parametrize("text", ["hello", "{}", "e30=", '{"blobUrl": 5}'])
def test_what_is_no_request_is_moved_aside(text: str, bench: Bench) -> None:
    bench.account.put(REQUEST_QUEUE, text)
    assert work(bench)
    (kept,) = map(json.loads, bench.take(REJECTED_REQUESTS))
    assert list(kept) == ["reason", "detail", "received_at", "message"]
    assert kept["message"] == text
    assert bench.waiting() == 0


def test_request_that_broke_every_try_is_given_up(bench: Bench, clip: bytes) -> None:
    bench.ask(bench.upload(clip))
    queue = bench.account.queue(REQUEST_QUEUE)
    for _ in range(MOST_TRIES):
        taken = queue.receive_message(visibility_timeout=60)
        assert taken is not None
        queue.update_message(taken, visibility_timeout=0)
    assert work(bench)
    (report,) = bench.reports()
    assert (report["status"], report["error"]["code"]) == ("FAILED", "gave_up")
    assert bench.waiting() == 0


def test_request_stays_when_its_report_cannot_be_sent(
    bench: Bench, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> None:
        raise AzureError("down")

    bench.ask(bench.upload(clip))
    with monkeypatch.context() as patch:
        patch.setattr(Account, "put", down)
        patch.setattr("worker.queue_loop.RETRY_SECONDS", 0)
        assert work(bench)
    assert bench.waiting() == 1
    assert work(bench)
    assert bench.reports()[0]["status"] == "PROCESSED"


def test_message_stays_invisible_while_the_work_goes_on(
    bench: Bench, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals = threading.Semaphore(0)
    update = QueueClient.update_message

    def counted(*arguments: Any, **options: Any) -> Any:
        renewed = update(*arguments, **options)
        renewals.release()
        return renewed

    monkeypatch.setattr(QueueClient, "update_message", counted)
    with SlowSource(clip) as source:
        bench.ask(source.url)
        worker = threading.Thread(target=work, args=(bench,), kwargs={"visibility": 1})
        worker.start()
        for _ in range(5):  # each at a third of a second: longer than the message was taken for
            assert renewals.acquire(timeout=LONG_ENOUGH)
        assert bench.account.queue(REQUEST_QUEUE).receive_message() is None
        source.release.set()
        worker.join(LONG_ENOUGH)
    assert [report["status"] for report in bench.reports()] == ["PROCESSED"]
    assert bench.waiting() == 0


def test_work_is_dropped_when_another_worker_has_the_message(bench: Bench) -> None:
    bench.ask("http://127.0.0.1/a.avi")
    queue = bench.account.queue(REQUEST_QUEUE)
    message = queue.receive_message(visibility_timeout=60)
    assert message is not None
    queue.update_message(message.id, message.pop_receipt, visibility_timeout=60)
    with Lease(queue, message, 1, threading.Event()) as lease:
        assert lease.lost.wait(LONG_ENOUGH)
        with pytest.raises(LeaseLostError):
            lease.check()
        with pytest.raises(LeaseLostError):
            lease.delete()
    assert bench.waiting() == 1


def test_killed_worker_leaves_its_request_to_the_next(bench: Bench, clip: bytes) -> None:
    with SlowSource(clip) as source:
        request = bench.ask(source.url)
        with WorkerProcess(bench.connection_string, "--visibility", "2") as first:
            assert source.asked.wait(LONG_ENOUGH)
            first.kill()
        assert bench.reports() == []
        source.release.set()
        with WorkerProcess(bench.connection_string, "--visibility", "2") as second:
            second.wait_for("reported PROCESSED")
            assert second.stop() == 0
    assert [report["instance_id"] for report in bench.reports()] == [request.instance_id]
    assert bench.waiting() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_worker_gives_its_request_back(number: int, bench: Bench, clip: bytes) -> None:
    with SlowSource(clip) as source:
        bench.ask(source.url)
        with WorkerProcess(bench.connection_string) as worker:
            assert source.asked.wait(LONG_ENOUGH)
            assert worker.stop(number) == 0
        assert "Traceback" not in "".join(worker.log)
        assert bench.account.queue(REQUEST_QUEUE).receive_message() is not None
    assert bench.reports() == []


def test_idle_worker_stops_at_once(bench: Bench) -> None:
    with WorkerProcess(bench.connection_string, "--poll", "3600") as worker:
        worker.wait_for("Waiting for requests")
        assert worker.stop() == 0


def test_storage_that_is_down_is_one_clear_line() -> None:
    nowhere = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"
        "BlobEndpoint=http://127.0.0.1:9/d;QueueEndpoint=http://127.0.0.1:9/d"
    )
    with WorkerProcess(nowhere) as worker:
        worker.wait_for("Storage does not answer")
        assert worker.stop() == 0
    assert "Traceback" not in "".join(worker.log)
