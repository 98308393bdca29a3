"""Apps in the style of the public samples, from tests/apps, on the host that `--functions-host` chooses.

The tests use HTTP and Storage queues only, so that devhost and a real `func` meet the very same ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, TextBase64DecodePolicy

from tests.acceptance.host_under_test import (
    DEVHOST,
    FUNC,
    MANAGEMENT,
    OPTION,
    Instance,
    Json,
    RunningHost,
    local_storage,
    running_app,
    wait_until,
)


@pytest.fixture(scope="class")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """The app that the test class names, started once for all of its tests."""
    tests = request.cls
    choice: str = request.config.getoption(OPTION)
    storage = None
    # A real host keeps instances in storage, too; devhost needs none for them.
    if choice == FUNC or (choice == DEVHOST and tests.uses_queues):
        storage = request.getfixturevalue("azurite").connection_string
    elif choice != DEVHOST:
        storage = local_storage()
    with running_app(tests.app, choice, tmp_path_factory.mktemp(tests.app), storage) as running:
        yield running


class AppTests:
    """Tests of one app."""

    app: ClassVar[str]
    uses_queues: ClassVar[bool] = False


class TestFunctionChaining(AppTests):
    app = "function_chaining"

    def test_each_activity_gets_what_the_one_before_returned(self, host: RunningHost) -> None:
        headline = host.start("/api/headlines", data="  cat   found ")
        assert headline.output() == "*** Cat Found ***"
        done = [row for row in headline.history() if row["EventType"] == "TaskCompleted"]
        assert [(row["FunctionName"], row["Result"]) for row in done] == [
            ("tidy", "cat found"),
            ("title", "Cat Found"),
            ("frame", "*** Cat Found ***"),
        ]

    def test_the_links_of_the_answer_work(self, host: RunningHost) -> None:
        links = host.request("POST", "/api/headlines", data="x").json()
        host.instance(links["id"]).end()
        asked = urlsplit(links["statusQueryGetUri"])
        assert host.json("GET", f"{asked.path}?{asked.query}")["output"] == "*** X ***"
        purged = urlsplit(links["purgeHistoryDeleteUri"])
        assert host.json("DELETE", f"{purged.path}?{purged.query}") == {"instancesDeleted": 1}
        assert host.request("GET", f"{asked.path}?{asked.query}").status_code == 404


class TestFanOutFanIn(AppTests):
    app = "fan_out_fan_in"

    def test_500_activities_run_and_their_results_come_together(self, host: RunningHost) -> None:
        squares = host.start("/api/squares/500")
        assert squares.output() == sum(number * number for number in range(500))
        rows = [row for row in squares.history() if row["EventType"] == "TaskCompleted"]
        assert sorted(row["Result"] for row in rows) == [number * number for number in range(500)]

    def test_without_any_activity_the_sum_is_0(self, host: RunningHost) -> None:
        assert host.start("/api/squares/0").output() == 0


class TestHumanInteraction(AppTests):
    app = "human_interaction"

    def waiting(self, host: RunningHost, seconds: int) -> Instance:
        expense = host.start("/api/expenses", json={"amount": 80, "seconds": seconds})
        # The real host may lose an event for an instance that has not begun to run.
        expense.until(lambda status: status["customStatus"] == "waiting for a decision", "waiting")
        return expense

    @pytest.mark.parametrize(("decision", "outcome"), [("approve", "paid"), ("refuse", "refused")])
    def test_a_decision_ends_it_long_before_the_timer(self, host: RunningHost, decision: str, outcome: str) -> None:
        expense = self.waiting(host, seconds=3600)
        answer = host.request("POST", f"/api/expenses/{expense.id}/decision", data=decision)
        assert answer.status_code == 202
        assert expense.output() == outcome
        assert "TimerFired" not in [row["EventType"] for row in expense.history()]

    def test_without_a_decision_the_timer_ends_it(self, host: RunningHost) -> None:
        assert self.waiting(host, seconds=1).output() == "escalated: nobody decided about 80"


class TestMonitor(AppTests):
    app = "monitor"

    def test_it_looks_until_the_condition_is_met(self, host: RunningHost) -> None:
        job = f"job{uuid4().hex[:8]}"
        monitor = host.start("/api/monitors", json={"job": job, "every": 0.2, "for": 60})
        monitor.until(lambda status: (status["customStatus"] or {}).get("looks", 0) >= 2, "two looks")
        assert host.request("PUT", f"/api/printer/{job}", data="done").status_code == 202
        assert monitor.output() == f"{job} lies in the tray"
        assert monitor.status()["customStatus"]["state"] == "done"

    def test_it_expires(self, host: RunningHost) -> None:
        job = f"job{uuid4().hex[:8]}"
        monitor = host.start("/api/monitors", json={"job": job, "every": 0.4, "for": 1})
        assert monitor.output() == "expired"
        assert monitor.status()["customStatus"]["state"] == "unknown"


class TestEternalOrchestration(AppTests):
    app = "eternal_orchestration"

    def test_each_round_begins_with_an_empty_history(self, host: RunningHost) -> None:
        tidying = host.start("/api/tidying", json={"rounds": 3})
        assert tidying.output() == "tidied up 3 times"
        status = tidying.status()
        # An input given through the SDK is shown as JSON text.
        assert json.loads(status["input"]) == {"rounds": 3, "round": 3}
        assert status["customStatus"] == {"round": 3}
        assert [row["EventType"] for row in tidying.history()] == [
            "ExecutionStarted",
            "TaskCompleted",
            "ExecutionCompleted",
        ]

    def test_it_goes_on_until_it_is_terminated(self, host: RunningHost) -> None:
        tidying = host.start("/api/tidying", json={})
        tidying.until(lambda status: (status["customStatus"] or {"round": 0})["round"] >= 3, "round 3")
        answer = host.request("POST", f"{MANAGEMENT}/instances/{tidying.id}/terminate?reason=clean%20enough")
        assert answer.status_code == 202
        status = tidying.end()
        assert (status["runtimeStatus"], status["output"]) == ("Terminated", "clean enough")


class TestCounterEntity(AppTests):
    app = "counter_entity"

    def signal(self, host: RunningHost, key: str, operation: str, amount: int | None = None) -> None:
        answer = host.request("POST", f"/api/counters/{key}/{operation}", json=amount)
        assert answer.status_code == 202

    def until(self, host: RunningHost, key: str, value: int) -> None:
        seen: list[Any] = []

        def look() -> bool:
            answer = host.request("GET", f"/api/counters/{key}")
            seen[:] = [answer.json() if answer.ok else None]
            return seen == [value]

        wait_until(look, f"counter {key} is {value}")

    def test_signals_are_handled_one_after_another(self, host: RunningHost) -> None:
        key = uuid4().hex
        assert host.request("GET", f"/api/counters/{key}").status_code == 404
        with ThreadPoolExecutor(4) as clients:
            list(clients.map(lambda amount: self.signal(host, key, "add", amount), range(1, 11)))
        self.until(host, key, 55)
        self.signal(host, key, "reset")
        self.until(host, key, 0)
        self.signal(host, key, "add", -3)
        self.until(host, key, -3)

    def test_the_host_lists_it(self, host: RunningHost) -> None:
        key = uuid4().hex
        self.signal(host, key, "add", 7)
        self.until(host, key, 7)
        assert host.json("GET", f"{MANAGEMENT}/entities/counter/{key}") == 7
        listed = host.json("GET", f"{MANAGEMENT}/entities/counter")
        assert {"name": "counter", "key": key} in [each["entityId"] for each in listed]


class TestBankTransfer(AppTests):
    app = "bank_transfer"

    def account(self, host: RunningHost, balance: int) -> str:
        owner = f"owner{uuid4().hex[:8]}"
        assert host.request("PUT", f"/api/accounts/{owner}", json=balance).status_code == 202
        wait_until(lambda: self.balance(host, owner) == balance, f"{owner} has {balance}")
        return owner

    def balance(self, host: RunningHost, owner: str) -> Any:
        answer = host.request("GET", f"{MANAGEMENT}/entities/account/{owner}")
        return answer.json() if answer.status_code == 200 else None

    def transfer(self, host: RunningHost, giver: str, taker: str, amount: int) -> Instance:
        return host.start("/api/transfers", json={"from": giver, "to": taker, "amount": amount})

    def test_money_goes_from_one_account_to_the_other(self, host: RunningHost) -> None:
        ann, bob = self.account(host, 100), self.account(host, 1)
        assert self.transfer(host, ann, bob, 30).output() == {"transferred": 30, "balance": 31}
        assert (self.balance(host, ann), self.balance(host, bob)) == (70, 31)

    def test_nothing_moves_when_there_is_too_little(self, host: RunningHost) -> None:
        ann, bob = self.account(host, 10), self.account(host, 1)
        refused = self.transfer(host, ann, bob, 30).output()
        assert refused == {"transferred": 0, "reason": f"{ann} has too little"}
        assert (self.balance(host, ann), self.balance(host, bob)) == (10, 1)

    def test_transfers_at_the_same_time_never_overdraw(self, host: RunningHost) -> None:
        ann, bob = self.account(host, 50), self.account(host, 1)
        transfers = [self.transfer(host, ann, bob, 20) for _ in range(5)]
        moved = [each.output()["transferred"] for each in transfers]
        assert sorted(moved) == [0, 0, 0, 20, 20]
        assert (self.balance(host, ann), self.balance(host, bob)) == (10, 41)


class TestSubOrchestrations(AppTests):
    app = "sub_orchestrations"

    def test_three_levels_bring_their_counts_up(self, host: RunningHost) -> None:
        floors = {"ground": {"novels": 3, "maps": 4}, "cellar": {"records": 5}, "attic": {}}
        assert host.start("/api/libraries", json=floors).output() == {"ground": 7, "cellar": 5, "attic": 0}

    def test_children_are_instances_of_their_own(self, host: RunningHost) -> None:
        library = host.start("/api/libraries", json={"ground": {"novels": 3, "maps": 4}})
        library.end()
        (floor,) = [
            row["InstanceId"] for row in library.history() if row["EventType"] == "SubOrchestrationInstanceCompleted"
        ] or [None]
        shelves = [host.instance(f"{floor}-{position}").status() for position in (0, 1)]
        assert [(shelf["name"], shelf["output"]) for shelf in shelves] == [("count_shelf", 3), ("count_shelf", 4)]

    def test_a_failure_at_the_bottom_comes_up_to_the_top(self, host: RunningHost) -> None:
        status = host.start("/api/libraries", json={"ground": {"novels": -1}}).end()
        assert status["runtimeStatus"] == "Failed"
        assert "a shelf can't hold -1 books" in status["output"]


class TestBlueprints(AppTests):
    app = "blueprints"

    def test_a_plain_blueprint_answers(self, host: RunningHost) -> None:
        assert host.request("GET", "/api/open/Monday").text == "closed"
        assert host.request("GET", "/api/open/friday").text == "8 to 18"

    def test_a_route_of_one_file_starts_the_orchestration_of_another(self, host: RunningHost) -> None:
        assert host.start("/api/cakes/lemon").output() == "lemon cake"


class TestSyncAndAsync(AppTests):
    app = "sync_and_async"

    @pytest.mark.parametrize("place", ["hall", "garden"])
    def test_two_calls_of_one_function_run_at_the_same_time(self, host: RunningHost, place: str) -> None:
        with ThreadPoolExecutor(2) as guests:
            answers = guests.map(lambda guest: host.request("GET", f"/api/{place}/{guest}").text, ["Ann", "Bob"])
            assert list(answers) == [f"{guest} met somebody in the {place}" for guest in ("Ann", "Bob")]

    def test_the_loop_is_free_while_a_sync_function_blocks_its_thread(self, host: RunningHost) -> None:
        with ThreadPoolExecutor(1) as guests:
            first = guests.submit(host.request, "GET", "/api/hall/Ann")
            assert host.start("/api/words", data="Hello").output() == ["HELLO", "hello"]
            assert not first.done()
            assert host.request("GET", "/api/hall/Bob").ok
            assert first.result().ok


class TestAllTriggers(AppTests):
    app = "all_triggers"
    uses_queues = True

    def take(self, host: RunningHost, queue: str, wanted: Callable[[str], bool]) -> str:
        """The first message that is wanted, taken out of the queue; others are dropped."""
        assert host.storage is not None
        with QueueClient.from_connection_string(
            host.storage, queue, message_decode_policy=TextBase64DecodePolicy()
        ) as client:

            def look() -> str | None:
                try:
                    message = client.receive_message()
                except ResourceNotFoundError:  # nothing was sent yet
                    return None
                if message is None:
                    return None
                client.delete_message(message)
                return str(message.content) if wanted(message.content) else None

            return wait_until(look, f"a message in {queue}")

    def notify(self, host: RunningHost, event: Json) -> int:
        return host.request(
            "POST",
            "/runtime/webhooks/eventgrid?functionName=hand_in_by_event",
            json=[event],
            headers={"aeg-event-type": "Notification"},
        ).status_code

    def delivered(self, host: RunningHost, number: str) -> Any:
        self.take(host, "receipts", lambda text: text == f"receipt for {number}")
        return host.instance(number).output()

    def test_http_to_queue_to_orchestration(self, host: RunningHost) -> None:
        number = f"p{uuid4().hex[:8]}"
        assert host.request("POST", f"/api/parcels/{number}", data="Ann").status_code == 202
        assert self.delivered(host, number) == "delivered to Ann"
        counted = f"{MANAGEMENT}/entities/statistics/all"
        wait_until(lambda: host.request("GET", counted).status_code == 200, "a delivery is counted")

    def test_event_grid_to_queue_to_orchestration(self, host: RunningHost) -> None:
        number = f"e{uuid4().hex[:8]}"
        event = {
            "id": number,
            "topic": "/parcels",
            "subject": "parcel",
            "eventType": "Parcels.HandedIn",
            "eventTime": "2030-01-01T00:00:00Z",
            "dataVersion": "1",
            "metadataVersion": "1",
            "data": {"to": "Bob"},
        }
        assert self.notify(host, event) == 202
        assert self.delivered(host, number) == "delivered to Bob"

    def test_the_timer_runs_at_the_start(self, host: RunningHost) -> None:
        assert self.take(host, "openings", bool) == "in time"
