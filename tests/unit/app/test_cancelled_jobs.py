"""A cancel ends the job as failed, from wherever it is, unless the report is there."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.app.episodes import (
    BODY,
    DOWN,
    JOB,
    NOTIFIED,
    RAISED,
    RECEIPT,
    SENT,
    WITHDRAW,
    WITHDRAWN,
    Instance,
    completed,
    ended,
    failed,
    failure,
    fired,
    publishing,
    raised,
    report,
    second_attempt,
    waiting,
)

pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads was called without:DeprecationWarning")

CANCEL = raised("cancel", {"reason": "the wrong camera"})
LAST_LOOK = timedelta(seconds=2)


def cancelled(job: Instance, step: str, *, withdrawn: bool, message: str = "Cancelled: the wrong camera") -> None:
    """The job, in its last look, ends as it must."""
    over = job.fire(LAST_LOOK)
    if withdrawn:
        assert over.stage == "withdrawing"
        over = job.finish(WITHDRAWN)
    assert [over.failure["status"], over.failure["error"]["code"]] == ["failed", "cancelled"]
    assert bool(over.called(WITHDRAW)) is withdrawn
    result = ended(job.finish(NOTIFIED))
    assert (result["status"], result["report"]) == ("failed", None)
    assert result["error"] == {"step": step, "code": "cancelled", "message": message}


def test_cancel_of_a_waiting_job() -> None:
    job = waiting()
    look = job.run(CANCEL)
    assert look.stage == "withdrawing"
    assert look.called(WITHDRAW) == []
    over = job.fire(LAST_LOOK)
    assert over.called(WITHDRAW) == [{"instance_id": JOB, "attempt": 1, "receipt": RECEIPT}]
    job.finish(WITHDRAWN)
    result = ended(job.finish(NOTIFIED))
    assert result["error"] == {"step": "waiting", "code": "cancelled", "message": "Cancelled: the wrong camera"}


@pytest.mark.parametrize("sent", [completed(0, SENT), completed(0, DOWN), failed(0, RAISED)])
def test_cancel_while_publishing(sent: dict[str, Any]) -> None:
    job = publishing()
    assert job.run(CANCEL).stage == "publishing"
    assert job.run(sent).stage == "withdrawing"
    cancelled(job, "publishing", withdrawn=sent == completed(0, SENT))


def test_report_in_the_last_look_shows_that_the_request_was_sent() -> None:
    job = publishing()
    job.run(CANCEL)
    job.finish(DOWN)
    result = ended(job.run(raised("processed", report())))
    assert (result["status"], result["attempts"]) == ("processed", 1)


def test_cancel_before_the_first_episode() -> None:
    job = Instance()
    job.start(CANCEL)
    job.finish(SENT)
    cancelled(job, "publishing", withdrawn=True)


def test_cancel_during_a_pause_between_tries() -> None:
    job = publishing()
    job.finish(DOWN)
    reply = job.run(CANCEL)
    assert len(reply.called("send_processing_request")) == 1
    cancelled(job, "publishing", withdrawn=False)


def test_cancel_in_the_last_look() -> None:
    job = waiting()
    job.fire(timedelta(seconds=360))
    job.run(CANCEL)
    cancelled(job, "waiting", withdrawn=True)


def test_cancel_of_the_second_attempt() -> None:
    job = second_attempt()
    job.run(CANCEL)
    cancelled(job, "waiting", withdrawn=True)


def test_cancel_while_the_second_attempt_is_published() -> None:
    job = waiting(maxAttempts=2)
    job.run(raised("processed", failure(1)), CANCEL)
    job.finish(SENT)
    cancelled(job, "publishing", withdrawn=True)


@pytest.mark.parametrize("report_first", [True, False])
def test_report_in_the_same_batch_as_the_cancel_wins(report_first: bool) -> None:
    batch = [raised("processed", report()), CANCEL]
    reply = waiting().run(*(batch if report_first else reversed(batch)))
    assert ended(reply)["status"] == "processed"


def test_report_timer_and_cancel_in_one_batch() -> None:
    batch = [CANCEL, fired(1), raised("processed", report())]
    assert ended(waiting().run(*batch, after=timedelta(seconds=360)))["status"] == "processed"


def test_failure_beside_a_cancel_is_not_tried_again() -> None:
    job = waiting(maxAttempts=2)
    told = job.run(CANCEL, raised("processed", failure(1)))
    assert (told.stage, len(told.called("send_processing_request"))) == ("notifying", 1)
    result = ended(job.finish(NOTIFIED))
    assert (result["error"]["code"], result["report"]) == ("no_space", failure(1))


def test_garbage_beside_a_cancel_does_not_save_the_job() -> None:
    job = waiting()
    job.run(CANCEL, raised("processed", "hello"), CANCEL)
    cancelled(job, "waiting", withdrawn=True)


@pytest.mark.parametrize("by_sdk", [True, False])
@pytest.mark.parametrize("data", [None, {}, {"reason": None}, {"reason": ""}])
def test_cancel_without_a_reason(data: Any, by_sdk: bool) -> None:
    job = waiting()
    job.run(raised("cancel", data, by_sdk=by_sdk))
    cancelled(job, "waiting", withdrawn=True, message="Cancelled")


@pytest.mark.parametrize("name", ["Cancel", "CANCEL"])
def test_cancel_in_another_case_which_the_host_takes_for_ours(name: str) -> None:
    job = waiting()
    job.run(raised(name, {"reason": "the wrong camera"}))
    cancelled(job, "waiting", withdrawn=True)


def test_reason_is_one_line_without_secrets() -> None:
    job = waiting()
    job.run(raised("cancel", {"reason": "see https://a/b?sig=SeCrEt\nand more"}))
    cancelled(job, "waiting", withdrawn=True, message="Cancelled: see https://a/b?sig=hidden")


@pytest.mark.parametrize(
    "garbage",
    ["now", 5, [], {"why": "x"}, {"reason": 5}, {"reason": "x" * 1025}, {"__class__": "Nope", "__module__": "nope"}],
)
def test_cancel_of_the_wrong_shape_is_ignored(garbage: Any) -> None:
    job = waiting()
    shown = job.run(raised("cancel", garbage, by_sdk=False)).shown
    assert (shown["stage"], shown["ignored"]["count"]) == ("waiting", 1)
    assert ended(job.run(raised("processed", report())))["status"] == "processed"


def test_longest_reason_by_the_sdk() -> None:
    job = waiting()
    assert "ignored" not in job.run(raised("cancel", {"reason": "ж" * 512})).shown


@pytest.mark.parametrize("stage", ["withdrawing", "notifying"])
def test_cancel_of_a_decided_job_changes_nothing(stage: str) -> None:
    job = waiting()
    job.fire(timedelta(seconds=361))
    reply = job.fire(LAST_LOOK)
    if stage == "notifying":
        reply = job.finish(WITHDRAWN)
    assert reply.stage == stage
    job.run(CANCEL)
    if stage == "withdrawing":
        job.finish(WITHDRAWN)
    assert ended(job.finish(NOTIFIED))["status"] == "timeout"


def test_job_of_five_days_is_cancelled_at_once() -> None:
    job = Instance(json.dumps({**BODY, "timeoutSeconds": 432_000}))
    job.start()
    job.finish(SENT)
    job.fire(timedelta(days=1))
    job.run(CANCEL)
    cancelled(job, "waiting", withdrawn=True)
