"""The misbehaving worker as a process on the emulator: the right messages come, the request goes or stays."""

import base64
import json
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.queue import QueueClient

from tests.integration.worker.conftest import Bench
from tests.integration.worker.process import WorkerProcess
from video_jobs.contract import REPORT_QUEUE, REQUEST_QUEUE, ProcessingRequest, decode_report, encode_request
from worker.fake.loop import CRASHED, FakeLoop
from worker.fake.modes import Behaviour
from worker.queue_loop import REJECTED_REQUESTS, Options

# Nobody could read this: the misbehaving worker never tries.
URL = "http://127.0.0.1:9/a.avi"
LONG_ENOUGH = 30


def run_fake(bench: Bench, *options: str, exit_code: int = 0) -> str:
    """The log of a worker that ends by itself."""
    with WorkerProcess(bench.connection_string, *options, module="worker.fake") as worker:
        assert worker.ended() == exit_code
    log = "".join(worker.log)
    assert "Traceback" not in log
    return log


def test_ok_reports_and_deletes_the_request(bench: Bench) -> None:
    request = bench.ask(URL)
    log = run_fake(bench, "--mode", "ok", "--count", "1")
    (report,) = bench.reports()
    assert (report["instance_id"], report["status"], report["attempt"]) == (request.instance_id, "PROCESSED", 1)
    assert report["details"] == {"segments": []}
    assert bench.waiting() == 0
    assert f"Job {request.instance_id}, attempt 1: taken" in log
    assert f"Job {request.instance_id}: sent PROCESSED to {REPORT_QUEUE}" in log


def test_count_is_how_many_requests_are_taken(bench: Bench) -> None:
    for _ in range(3):
        bench.ask(URL)
    run_fake(bench, "--mode", "ok", "--count", "2")
    assert len(bench.reports()) == 2
    assert bench.waiting() == 1


def test_answers_go_to_the_reply_queue(bench: Bench) -> None:
    reply_queue, now = f"t{uuid4().hex}", datetime.now(UTC)
    request = ProcessingRequest(URL, "a.avi", now, "job-1", 2, now + timedelta(seconds=600), reply_queue)
    bench.account.put(REQUEST_QUEUE, encode_request(request))
    run_fake(bench, "--mode", "ok", "--count", "1")
    (text,) = bench.take(reply_queue)
    assert decode_report(text).attempt == 2
    assert bench.reports() == []


def test_duplicate_sends_the_same_report_again(bench: Bench) -> None:
    bench.ask(URL)
    run_fake(bench, "--mode", "duplicate", "--times", "3", "--count", "1")
    texts = bench.take(REPORT_QUEUE)
    assert (len(texts), len(set(texts))) == (3, 1)
    assert bench.waiting() == 0


def test_failed_reports_the_given_reason(bench: Bench) -> None:
    bench.ask(URL)
    run_fake(bench, "--mode", "failed", "--code", "no_disk", "--message", "Full", "--retryable", "--count", "1")
    (report,) = bench.reports()
    assert (report["status"], report["details"]) == ("FAILED", {})
    assert report["error"] == {"code": "no_disk", "message": "Full", "retryable": True}
    assert bench.waiting() == 0


def test_garbage_of_each_kind(bench: Bench) -> None:
    request = bench.ask(URL)
    log = run_fake(bench, "--mode", "garbage", "--count", "1")
    broken, *others = bench.take(REPORT_QUEUE)
    assert broken.startswith('{"instance_id"')
    listed, unknown, empty, wrong = (json.loads(base64.b64decode(text)) for text in others)
    assert [each["instance_id"] for each in listed] == [request.instance_id]
    assert unknown["instance_id"] != request.instance_id
    assert empty == {}
    assert wrong["status"] == "DONE"
    assert log.count("sent garbage") == 5
    assert bench.waiting() == 0


def test_every_encoding_survives_the_queue(bench: Bench) -> None:
    for _ in range(5):
        bench.ask(URL)
    run_fake(bench, "--mode", "wrong-encoding", "--count", "5")
    texts = bench.take(REPORT_QUEUE)
    assert [text[0] for text in texts[:2]] == ["{", "\ufeff"]
    assert [decode_report(text).status for text in texts[:2]] == ["PROCESSED"] * 2
    for text, encoding in zip(texts[3:], ("utf-16", "latin-1"), strict=True):
        assert "Nähe" in base64.b64decode(text).decode(encoding)
    assert base64.b64decode(base64.b64decode(texts[2])).startswith(b"{")


