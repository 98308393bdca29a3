"""What an orchestration does next, shown on small literal histories: the pure core alone, no host and no Python app.

The cases with a number are those of HOST_FACTS 11.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devhost.durable import events
from devhost.durable.episode import Decision, Execution, Reply, begin, finish
from devhost.durable.events import Event, EventType
from devhost.durable.failures import STATE_MARKER, UserError, activity_failure
from devhost.durable.names import Names
from devhost.durable.scheduled import ReplaySettings, Scheduled

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)
NAMES = Names.of(["o", "child"], ["a", "b", "c"], ["counter"])
EXECUTION = "11111111-2222-3333-4444-555555555555"

Action = dict[str, Any]


# --- what Python asks for ---------------------------------------------------------------------------------


def activity(name: str) -> Action:
    return {"actionType": 0, "functionName": name, "input": "null"}


def activity_with_retry(name: str, milliseconds: int, attempts: int) -> Action:
    options = {"firstRetryIntervalInMilliseconds": milliseconds, "maxNumberOfAttempts": attempts}
    return {**activity(name), "actionType": 1, "retryOptions": options}


def child(name: str = "child", instance_id: str | None = None) -> Action:
    return {"actionType": 2, "functionName": name, "input": "null", "instanceId": instance_id, "version": None}


def continue_as_new(value: str) -> Action:
    return {"actionType": 4, "input": value}


def timer(after: timedelta, *, cancelled: bool = False) -> Action:
    return {"actionType": 5, "fireAt": events.format_time(NOW + after), "isCanceled": cancelled}


def event(name: str = "go") -> Action:
    return {"actionType": 6, "externalEventName": name, "reason": "ExternalEvent"}


def signal(operation: str) -> Action:
    return {"actionType": 9, "instanceId": "@counter@k", "operation": operation, "input": "1"}


def any_of(*actions: Action) -> Action:
    return {"actionType": 11, "compoundActions": list(actions)}


def all_of(*actions: Action) -> Action:
    return {"actionType": 12, "compoundActions": list(actions)}


# --- what arrives -----------------------------------------------------------------------------------------


def completed(event_id: int, result: str = "1") -> Event:
    return events.task_completed(event_id, result, NOW)


def failed(event_id: int) -> Event:
    reason, details = activity_failure("a", UserError("ValueError", "x", "  File ...\n"))
    return events.task_failed(event_id, reason, details, NOW)


def fired(event_id: int, after: timedelta = timedelta(0)) -> Event:
    return events.timer_fired(event_id, NOW + after, NOW)


def raised(name: str = "go", value: str = "1") -> Event:
    return events.event_raised(name, value, NOW)


@dataclass
class Life:
    """An instance from episode to episode, as the engine would carry it on."""

    settings: ReplaySettings = field(default_factory=ReplaySettings)
    execution: Execution = field(default_factory=lambda: Execution("i", EXECUTION, "o", None, created=NOW, updated=NOW))
    history: list[Event] = field(default_factory=list)

    def begins(self, *actions: Action, **state: Any) -> Decision:
        """The first episode."""
        return self.goes_on([self._started()], *actions, **state)

    def _started(self) -> Event:
        return events.execution_started(
            name="o", instance_id="i", execution_id=self.execution.execution_id, input_json=None, when=NOW
        )

    def goes_on(self, arrived: list[Event], *actions: Action, **state: Any) -> Decision:
        """One more episode: `arrived` came, and Python returns `actions` (all since the start) and `state`."""
        reply: dict[str, Any] = {"isDone": False, "schemaVersion": 2, "actions": [list(actions)], **state}
        return self.with_reply(arrived, Reply(state=reply))

    def with_reply(self, arrived: list[Event], reply: Reply) -> Decision:
        opening = begin(arrived, NOW, continued=self.execution.continued and not self.history)
        decision = finish(self.execution, self.history, opening, reply, names=NAMES, settings=self.settings, now=NOW)
        self.history = [*self.history, *decision.history]
        self.execution = replace(self.execution, status=decision.status, custom_status=decision.custom_status)
        return decision


def sent(decision: Decision) -> list[tuple[int, str]]:
    """Event id and name of what goes out; a timer's name is `timer`."""
    return [(one.event_id, _name(one)) for one in decision.sends]


