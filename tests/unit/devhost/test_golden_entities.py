"""Every recorded batch of an entity through the pure core: what its function is given, what follows from its reply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from devhost.durable import apply, status_view
from devhost.durable.entities import BatchResult, EntityState, body, failed, finish
from devhost.durable.entity_messages import Request
from devhost.durable.store import ENTITY, Store
from tests.integration.devhost.golden_instances import cases, differences
from tests.integration.devhost.golden_instances_bodies import without_sorter

NOW = datetime(2026, 11, 23, 20, 0, 0, tzinfo=UTC)
PARENT, EXECUTION = "caller", "execution"

Json = dict[str, Any]


@dataclass
class Batch:
    """One recorded batch, with what the entity was like before the next one (None after the last)."""

    title: str
    given: Json
    returned: Json
    following: Json | None

    @property
    def instance_id(self) -> str:
        return f"@{self.given['self']['name']}@{self.given['self']['key']}"

    @property
    def before(self) -> EntityState:
        return EntityState(self.given["exists"], self.given["state"])

    @property
    def requests(self) -> list[Request]:
        return [request_of(operation, str(number)) for number, operation in enumerate(self.given["batch"])]

    @property
    def result(self) -> BatchResult:
        return finish(self.requests, self.returned, NOW)


def request_of(operation: Json, message_id: str) -> Request:
    """The message that an operation came as; one without input has no such key."""
    request: Request = {"op": operation["name"], "id": message_id}
    if operation["isSignal"]:
        request["signal"] = True
    else:
        request |= {"parent": PARENT, "parentExecution": EXECUTION}
    if operation["input"] is not None:
        request["input"] = operation["input"]
    return request


ENTITY_CASES = [case for case in cases("08-activities-entities") if case["title"].startswith("entity: ")]


def batches() -> Iterator[Batch]:
    for case in ENTITY_CASES:
        episodes = case["episodes"]
        following = [episode["given_to_python"] for episode in episodes[1:]]
        for number, (episode, after) in enumerate(zip(episodes, [*following, None], strict=True)):
            title = f"{case['title']}, batch {number}"
            yield Batch(title, episode["given_to_python"], episode["returned_by_python"], after)


BATCHES = list(batches())


def title(of: Batch | Json) -> str:
    return of.title if isinstance(of, Batch) else str(of["title"])


@pytest.mark.parametrize("batch", BATCHES, ids=title)
def test_the_function_is_given_what_was_recorded(batch: Batch) -> None:
    ours = json.loads(body(batch.instance_id, batch.before, batch.requests))
    for operation in ours["batch"]:
        operation["id"] = "<message id>"
    assert json.dumps(ours) == json.dumps(batch.given)  # the keys' order counts


@pytest.mark.parametrize("batch", BATCHES, ids=title)
def test_the_next_batch_finds_the_state_that_this_one_left(batch: Batch) -> None:
    after = batch.result.state
    assert (after.exists, after.state) == (batch.returned["entityExists"], batch.returned["entityState"])
    if batch.following is not None:
        assert (after.exists, after.state) == (batch.following["exists"], batch.following["state"])


@pytest.mark.parametrize("batch", BATCHES, ids=title)
def test_calls_are_answered_and_signals_are_not(batch: Batch) -> None:
    expected = [
        (request["id"], result["result"], result["isError"])
        for request, result in zip(batch.requests, batch.returned["results"], strict=True)
        if "signal" not in request
    ]
    answers = []
    for instance_id, execution_id, event in batch.result.answers:
        assert (instance_id, execution_id) == (PARENT, EXECUTION)
        message = json.loads(event["Input"])
        answers.append((event["Name"], message["result"], message.get("exceptionType") == "Error"))
    assert answers == expected


@pytest.mark.parametrize("batch", BATCHES, ids=title)
def test_a_signal_that_fails_is_told_to_the_log(batch: Batch) -> None:
    failures = [
        f"operation '{request['op']}': {result['result']}"
        for request, result in zip(batch.requests, batch.returned["results"], strict=True)
        if "signal" in request and result["isError"]
    ]
    assert batch.result.errors == failures


@pytest.mark.parametrize("case", ENTITY_CASES, ids=title)
async def test_the_row_and_its_history_show_the_state_as_recorded(case: Json) -> None:
    last = [batch for batch in BATCHES if batch.title.startswith(f"{case['title']}, batch")][-1]
    store = Store(None)
    with store.transaction():
        apply.batch(store, last.instance_id, last.result, [], NOW)
    execution = store.get(last.instance_id, ENTITY)
    store.close()
    assert execution is not None
    recorded = without_sorter(case["exchange"][0]["response"])
    assert differences(recorded["body"], status_view.status(execution)) == []
    (row,) = status_view.history(
        status_view.entity_history(execution), status_view.Shown(history=True, history_output=True)
    )
    assert list(row) == list(case["history"][0])
    assert differences({**case["history"][0], "Input": execution.input}, row) == []
    state = json.loads(execution.input or "{}").get("state")
    assert json.loads(state) == case["exchange"][1]["response"]["body"], "GET entities/{name}/{key}"


def test_a_batch_that_failed_as_a_whole_keeps_the_state_and_tells_the_callers() -> None:
    requests = [request_of({"name": "add", "input": "1", "isSignal": signal}, "m") for signal in (True, False)]
    result = failed(EntityState(True, "5"), requests, "the function is broken", NOW)
    assert result.state == EntityState(True, "5")
    ((_, _, event),) = result.answers
    assert json.loads(event["Input"])["result"] == '"the function is broken"'
    assert json.loads(event["Input"])["exceptionType"] == "Error"
    assert result.errors == ["operation 'add': \"the function is broken\""]


def test_a_reply_that_misses_an_operation_is_refused() -> None:
    reply = {"entityExists": True, "entityState": "1", "results": [], "signals": []}
    with pytest.raises(ValueError, match="answered 0 of 1 operations"):
        finish([request_of({"name": "add", "input": None, "isSignal": True}, "m")], reply, NOW)


def test_each_recorded_entity_case_is_compared() -> None:
    assert len(ENTITY_CASES) == 16
    assert {batch.title.rpartition(", batch")[0] for batch in BATCHES} == {case["title"] for case in ENTITY_CASES}