def test_never_deletes_the_request_and_says_nothing(bench: Bench) -> None:
    bench.ask(URL)
    assert "nothing is sent" in run_fake(bench, "--mode", "never", "--count", "1")
    assert bench.take(REPORT_QUEUE) == []
    assert bench.waiting() == 0


def test_crash_leaves_the_request_to_the_next_worker(bench: Bench) -> None:
    request = bench.ask(URL)
    log = run_fake(bench, "--mode", "crash", "--visibility", "2", exit_code=CRASHED)
    assert "crashing with exit code 70; its request is on the queue again in 2 s" in log
    assert bench.take(REPORT_QUEUE) == []
    assert bench.waiting() == 1
    run_fake(bench, "--mode", "ok", "--count", "1")
    assert [report["instance_id"] for report in bench.reports()] == [request.instance_id]
    assert bench.waiting() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_waiting_it_gives_the_request_back(number: int, bench: Bench) -> None:
    bench.ask(URL)
    with WorkerProcess(bench.connection_string, "--mode", "slow", module="worker.fake") as worker:
        worker.wait_for("waiting 30.0 s")
        assert worker.stop(number) == 0
    assert "Traceback" not in "".join(worker.log)
    assert bench.account.queue(REQUEST_QUEUE).receive_message() is not None
    assert bench.reports() == []


def test_what_is_no_request_is_moved_aside(bench: Bench) -> None:
    bench.account.put(REQUEST_QUEUE, "hello")
    bench.ask(URL)
    run_fake(bench, "--mode", "ok", "--count", "1")
    assert [json.loads(text)["message"] for text in bench.take(REJECTED_REQUESTS)] == ["hello"]
    assert len(bench.reports()) == 1


class Hands:
    """A clock that moves only when the worker pauses; before that, `meanwhile` is called."""

    def __init__(self, meanwhile: Any) -> None:
        self.time = datetime.now(UTC)
        self._meanwhile = meanwhile

    def now(self) -> datetime:
        return self.time

    def pause(self, seconds: float) -> None:
        self._meanwhile()
        self.time += timedelta(seconds=seconds)


def work(bench: Bench, behaviour: Behaviour, hands: Hands, visibility: int = 60) -> bool:
    loop = FakeLoop(bench.account, Options(visibility), threading.Event(), behaviour, None, hands.now, hands.pause)
    return loop.once()


def test_late_reports_after_the_deadline_only(bench: Bench) -> None:
    request = bench.ask(URL, seconds=100)
    looks: list[int] = []
    hands = Hands(lambda: looks.append(bench.waiting(REPORT_QUEUE)))
    assert work(bench, Behaviour("late", delay_seconds=3), hands)
    assert set(looks) == {0}
    assert hands.time == request.deadline + timedelta(seconds=3)
    assert [report["status"] for report in bench.reports()] == ["PROCESSED"]
    assert bench.waiting() == 0


def test_late_answers_a_request_that_is_over_already(bench: Bench) -> None:
    bench.ask(URL, seconds=-100)
    assert work(bench, Behaviour("late"), Hands(lambda: pytest.fail("nothing to wait for")))
    assert [report["status"] for report in bench.reports()] == ["PROCESSED"]


def test_slow_keeps_the_request_while_it_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    renewals = threading.Semaphore(0)
    update = QueueClient.update_message

    def counted(*arguments: Any, **options: Any) -> Any:
        renewed = update(*arguments, **options)
        renewals.release()
        return renewed

    monkeypatch.setattr(QueueClient, "update_message", counted)

    def meanwhile() -> None:
        for _ in range(5):  # each at a third of a second: longer than the message was taken for
            assert renewals.acquire(timeout=LONG_ENOUGH)
        assert bench.account.queue(REQUEST_QUEUE).receive_message() is None

    bench.ask(URL)
    assert work(bench, Behaviour("slow", delay_seconds=1), Hands(meanwhile), visibility=1)
    assert [report["status"] for report in bench.reports()] == ["PROCESSED"]
    assert bench.waiting() == 0