def _name(one: Scheduled) -> str:
    return "timer" if one.kind is EventType.TIMER_CREATED else one.name


def kinds(decision: Decision) -> list[int]:
    return [one["EventType"] for one in decision.history]


# --- activities -------------------------------------------------------------------------------------------


def test_activities_one_after_the_other_are_each_scheduled_once() -> None:
    """Case 29."""
    life = Life()
    first = life.begins(activity("a"))
    assert (sent(first), kinds(first)) == ([(0, "a")], [12, 0, 4, 13])
    assert sent(life.goes_on([completed(0)], activity("a"), activity("b"))) == [(1, "b")]
    last = life.goes_on([completed(1)], activity("a"), activity("b"), isDone=True, output=[1, 1])
    assert (last.status, last.output, sent(last)) == ("Completed", "[1,1]", [])


def test_an_activity_that_python_asks_for_too_early_waits_for_the_one_before_it() -> None:
    assert sent(Life().begins(activity("a"), activity("b"))) == [(0, "a")]


def test_activities_side_by_side_are_all_scheduled_at_once() -> None:
    """Case 30."""
    life = Life()
    five = all_of(*[activity("a")] * 5)
    assert sent(life.begins(five)) == [(number, "a") for number in range(5)]
    assert life.goes_on([completed(4), completed(0), completed(2)], five).status == "Running"
    done = life.goes_on([completed(1), completed(3)], five, isDone=True, output=[1] * 5)
    assert (done.status, kinds(done)) == ("Completed", [12, 5, 5, 1, 13])


def test_python_may_be_done_before_the_slower_sibling_the_instance_is_not() -> None:
    life = Life()
    both = all_of(activity("a"), activity("b"))
    life.begins(both)
    assert life.goes_on([failed(0)], both, isDone=True, output="caught").status == "Running"
    assert life.goes_on([completed(1)], both, isDone=True, output="caught").status == "Completed"


def test_a_failed_activity_that_nobody_catches_fails_the_instance_with_its_text() -> None:
    """Case 35."""
    life = Life()
    life.begins(activity("a"))
    failure = failed(0)
    text = f"{failure['Reason']} \n {failure['Details']}"
    state = {"isDone": False, "schemaVersion": 2, "actions": [[activity("a")]], "error": text, "customStatus": "half"}
    reply = Reply(error=UserError("Exception", text + STATE_MARKER + json.dumps(state), ""))
    decision = life.with_reply([failure], reply)
    assert decision.status == "Failed"
    assert (decision.output or "").startswith(
        "Orchestrator function 'o' failed: Activity function 'a' failed:  ValueError: x \n {"
    )
    assert decision.custom_status == '"half"'


def test_a_caught_failure_has_its_details_as_json_in_the_second_line() -> None:
    """Case 36."""
    failure = failed(0)
    first, second = f"{failure['Reason']} \n {failure['Details']}".split("\n")
    assert first.strip() == "Activity function 'a' failed:  ValueError: x"
    assert json.loads(second)["InnerException"]["RemoteMessage"] == "ValueError: x"
    life = Life()
    life.begins(activity("a"))
    assert life.goes_on([failure], activity("a"), isDone=True, output="caught").status == "Completed"


def test_an_orchestrator_that_raises_without_a_state_fails_at_once() -> None:
    life = Life()
    decision = life.with_reply([life._started()], Reply(error=UserError("KeyError", "'plain'", "  File ...\n")))
    assert decision.output == (
        "Orchestrator function 'o' failed: One or more errors occurred. "
        "(Result: Failure\nException: KeyError: 'plain'\nStack:   File ...\n)"
    )
    assert (decision.status, decision.custom_status) == ("Failed", None)


# --- retries ----------------------------------------------------------------------------------------------


def test_a_retried_activity_runs_again_after_a_timer() -> None:
    """Case 34."""
    life, action = Life(), activity_with_retry("a", 100, 3)
    assert sent(life.begins(action)) == [(0, "a")]
    for failure, waits, runs in ((0, 1, 2), (2, 3, 4)):
        between = life.goes_on([failed(failure)], action)
        assert sent(between) == [(waits, "timer")]
        assert between.sends[0].fire_at == NOW + timedelta(milliseconds=100)
        assert sent(life.goes_on([fired(waits)], action)) == [(runs, "a")]
    done = life.goes_on([completed(4, "3")], action, isDone=True, output=3)
    assert (done.status, sum(one["EventType"] == EventType.TASK_SCHEDULED for one in life.history)) == ("Completed", 3)


