"""Publishing with its retries, attempts and their reports, and the withdrawal of what nobody took."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.app.episodes import (
    DOWN,
    JOB,
    KEPT,
    NOTIFIED,
    PUBLISH,
    RAISED,
    RECEIPT,
    SECOND_RECEIPT,
    SENT,
    START,
    WITHDRAW,
    WITHDRAWN,
    Reply,
    completed,
    ended,
    failed,
    failure,
    fired,
    publishing,
    raised,
    report,
    second_attempt,
    stamp,
    waiting,
)

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads was called without:DeprecationWarning")


def attempts(reply: Reply) -> list[int]:
    return [request["attempt"] for request in reply.called(PUBLISH)]


def test_publishing_is_tried_three_times_with_growing_pauses() -> None:
    job = publishing()
    for seconds in (5, 20):
        paused = job.finish(DOWN)
        assert (paused.stage, paused.open_timers()) == ("publishing", [job.timer])
        assert paused.timers[-1]["fireAt"] == stamp(job.now + timedelta(seconds=seconds))
        assert job.fire(timedelta(seconds=seconds)).stage == "publishing"
    told = job.finish(DOWN)
    assert told.stage == "notifying"
    assert attempts(told) == [1, 1, 1]
    assert told.called(WITHDRAW) == []
    result = ended(job.finish(NOTIFIED))
    assert (result["status"], result["attempts"]) == ("failed", 0)
    assert result["error"] == {"step": "publishing", **DOWN["error"]}


@pytest.mark.parametrize("trouble", [completed(0, DOWN), failed(0, RAISED)])
def test_storage_that_comes_back_costs_the_job_nothing(trouble: dict[str, Any]) -> None:
    job = publishing()
    job.run(trouble)
    job.fire(timedelta(seconds=5))
    waits = job.finish(SENT)
    assert waits.stage == "waiting"
    assert waits.timers[-1]["fireAt"] == stamp(START + timedelta(seconds=361))
    result = ended(job.run(raised("processed", report(attempt=1))))
    assert (result["status"], result["attempts"]) == ("processed", 1)


@pytest.mark.parametrize("code", ["bad_setting", "too_late"])
def test_what_no_wait_can_mend_is_not_tried_again(code: str) -> None:
    job = publishing()
    assert job.finish({"ok": False, "error": {"code": code, "message": "m"}}).stage == "notifying"
    assert ended(job.finish(NOTIFIED))["error"] == {"step": "publishing", "code": code, "message": "m"}


def test_publishing_is_not_tried_beyond_the_deadline() -> None:
    job = publishing(timeoutSeconds=25)
    job.finish(DOWN)
    job.fire(timedelta(seconds=5))
    assert job.finish(DOWN).stage == "notifying"
    assert ended(job.finish(NOTIFIED))["error"]["code"] == "storage_unavailable"


def test_answer_of_the_activity_that_nobody_understands() -> None:
    job = publishing()
    assert job.finish({"sent": 1}).stage == "notifying"
    assert ended(job.finish(NOTIFIED))["error"] == {"step": "publishing", "code": "unexpected", "message": "'ok'"}


def test_report_during_a_pause_wins() -> None:
    job = publishing()
    job.finish(DOWN)
    result = ended(job.run(raised("processed", report())))
    assert (result["status"], result["attempts"]) == ("processed", 1)


@pytest.mark.parametrize("report_first", [True, False])
def test_report_in_the_same_batch_as_the_end_of_a_pause_wins(report_first: bool) -> None:
    job = publishing()
    job.finish(DOWN)
    batch = [raised("processed", report()), fired(job.timer)]
    reply = job.run(*(batch if report_first else reversed(batch)), after=timedelta(seconds=5))
    assert reply.done is report_first
    assert ended(reply if report_first else job.finish(DOWN))["status"] == "processed"


def test_garbage_during_a_pause_does_not_shorten_it() -> None:
    job = publishing()
    job.finish(DOWN)
    reply = job.run(raised("processed", "hello"), after=timedelta(seconds=3))
    assert reply.timers[-1]["fireAt"] == stamp(START + timedelta(seconds=5))
    job.fire(timedelta(seconds=2))
    job.finish(SENT)
    assert ended(job.run(raised("processed", report())))["status"] == "processed"


def test_failure_that_may_pass_is_tried_again_until_the_same_deadline() -> None:
    job = waiting(maxAttempts=2)
    again = job.run(raised("processed", failure(1)), after=timedelta(seconds=30))
    assert again.shown == {"stage": "publishing", "attempt": 2, "deadline": "2026-11-23T20:06:00Z"}
    assert again.open_timers() == []
    first, second = again.called(PUBLISH)
    assert second == {**first, "attempt": 2, "posted": "2026-11-23T20:00:30Z"}
    waits = job.finish(SENT)
    assert waits.timers[-1]["fireAt"] == stamp(START + timedelta(seconds=361))
    result = ended(job.run(raised("processed", report(attempt=2))))
    assert (result["status"], result["attempts"], result["report"]["attempt"]) == ("processed", 2, 2)


def test_failure_of_the_last_attempt_ends_the_job() -> None:
    job = second_attempt()
    told = job.run(raised("processed", failure(2)))
    assert (told.stage, attempts(told), told.called(WITHDRAW)) == ("notifying", [1, 2], [])
    result = ended(job.finish(NOTIFIED))
    assert (result["status"], result["attempts"], result["report"]) == ("failed", 2, failure(2))
    assert result["error"] == {"step": "worker", "code": "no_space", "message": "the disk is full"}


def test_failure_that_will_not_pass_ends_the_job_at_once() -> None:
    job = waiting(maxAttempts=5)
    assert job.run(raised("processed", failure(1, retryable=False))).stage == "notifying"
    assert ended(job.finish(NOTIFIED))["attempts"] == 1


def test_five_attempts() -> None:
    job = waiting(maxAttempts=5)
    for attempt in range(1, 5):
        job.run(raised("processed", failure(attempt)))
        job.finish(SENT)
    told = job.run(raised("processed", failure(5)))
    assert attempts(told) == [1, 2, 3, 4, 5]
    assert ended(job.finish(NOTIFIED))["attempts"] == 5


@pytest.mark.parametrize("report_first", [True, False])
def test_failure_at_the_deadline_leaves_no_time_for_another_attempt(report_first: bool) -> None:
    job = waiting(maxAttempts=2)
    batch = [raised("processed", failure(1)), fired(1)]
    told = job.run(*(batch if report_first else reversed(batch)), after=timedelta(seconds=360))
    assert (told.stage, attempts(told)) == ("notifying", [1])
    assert ended(job.finish(NOTIFIED))["error"]["code"] == "no_space"


@pytest.mark.parametrize("stale", [failure(1), report(attempt=1)])
def test_report_for_an_older_attempt_cannot_finish_the_newer_one(
    stale: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    job = second_attempt()
    caplog.clear()
    for count in (1, 2):
        shown = job.run(raised("processed", stale)).shown
        assert shown["stage"] == "waiting"
        assert shown["ignored"] == {
            "count": count,
            "last": "stale_attempt: a report for attempt 1; attempt 2 is on",
        }
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * count
    result = ended(job.run(raised("processed", report(attempt=2))))
    assert (result["status"], result["attempts"], result["report"]["attempt"]) == ("processed", 2, 2)


def test_stale_report_while_the_next_attempt_is_published() -> None:
    job = waiting(maxAttempts=2)
    reply = job.run(raised("processed", failure(1)), raised("processed", report(attempt=1)))
    assert (reply.stage, reply.shown["ignored"]["count"]) == ("publishing", 1)
    assert job.finish(SENT).stage == "waiting"
    assert ended(job.run(raised("processed", report(attempt=2))))["report"]["attempt"] == 2


def test_stale_report_and_the_right_one_in_the_batch_of_the_timer() -> None:
    job = second_attempt()
    batch = [fired(job.timer), raised("processed", failure(1)), raised("processed", report(attempt=2))]
    assert ended(job.run(*batch, after=timedelta(seconds=360)))["status"] == "processed"


def test_report_for_an_attempt_that_is_yet_to_come_is_ignored() -> None:
    job = waiting(maxAttempts=2)
    reply = job.run(raised("processed", report(attempt=2)))
    assert reply.shown["ignored"]["last"].startswith("breaks_contract: a report for attempt 2")
    assert ended(job.run(raised("processed", report(attempt=1))))["report"]["attempt"] == 1


def test_report_without_an_attempt_counts_for_the_current_one() -> None:
    job = waiting(maxAttempts=2)
    assert job.run(raised("processed", failure())).shown["attempt"] == 2
    job.finish(SENT)
    result = ended(job.run(raised("processed", report())))
    assert (result["status"], result["attempts"]) == ("processed", 2)


def test_report_that_the_queue_gave_twice_costs_one_attempt() -> None:
    job = waiting(maxAttempts=3)
    told = failure(stop_timestamp="2025-12-14T18:00:37.427266")
    reply = job.run(raised("processed", told), raised("processed", told))
    assert (attempts(reply), reply.shown["ignored"]["count"]) == ([1, 2], 1)
    job.finish(SENT)
    assert job.run(raised("processed", told)).shown["ignored"]["last"].startswith("repeated")
    assert ended(job.run(raised("processed", report())))["attempts"] == 2


def test_equal_reports_without_a_time_are_two_failures() -> None:
    job = waiting(maxAttempts=2)
    job.run(raised("processed", failure()))
    job.finish(SENT)
    job.run(raised("processed", failure()))
    assert ended(job.finish(NOTIFIED))["error"]["code"] == "no_space"


def test_failure_before_the_publish_activity_has_ended() -> None:
    job = publishing(maxAttempts=2)
    reply = job.run(raised("processed", failure(1)), raised("processed", report(attempt=1)))
    assert (reply.stage, attempts(reply)) == ("publishing", [1])
    again = job.finish(SENT)
    assert (again.stage, attempts(again), again.shown["attempt"]) == ("publishing", [1, 2], 2)
    job.finish(SENT)
    assert ended(job.run(raised("processed", report(attempt=2))))["attempts"] == 2


def test_events_by_both_names_while_the_second_attempt_is_published() -> None:
    # The second wait of the older name is opened behind the running activity.
    job = waiting(maxAttempts=2)
    job.run(raised("processed", failure(1)))
    job.run(raised("PROCESSING_VIDEO_COMPLITED", failure(1)))
    job.run(raised("processed", failure(1)))
    job.run(raised("PROCESSING_VIDEO_COMPLITED", report(attempt=2)))
    result = ended(job.finish(SENT))
    assert (result["status"], result["attempts"]) == ("processed", 2)


def test_timeout_of_the_second_attempt_says_why_the_first_one_failed() -> None:
    job = second_attempt()
    job.fire(timedelta(seconds=361))
    over = job.fire(timedelta(seconds=2))
    assert over.called(WITHDRAW) == [{"instance_id": JOB, "attempt": 2, "receipt": SECOND_RECEIPT}]
    job.finish(WITHDRAWN)
    result = ended(job.finish(NOTIFIED))
    assert (result["status"], result["attempts"], result["report"]) == ("timeout", 2, None)
    assert result["error"]["message"] == (
        "No report from the worker by 2026-11-23T20:06:00Z; attempt 1 had failed: no_space: the disk is full"
    )


def test_second_attempt_that_cannot_be_published() -> None:
    job = waiting(maxAttempts=2)
    job.run(raised("processed", failure(1)))
    told = job.finish({"ok": False, "error": {"code": "bad_setting", "message": "m"}})
    assert (told.stage, told.called(WITHDRAW)) == ("notifying", [])
    result = ended(job.finish(NOTIFIED))
    assert (result["status"], result["attempts"], result["error"]["step"]) == ("failed", 1, "publishing")


@pytest.mark.parametrize(
    ("withdrawal", "logged"),
    [
        (completed(3, WITHDRAWN), ""),
        (completed(3, {"ok": True, "withdrawn": False}), ""),
        (completed(3, DOWN), "no answer"),
        (completed(3, None), "could not be withdrawn"),
        (failed(3, "Activity function 'withdraw_request' failed:  KeyError: k"), "KeyError"),
    ],
)
def test_withdrawal_never_changes_the_result(
    withdrawal: dict[str, Any], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = waiting()
    job.fire(timedelta(seconds=361))
    over = job.fire(timedelta(seconds=2))
    assert over.called(WITHDRAW) == [{"instance_id": JOB, "attempt": 1, "receipt": RECEIPT}]
    caplog.clear()
    assert job.run(withdrawal).stage == "notifying"
    assert (logged in caplog.text) if logged else not caplog.text
    result = ended(job.finish(NOTIFIED))
    assert (result["status"], result["error"]["code"]) == ("timeout", "timeout")


@pytest.mark.parametrize("told", [report(), failure(1), report("FAILED")])
def test_request_that_a_worker_had_is_not_withdrawn(told: dict[str, Any]) -> None:
    job = waiting()
    reply = job.run(raised("processed", told))
    assert reply.called(WITHDRAW) == []
    ended(reply if reply.done else job.finish(NOTIFIED))


def test_job_is_open_until_its_deadline_and_listens_a_second_more_though_both_timers_are_early() -> None:
    job = waiting()
    look = job.fire(timedelta(seconds=360, milliseconds=100))
    assert (look.stage, look.called(WITHDRAW)) == ("withdrawing", [])
    assert look.timers[-1]["fireAt"] == stamp(START + timedelta(seconds=362, milliseconds=100))
    assert ended(job.run(raised("processed", report()), after=timedelta(seconds=1)))["status"] == "processed"


@pytest.mark.parametrize("status", ["PROCESSED", "FAILED"])
def test_report_behind_the_timer_of_the_last_look_counts(status: str) -> None:
    job = waiting()
    job.fire(timedelta(seconds=361))
    over = job.run(fired(job.timer), raised("processed", report(status)), after=timedelta(seconds=2))
    assert len(over.called(WITHDRAW)) == 1
    reply = job.finish({"ok": True, "withdrawn": False})
    result = ended(reply if reply.done else job.finish(NOTIFIED))
    assert (result["status"], result["report"]["status"]) == (status.lower(), status)


def test_report_of_a_decided_job_is_kept_as_late() -> None:
    job = waiting()
    job.fire(timedelta(seconds=361))
    job.fire(timedelta(seconds=2))
    told = job.run(completed(job.activity, WITHDRAWN), raised("processed", report()))
    assert told.stage == "notifying"
    last = job.finish(NOTIFIED)
    (kept,) = last.kept
    assert (kept["reason"], json.loads(kept["message"])) == ("late", report())
    assert kept["received_at"] == "2026-11-23T20:06:03Z"
    result = ended(last)
    assert (result["status"], result["report"]) == ("timeout", None)


def test_report_while_what_was_ignored_is_kept_is_kept_too() -> None:
    job = waiting()
    job.run(raised("processed", report("FAILED")), raised("processed", report()))
    first = job.finish(NOTIFIED)
    assert [entry["reason"] for entry in first.kept] == ["late"]
    job.run(raised("processed", "hello"))
    last = job.finish(KEPT)
    assert [entry["reason"] for entry in last.kept] == ["late", "not_json"]
    assert ended(last)["report"] == report("FAILED")


def test_flood_of_garbage_does_not_put_off_the_end(caplog: pytest.LogCaptureFixture) -> None:
    job = waiting()
    job.run(raised("processed", "hello"))
    job.run(raised("processed", report()))
    for _ in range(2):
        job.run(raised("processed", "hello"), completed(job.activity, KEPT))
    assert ended(job.last)["status"] == "processed"
    assert "1 events that came at its very end" in caplog.text


@pytest.mark.parametrize("trouble", [DOWN, None])
def test_keeping_what_was_ignored_is_tried_three_times(trouble: Any, caplog: pytest.LogCaptureFixture) -> None:
    job = waiting()
    job.run(raised("processed", "hello"))
    job.run(raised("processed", report()))
    for seconds in (5, 20):
        assert not job.run(completed(job.activity, trouble)).done
        job.fire(timedelta(seconds=seconds))
    assert ended(job.run(completed(job.activity, trouble)))["status"] == "processed"
    assert caplog.text.count("1 ignored events could not be kept") == 3
