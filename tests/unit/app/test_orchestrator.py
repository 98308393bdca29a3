"""The job's course, by literal histories: which events came, in which order, in which episode."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.app.episodes import (
    BODY,
    JOB,
    NOTIFIED,
    SENT,
    START,
    WITHDRAWN,
    Event,
    Instance,
    completed,
    ended,
    failed,
    fired,
    raised,
    raised_text,
    report,
    stamp,
    waiting,
)

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads was called without:DeprecationWarning")

PUBLISHED = completed(0, SENT)
OLDER = "PROCESSING_VIDEO_COMPLITED"
GARBAGE = [
    raised("processed", "not a report"),
    raised("processed", None),
    raised("processed", 5, by_sdk=False),
    raised("processed", {"status": "PROCESSED"}, by_sdk=False),
    raised("processed", {**report(), "instance_id": "another-job"}),
    raised("processed", {**report(), "status": "DONE"}),
    raised("processed", {"__class__": "Nope", "__module__": "nope", "__data__": 1}, by_sdk=False),
    raised(
        OLDER,
        {**report(), "__class__": "Nope", "__module__": "nope", "__data__": 1, "status": []},
        by_sdk=False,
    ),
    raised_text("processed", json.dumps("[" * 100_000)),
]


def test_request_is_published_first() -> None:
    reply = Instance().start()
    assert reply.stage == "publishing"
    assert reply.state["customStatus"]["deadline"] == "2026-11-23T20:06:00Z"
    assert reply.called("send_processing_request") == [
        {
            "blobUrl": BODY["blobURL"],
            "blobName": "videos/a.avi",
            "posted": "2026-11-23T20:00:00Z",
            "instance_id": JOB,
            "attempt": 1,
            "deadline": "2026-11-23T20:06:00Z",
            "reply_queue": "video-processed",
        }
    ]


def test_deadline_counts_from_the_start() -> None:
    job = Instance()
    job.start()
    reply = job.run(PUBLISHED, after=timedelta(seconds=20))
    (timer,) = reply.timers
    assert timer["fireAt"] == stamp(START + timedelta(seconds=361))


@pytest.mark.parametrize("name", ["processed", OLDER])
@pytest.mark.parametrize("by_sdk", [True, False])
def test_report_ends_the_job(name: str, by_sdk: bool) -> None:
    result = ended(waiting().run(raised(name, report(), by_sdk=by_sdk), after=timedelta(seconds=7)))
    assert result == {
        "status": "processed",
        "instance_id": JOB,
        "blobName": "videos/a.avi",
        "blobUrl": BODY["blobURL"],
        "attempts": 1,
        "requested_at": "2026-11-23T20:00:00Z",
        "finished_at": "2026-11-23T20:00:07Z",
        "report": report(),
        "error": None,
        "notification": None,
    }


def test_report_as_base64_in_an_event() -> None:
    text = "eyJpbnN0YW5jZV9pZCI6ImpvYi0xIiwic3RhdHVzIjoicHJvY2Vzc2VkIn0="
    result = ended(waiting().run(raised("processed", text)))
    assert result["report"] == {"instance_id": JOB, "status": "PROCESSED"}


def test_no_report_is_a_timeout_and_somebody_is_told() -> None:
    job = waiting()
    look = job.run(fired(1), after=timedelta(seconds=361))
    assert not look.done
    assert look.stage == "withdrawing"
    over = job.run(fired(2), after=timedelta(seconds=2))
    assert over.called("withdraw_request") != []
    told = job.run(completed(3, WITHDRAWN))
    assert told.stage == "notifying"
    notification = told.failure
    assert notification["status"] == "timeout"
    assert notification["instance_id"] == JOB
    result = ended(job.run(completed(4, NOTIFIED)))
    assert result["status"] == "timeout"
    assert result["error"]["code"] == "timeout"
    assert result["report"] is None
    assert result["notification"] == {"delivered": True, "channels": ["queue"]}


@pytest.mark.parametrize("report_first", [True, False])
def test_report_in_the_same_batch_as_the_timer_wins(report_first: bool) -> None:
    batch = [raised("processed", report()), fired(1)]
    reply = waiting().run(*(batch if report_first else reversed(batch)), after=timedelta(seconds=360))
    assert ended(reply)["status"] == "processed"


def test_timer_a_second_early_leaves_the_report_its_time() -> None:
    job = waiting()
    job.run(fired(1), after=timedelta(seconds=359, milliseconds=100))
    assert ended(job.run(raised("processed", report()), after=timedelta(milliseconds=700)))["status"] == "processed"


def test_garbage_between_timer_and_report_in_one_batch() -> None:
    batch = [fired(1), GARBAGE[0], raised("processed", report())]
    assert ended(waiting().run(*batch, after=timedelta(seconds=360)))["status"] == "processed"


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_neither_completes_nor_kills_the_job(garbage: Event) -> None:
    job = waiting()
    assert job.run(garbage).shown["ignored"]["count"] == 1
    shown = job.run(garbage, garbage).shown
    assert list(shown) == ["stage", "attempt", "deadline", "ignored"]
    assert (shown["stage"], shown["ignored"]["count"]) == ("waiting", 3)
    assert shown["ignored"]["last"].startswith(("not_json: ", "breaks_contract: "))
    last = job.run(raised("processed", report()))
    assert ended(last)["status"] == "processed"
    assert last.shown["ignored"]["count"] == 3


def test_ignored_event_is_logged_once_and_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    job = waiting()
    shown = job.run(raised("cancel", {"https://a/b?sig=SeCrEt": 1})).shown
    job.run(raised("processed", report()))
    assert "sig=hidden" in shown["ignored"]["last"]
    assert [record.message for record in caplog.records] == [
        f"Job {JOB}: an event was ignored: {shown['ignored']['last']}"
    ]


def test_longest_ignored_line_fits_the_custom_status() -> None:
    # The host fails an instance whose custom status is over 8703 characters.
    reply = waiting().run(raised("cancel", {"\N{GRINNING FACE}" * 9000: 1}))
    assert 5000 < len(json.dumps(reply.shown)) < 8703


@pytest.mark.parametrize("name", ["Processed", "PROCESSED", "processing_video_complited"])
def test_event_name_in_another_case_which_the_host_takes_for_ours(name: str) -> None:
    assert ended(waiting().run(raised(name, report())))["status"] == "processed"


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_does_not_move_the_deadline(garbage: Event) -> None:
    job = waiting()
    reply = job.run(garbage, after=timedelta(seconds=100))
    first, second = reply.timers
    assert first["isCanceled"]
    assert second["fireAt"] == stamp(START + timedelta(seconds=361))
    job.run(fired(2), after=timedelta(seconds=261))
    job.run(fired(3), after=timedelta(seconds=2))
    job.run(completed(4, WITHDRAWN))
    assert ended(job.run(completed(5, NOTIFIED)))["status"] == "timeout"


def test_report_before_the_publish_activity_ends() -> None:
    job = Instance()
    assert job.start(raised("processed", report())).stage == "publishing"
    assert ended(job.run(PUBLISHED))["status"] == "processed"


@pytest.mark.parametrize("garbage", GARBAGE)
def test_early_garbage_does_not_answer_later_waits(garbage: Event) -> None:
    job = Instance()
    assert not job.start(garbage, garbage).done
    assert not job.run(garbage).done
    published = job.run(PUBLISHED)
    assert published.stage == "waiting"
    assert [timer["isCanceled"] for timer in published.timers] == [True, True, True, False]
    assert ended(job.run(raised("processed", report())))["status"] == "processed"


def test_early_garbage_then_timeout() -> None:
    job = Instance()
    job.start(GARBAGE[0])
    job.run(PUBLISHED)
    job.run(fired(2), after=timedelta(seconds=361))
    job.run(fired(3), after=timedelta(seconds=2))
    job.run(completed(4, WITHDRAWN))
    assert ended(job.run(completed(5, NOTIFIED)))["status"] == "timeout"


def test_five_days_are_waited_in_days() -> None:
    job = Instance(json.dumps({**BODY, "timeoutSeconds": 432_000}))
    job.start()
    reply = job.run(PUBLISHED)
    for day in range(1, 5):
        assert reply.timers[-1]["fireAt"] == stamp(START + timedelta(days=day))
        reply = job.run(fired(day), after=timedelta(days=1))
        assert reply.open_timers() == [day + 1]
    assert ended(job.run(raised("processed", report())))["status"] == "processed"


def test_five_days_without_a_report() -> None:
    job = Instance(json.dumps({**BODY, "timeoutSeconds": 432_000}))
    job.start()
    job.run(PUBLISHED)
    for day in range(1, 6):
        # Timers fire up to a second early; the days must not multiply by it.
        job.run(fired(day), after=timedelta(days=1) - timedelta(milliseconds=100))
    job.run(fired(6), after=timedelta(seconds=1))
    job.run(fired(7), after=timedelta(seconds=2))
    job.run(completed(8, WITHDRAWN))
    assert ended(job.run(completed(9, NOTIFIED)))["status"] == "timeout"


def test_worker_that_failed() -> None:
    job = waiting()
    error = {"code": "truncated", "message": "128 of 250 frames", "retryable": False}
    told = job.run(raised("processed", report("failed", error=error)))
    notification = told.failure
    assert notification["error"] == {"step": "worker", "code": "truncated", "message": "128 of 250 frames"}
    result = ended(job.run(completed(2, NOTIFIED)))
    assert result["status"] == "failed"
    assert result["error"] == notification["error"]
    assert result["report"]["status"] == "FAILED"


def test_report_counts_although_publishing_seemed_to_fail() -> None:
    job = Instance()
    job.start(raised("processed", report()))
    assert ended(job.run(failed(0, "Activity function 'x' failed:  TimeoutError: t")))["status"] == "processed"


def test_activity_that_raised_becomes_one_readable_line() -> None:
    job = Instance()
    job.start()
    reason = "Activity function 'send_processing_request' failed:  ValueError: http://x/a?sv=1&sig=abc%2F not sent"
    for seconds in (5, 20):
        job.run(failed(job.activity, reason))
        job.fire(timedelta(seconds=seconds))
    job.run(failed(job.activity, reason))
    result = ended(job.finish(NOTIFIED))
    assert result["status"] == "failed"
    assert result["error"]["step"] == "publishing"
    assert "System.Exception" not in result["error"]["message"]
    assert "abc" not in result["error"]["message"]
    assert result["error"]["message"].startswith("Activity function 'send_processing_request' failed:")


def test_notification_that_fails_does_not_change_the_result() -> None:
    job = unpublished()
    for seconds in (5, 20):
        assert not job.run(failed(job.activity, "Activity function 'SendFailureNotification' failed:  E: down")).done
        job.fire(timedelta(seconds=seconds))
    result = ended(job.run(failed(job.activity, "Activity function 'SendFailureNotification' failed:  E: down")))
    assert result["status"] == "failed"
    assert result["error"] == {"step": "publishing", "code": "bad_setting", "message": "m"}
    assert result["notification"] == {"delivered": False, "channels": []}


def unpublished() -> Instance:
    """A job that failed, and of which people are being told."""
    job = Instance()
    job.start()
    job.run(completed(0, {"ok": False, "error": {"code": "bad_setting", "message": "m"}}))
    return job


def missed(channel: str, *, again: bool) -> dict[str, Any]:
    return {"channel": channel, "message": "no answer", "again": again}


def test_channel_that_has_the_notification_is_not_asked_again() -> None:
    job = unpublished()
    job.finish({"told": ["queue"], "failed": [missed("webhook", again=True)]})
    job.fire(timedelta(seconds=5))
    last = job.finish({"told": ["queue", "webhook"], "failed": []})
    assert [call["told"] for call in last.called("SendFailureNotification")] == [[], ["queue"]]
    assert ended(last)["notification"] == {"delivered": True, "channels": ["queue", "webhook"]}


def test_channel_that_will_never_have_it_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    job = unpublished()
    last = job.finish({"told": ["queue"], "failed": [missed("webhook", again=False)]})
    assert ended(last)["notification"] == {"delivered": True, "channels": ["queue"]}
    assert "nobody was told through webhook: no answer" in caplog.text


def test_channel_that_stays_away_is_given_up_after_three_tries() -> None:
    job = unpublished()
    for seconds in (5, 20):
        job.finish({"told": ["queue"], "failed": [missed("webhook", again=True)]})
        job.fire(timedelta(seconds=seconds))
    last = job.finish({"told": ["queue"], "failed": [missed("webhook", again=True)]})
    assert ended(last)["notification"] == {"delivered": True, "channels": ["queue"]}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("null", "Expected `object`"),
        ("5", "cannot be read"),
        ('"text"', "cannot be read"),
        ('{"blobName": "a"}', "blobURL"),
        ('{"blobURL": "file:///etc/passwd", "blobName": "a"}', "http"),
        ('{"blobURL": "http://x/a", "blobName": "a", "retries": 1}', "retries"),
        ('{"blobURL": "http://x/a", "blobName": "a", "timeoutSeconds": 999999}', "timeoutSeconds"),
    ],
)
def test_input_that_breaks_the_contract_fails_the_job(given: str, says: str) -> None:
    job = Instance(given)
    reply = job.start()
    assert reply.called("send_processing_request") == []
    result = ended(job.run(completed(0, NOTIFIED)))
    assert result["status"] == "failed"
    assert result["error"]["step"] == "input"
    assert says in result["error"]["message"]
    assert result["attempts"] == 0


def test_input_without_a_timeout_waits_six_minutes() -> None:
    job = Instance(json.dumps({"blobURL": "http://x/a", "blobName": "a"}))
    assert job.start().state["customStatus"]["deadline"] == "2026-11-23T20:06:00Z"


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a defect\nwith details")


def test_defect_before_publishing_still_ends_with_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("video_jobs.attempts.ProcessingRequest", broken)
    job = Instance()
    job.start()
    result = ended(job.run(completed(0, NOTIFIED)))
    assert result["error"] == {"step": "publishing", "code": "unexpected", "message": "a defect"}


def test_defect_while_reading_a_report_still_ends_with_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("video_jobs.inbox.decode_event", broken)
    job = waiting()
    over = job.run(raised("processed", report()))
    assert over.open_timers() == []
    assert over.stage == "withdrawing"
    job.finish(WITHDRAWN)
    assert ended(job.finish(NOTIFIED))["error"] == {"step": "waiting", "code": "unexpected", "message": "a defect"}


def test_defect_while_waiting_still_ends_with_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("video_jobs.race.EventRace.until", broken)
    job = Instance()
    job.start()
    assert job.run(PUBLISHED).stage == "withdrawing"
    job.finish(WITHDRAWN)
    result = ended(job.finish(NOTIFIED))
    assert result["error"] == {"step": "waiting", "code": "unexpected", "message": "a defect"}


def test_second_report_changes_nothing() -> None:
    job = waiting()
    again = report(details={"segments": [1]})
    reply = job.run(raised("processed", report()), raised("processed", again), raised(OLDER, again))
    assert ended(reply)["report"] == report()


@pytest.mark.filterwarnings("ignore:Potential duplicate Task completion:UserWarning")
def test_reports_while_publishing_and_notifying_are_harmless() -> None:
    job = Instance()
    job.start(raised("processed", report("FAILED")), raised("processed", report()))
    job.run(PUBLISHED, raised("processed", report()))
    assert ended(job.run(completed(job.activity, NOTIFIED), raised(OLDER, report())))["status"] == "failed"


def test_signatures_are_in_no_result_status_or_notification() -> None:
    job = Instance(json.dumps({**BODY, "blobURL": "https://a.example/v/a.avi?sv=2026&sig=SeCrEt%3D&se=2027"}))
    first = job.start()
    assert "SeCrEt" in first.called("send_processing_request")[0]["blobUrl"], "the worker needs it"
    assert "SeCrEt" not in json.dumps(first.state["customStatus"])
    job.run(PUBLISHED)
    error = {"message": "GET https://a.example/v/a.avi?sig=SeCrEt%3D failed"}
    told = job.run(raised("processed", report("FAILED", blobUrl="https://a/b?sig=SeCrEt", error=error)))
    assert "SeCrEt" not in json.dumps(told.called("SendFailureNotification"))
    result = ended(job.run(completed(2, NOTIFIED)))
    assert "SeCrEt" not in json.dumps(result)
    assert result["blobUrl"] == "https://a.example/v/a.avi?sv=2026&sig=hidden&se=2027"