def test_after_the_last_failure_one_more_timer_fires_at_once() -> None:
    life, action = Life(), activity_with_retry("a", 60_000, 2)
    life.begins(action)
    life.goes_on([failed(0)], action)
    life.goes_on([fired(1)], action)
    last = life.goes_on([failed(2)], action)
    assert (sent(last), last.sends[0].fire_at) == ([(3, "timer")], NOW)
    assert life.goes_on([fired(3)], action, isDone=True, output="given up").status == "Completed"


# --- timers and events ------------------------------------------------------------------------------------


def test_an_event_ends_the_instance_when_the_timer_is_cancelled() -> None:
    """Case 31."""
    life, hour = Life(), timedelta(hours=1)
    assert sent(life.begins(any_of(event(), timer(hour)))) == [(0, "timer")]
    done = life.goes_on([raised()], any_of(event(), timer(hour, cancelled=True)), isDone=True, output="event")
    assert (done.status, kinds(done)) == ("Completed", [12, 15, 1, 13])


def test_without_cancel_the_instance_runs_until_the_timer_has_fired() -> None:
    """Case 32."""
    life, both = Life(), any_of(event(), timer(timedelta(hours=1)))
    life.begins(both)
    waiting = life.goes_on([raised()], both, isDone=True, output="event")
    assert (waiting.status, waiting.output) == ("Running", None)
    done = life.goes_on([fired(0)], both, isDone=True, output="event")
    assert (done.status, done.output) == ("Completed", '"event"')


def test_a_long_timer_is_not_cancelled_by_the_sdk_so_its_first_piece_has_to_fire() -> None:
    """Case 33: `LongTimerTask.cancel` leaves the inner action as it was."""
    life, piece = Life(), all_of(timer(timedelta(days=3)))
    both = any_of(event(), piece)
    first = life.begins(both)
    assert first.sends[0].fire_at == NOW + timedelta(days=3)
    assert life.goes_on([raised()], both, isDone=True, output="event").status == "Running"
    assert life.goes_on([fired(0)], both, isDone=True, output="event").status == "Completed"


def test_an_early_event_serves_one_wait() -> None:
    """Case 38, first half."""
    life = Life()
    life.begins(activity("a"))
    assert life.goes_on([raised()], activity("a")).status == "Running"
    done = life.goes_on([completed(0)], activity("a"), event(), isDone=True, output=[1])
    assert done.status == "Completed"


def test_two_waits_need_two_copies_though_python_is_content_with_one() -> None:
    """Case 38, second half."""
    life, actions = Life(), [activity("a"), event(), event()]
    life.begins(actions[0])
    life.goes_on([raised()], actions[0])
    assert life.goes_on([completed(0)], *actions, isDone=True, output=[1, 1]).status == "Running"
    assert life.goes_on([raised(value="2")], *actions, isDone=True, output=[1, 1]).status == "Completed"


def test_an_event_in_another_case_is_taken_and_python_never_sees_it() -> None:
    """Case 39."""
    life = Life()
    life.begins(event("Go"))
    deaf = life.goes_on([raised("go")], event("Go"))
    assert deaf.status == "Running"
    assert deaf.unheard == ["event 'go' was raised, but the orchestrator waits for 'Go'"]
    assert life.goes_on([raised("Go")], event("Go"), isDone=True, output=1).status == "Completed"


# --- continue-as-new and custom status --------------------------------------------------------------------


def test_continue_as_new_starts_a_new_execution_with_the_new_input() -> None:
    """Case 40."""
    life = Life()
    life.begins(activity("a"))
    decision = life.goes_on([completed(0)], activity("a"), continue_as_new("1"), isDone=True)
    assert decision.status == "Running"
    assert decision.continue_with is not None
    started, carried = decision.continue_with
    assert (started["Input"], started["Generation"], carried) == ('"1"', None, [])
    assert started["OrchestrationInstance"]["ExecutionId"] != EXECUTION


def test_events_that_come_with_the_last_one_are_carried_over_earlier_ones_are_lost() -> None:
    life, actions = Life(), [event(), continue_as_new("1")]
    life.begins(event())
    life.goes_on([raised("other", '"early"')], event())
    decision = life.goes_on([raised(value="1"), raised(value="2")], *actions, isDone=True)
    assert decision.continue_with is not None
    _, carried = decision.continue_with
    assert [(one["Input"], one["IsPlayed"]) for one in carried] == [("2", False)]


def test_an_open_timer_delays_the_new_execution() -> None:
    life, both = Life(), any_of(activity("a"), timer(timedelta(seconds=12)))
    life.begins(both)
    waiting = life.goes_on([completed(0)], both, continue_as_new("1"), isDone=True)
    assert (waiting.status, waiting.continue_with) == ("Running", None)
    assert life.goes_on([fired(1)], both, continue_as_new("1"), isDone=True).continue_with is not None


def test_the_new_execution_keeps_the_custom_status_for_its_first_episode() -> None:
    life = Life()
    life.execution = replace(life.execution, continued=True, custom_status='"old"')
    assert life.begins(event()).custom_status == '"old"'
    assert life.goes_on([raised("other")], event()).custom_status is None


@pytest.mark.parametrize(("characters", "status"), [(8701, "Running"), (8702, "Failed")])
def test_a_custom_status_of_17_kilobytes_fails_the_instance(characters: int, status: str) -> None:
    """Case 41: counted as UTF-16, quotes included, in whole KB."""
    decision = Life().begins(activity("a"), customStatus="x" * characters)
    assert decision.status == status
    if status == "Failed":
        assert decision.custom_status is None
        assert decision.output == (
            "Orchestrator function 'o' failed: The UTF-16 size of the JSON-serialized payload must not exceed 16 KB. "
            "The current payload size is 17 KB."
        )


# --- sub-orchestrations -----------------------------------------------------------------------------------


def test_a_child_is_named_after_its_parents_execution_and_its_failure_fails_the_parent() -> None:
    """Case 42."""
    life = Life()
    (item,) = life.begins(child()).sends
    assert item.instance_id == f"{EXECUTION}:0"
    text = "Orchestrator function 'child' failed: child broke"
    arrived = events.sub_orchestration_failed(0, text, "Message: child broke, StackTrace: ", NOW)
    decision = life.goes_on([arrived], child(), error=f"{text} \n {arrived['Details']}")
    assert decision.status == "Failed"
    assert (decision.output or "").startswith(f"Orchestrator function 'o' failed: {text}")


@pytest.mark.parametrize("instance_id", ["i", "@counter@k"])
def test_a_child_with_a_forbidden_id_is_never_started(instance_id: str) -> None:
    decision = Life().begins(child(instance_id=instance_id))
    assert (decision.status, sent(decision)) == ("Running", [])
    assert len(decision.hanging) == 1


# --- control ----------------------------------------------------------------------------------------------


def test_while_suspended_nothing_new_is_scheduled_and_resume_takes_all_up_in_order() -> None:
    """Case 43."""
    life, actions = Life(), [activity("a"), event(), activity("b")]
    life.begins(actions[0])
    paused = life.goes_on([events.execution_suspended("pause", NOW)], actions[0])
    assert (paused.status, paused.output) == ("Suspended", "pause")
    assert life.goes_on([raised()], actions[0]).status == "Suspended"
    waiting = life.goes_on([completed(0)], *actions)
    assert (waiting.status, sent(waiting)) == ("Suspended", [])
    resumed = life.goes_on([events.execution_resumed("go on", NOW)], *actions)
    assert (resumed.status, resumed.output, sent(resumed)) == ("Running", "go on", [(1, "b")])
    assert life.goes_on([completed(1)], *actions, isDone=True, output=1).status == "Completed"


def test_an_instance_that_ended_before_its_suspension_is_not_held_up() -> None:
    life = Life()
    arrived = [life._started(), events.execution_suspended("too late", NOW)]
    decision = life.goes_on(arrived, signal("add"), isDone=True, output=1)
    assert (decision.status, sent(decision)) == ("Completed", [(0, "op")])


def test_terminate_ends_the_instance_whatever_python_would_do() -> None:
    """Case 44."""
    life = Life()
    life.begins(activity("a"), customStatus="busy")
    decision = life.with_reply([events.execution_terminated("enough", NOW)], Reply(state={}))
    assert (decision.status, decision.output, sent(decision)) == ("Terminated", "enough", [])
    assert decision.custom_status == '"busy"'
    assert kinds(decision) == [12, 3, 1, 13]


# --- orchestrators that changed, and what hangs -----------------------------------------------------------


def test_a_renamed_activity_is_found_out() -> None:
    """Case 50."""
    life = Life()
    life.begins(activity("a"))
    decision = life.goes_on([completed(0)], activity("b"), event())
    assert decision.status == "Failed"
    assert (decision.output or "").startswith(
        "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled an activity task "
        "with sequence number 0 named 'a', but the current orchestration replay instead scheduled an activity task "
        "named 'b' with this sequence number.  Was a change made"
    )


def test_another_case_of_the_same_name_is_no_change() -> None:
    life = Life()
    life.begins(activity("a"))
    assert life.goes_on([completed(0)], activity("A"), isDone=True).status == "Completed"


@pytest.mark.parametrize(
    ("now", "text"),
    [
        ([event()], "with sequence ID 0 and name 'a' (version ''), but the current replay execution hasn't (yet?)"),
        ([timer(timedelta(0))], "instead produced a CreateTimerOrchestratorAction action with this sequence number."),
        ([child()], "instead produced a CreateSubOrchestrationAction action with this sequence number."),
        ([signal("add")], "instead produced a SendEventOrchestratorAction action with this sequence number."),
    ],
    ids=["removed", "timer", "child", "signal"],
)
def test_an_activity_that_became_something_else_is_found_out(now: list[Action], text: str) -> None:
    life = Life()
    life.begins(activity("a"))
    decision = life.goes_on([completed(0)], *now)
    assert decision.status == "Failed"
    assert text in (decision.output or "")


def test_an_unknown_activity_hangs_and_its_siblings_run_under_shifted_ids() -> None:
    """Case 52."""
    decision = Life().begins(all_of(activity("a"), activity("nosuch"), activity("b")))
    assert (decision.status, sent(decision)) == ("Running", [(0, "a"), (1, "b")])
    assert decision.hanging == ["activity 'nosuch' does not exist"]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (child("nosuch"), "sub-orchestrator 'nosuch' does not exist"),
        ({**signal("add"), "instanceId": "@nosuch@k"}, "entity 'nosuch' does not exist"),
        (
            activity_with_retry("a", 7 * 86_400_000, 2),
            "retry interval of 7 days, 0:00:00 is longer than 6 days, 0:00:00",
        ),
        (activity_with_retry("a", 1000, 0), "0 attempts are none at all"),
    ],
    ids=["child", "entity", "interval", "attempts"],
)
def test_what_else_the_host_throws_away_in_silence(action: Action, reason: str) -> None:
    decision = Life().begins(action)
    assert (decision.status, sent(decision), decision.hanging) == ("Running", [], [reason])


def test_actions_beyond_the_limit_of_host_json_are_thrown_away() -> None:
    decision = Life(ReplaySettings(max_actions=2)).begins(all_of(*[activity("a")] * 4))
    assert (sent(decision), decision.status) == ([(0, "a"), (1, "a")], "Running")
    assert decision.hanging == ["more than 2 actions (maxOrchestrationActions in host.json)"]


@pytest.mark.parametrize("actions", [[{"actionType": 99}], [all_of({"actionType": 99})]], ids=["alone", "nested"])
def test_an_action_of_no_known_type_fails_the_instance(actions: list[Action]) -> None:
    decision = Life().begins(*actions)
    assert decision.output == ("Orchestrator function 'o' failed: Unknown action type 99 in the orchestrator's reply.")


def test_a_reply_with_two_lists_of_actions_fails_the_instance() -> None:
    life = Life()
    reply = Reply(state={"isDone": False, "schemaVersion": 2, "actions": [[], []]})
    decision = life.with_reply([life._started()], reply)
    assert decision.output == (
        "Orchestrator function 'o' failed: With OOProc schema V3, expected actions array to be of length 1 in outer "
        "layer but got size: 2"
    )
