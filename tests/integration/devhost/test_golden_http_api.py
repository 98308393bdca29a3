"""Each exchange recorded of the durable client's binding and of the management API (golden/04 and 05), replayed over
real HTTP or through the SDK inside the recorded app, against devhost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.devhost.golden_bench import GOLDEN, Bench, running, until
from tests.integration.devhost.golden_notation import (
    SENT_HEADERS,
    Given,
    Notation,
    fill,
    known_ids,
    read_body,
    read_call,
    recorded,
    response_of,
    shortened,
)
from tests.integration.devhost.golden_setups import ENVIRONMENTS, SET_UPS, nothing
from tests.integration.devhost.http_host import Answered

Case = dict[str, Any]
Exchange = dict[str, Any]
Sides = tuple[dict[str, Any], dict[str, Any]]  # ours, theirs

CASES: list[Case] = [
    case
    for name in ("04-client-binding", "05-http-api")
    for case in json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))["cases"]
]
TITLES = [str(case["title"]) for case in CASES]

INPUTS = "webhook start with JSON inputs: what get_input() makes of them"

WORDING = "What is wrong with the JSON is said in devhost's words: Newtonsoft's are that parser's own."
BLANKS = "The host itself fails over an input of blanks; under devhost the SDK does, as it parses it. Failed both."
SORTER = "Azure Storage delivers entity messages in any order, this table puts them right; devhost keeps the order."

# (title of the case, number of the exchange) -> the parts in which devhost differs, and why. The rest is compared.
DIFFERENT: dict[tuple[str, int], tuple[tuple[str, ...], str]] = {
    **{(INPUTS, number): (("body.ExceptionMessage",), WORDING) for number in (11, 12, 15)},
    (INPUTS, 18): (("then_status.output",), BLANKS),
    ("raiseEvent: content types, bodies, names", 13): (("body.ExceptionMessage",), WORDING),
    ("list: filters", 18): (("body.0.input.sorter",), SORTER),
    ("status of a list entry: entity and child rows", 0): (("body.input.sorter",), SORTER),
    ("status of a list entry: entity and child rows", 1): (("body.0.input.sorter",), SORTER),
    ("entities", 9): (("body.Message", "headers.Content-Length"), WORDING),
}

_DUMPS = {"HubH2": "/api/dump", "OtherHub": "/api/dump2"}


class Replay:
    """One case against one host; `sides` of each exchange are gathered before they are compared."""

    def __init__(self, bench: Bench, case: Case) -> None:
        self.bench, self.case = bench, case

    async def run(self) -> None:
        given = SET_UPS.get(self.case["title"], nothing)(self.bench, self.case)
        for number, exchange in enumerate(self.case["exchange"]):
            await self._exchange(number, exchange, await _next(given, self.bench))
        await _next(given, self.bench)
        if "final" in self.case:
            await self._final(self.case["final"])

    async def _exchange(self, number: int, exchange: Exchange, given: Given) -> None:
        parts, _ = DIFFERENT.get((self.case["title"], number), ((), ""))
        read_only = exchange.get("request", {}).get("method") == "GET"

        def alike(both: Sides) -> bool:
            return _text(_without(both[0], parts)) == _text(_without(both[1], parts))

        # What is only read may be read again, until what was done before has come about.
        ours, theirs = await until(lambda: self._sides(exchange, given), lambda both: not read_only or alike(both))
        assert _text(_without(ours, parts)) == _text(_without(theirs, parts)), f"exchange {number}"
        for part in parts:
            assert _part(ours, part) != _part(theirs, part), f"{part} of exchange {number} differs no more"

    async def _sides(self, exchange: Exchange, given: Given) -> Sides:
        if "binding_value" in exchange:
            return await self._binding(exchange)
        if "sdk_call" in exchange:
            return await self._sdk(exchange, given)
        return await self._direct(exchange, given)

    async def _binding(self, exchange: Exchange) -> Sides:
        route = _DUMPS[exchange["binding_value"]["taskHubName"]]
        dumped = (await self.bench.send("GET", route)).json()
        value = Notation(self.bench, ()).value(json.loads(dumped["value"]))
        return {"binding_value_type": dumped["type"], "binding_value": value}, exchange

    async def _direct(self, exchange: Exchange, given: Given) -> Sides:
        request = exchange["request"]
        body = request.get("body")
        answered = await self.bench.send(
            request["method"],
            fill(request["path"], self.bench, given),
            request.get("headers"),
            body and fill(body, self.bench, given),
        )
        notation = self._noted(answered, given)
        ours, theirs = response_of(answered, exchange["response"], self.bench, notation)
        return await self._afterwards(exchange, given, answered, ours, theirs)

    async def _sdk(self, exchange: Exchange, given: Given) -> Sides:
        call = read_call(fill(exchange["sdk_call"], self.bench, given))
        sent = exchange.get("request", {})
        done = await self.bench.sdk(call, context="X-Azure-Functions-InvocationId" in sent.get("headers", {}))
        wire = done.pop("wire")
        done.pop("tb", None)
        if not sent:
            assert wire == []
            return _results(done, exchange["sdk_result"], Notation(self.bench, ()))
        [entry] = wire
        answered = Answered(entry["status"], "", list(entry["resp_headers"].items()), entry["resp_body"].encode())
        notation = self._noted(answered, given)
        ours, theirs = response_of(answered, exchange["response"], self.bench, notation)
        our_results, their_results = _results(done, exchange["sdk_result"], notation)
        ours = {"request": _sent(entry, notation), **ours, **our_results}
        theirs = {"request": sent, **theirs, **their_results}
        return await self._afterwards(exchange, given, answered, ours, theirs)

    def _noted(self, answered: Answered, given: Given) -> Notation:
        body = read_body(answered.body)
        if isinstance(body, dict) and "id" in body:
            self.bench.last = body["id"]
        return Notation(self.bench, known_ids(body, given))

    async def _afterwards(
        self, exchange: Exchange, given: Given, answered: Answered, ours: dict[str, Any], theirs: dict[str, Any]
    ) -> Sides:
        """What the recording says of the instance after the exchange, and of a list's length and order."""
        body = read_body(answered.body)
        count = exchange.get("count", exchange["response"].get("count"))
        if isinstance(body, list) and count is not None:
            ours["count"], theirs["count"] = len(body), count
            assert [row["instanceId"] for row in body] == sorted(row["instanceId"] for row in body)
        if "restartWithNewInstanceId" in exchange["request"]["path"] and answered.status == 202:
            is_new = "restartWithNewInstanceId=true" in exchange["request"]["path"]
            assert isinstance(body, dict)
            assert (body["id"] != given.id) == is_new
        if "then_status" in exchange:
            started = body["id"] if isinstance(body, dict) else given.id
            theirs["then_status"] = exchange["then_status"]
            ours["then_status"] = await self._then(started, exchange)
        if "state_after" in exchange:
            theirs["state_after"] = recorded(exchange["state_after"])
            ours["state_after"] = await self._reached(given.id, theirs["state_after"])
        if "left" in exchange:
            left = await self.bench.webhook("GET", "instances/")
            ours["left"] = [[one["instanceId"], one["runtimeStatus"]] for one in left.json()]
            theirs["left"] = exchange["left"]
        return ours, theirs

    async def _then(self, instance_id: str, exchange: Exchange) -> dict[str, Any]:
        expected = exchange["then_status"]
        if "after an event" in expected:
            return await self._versioned(instance_id, expected)
        if expected["runtimeStatus"] == "Running":
            await self._event_arrived(instance_id)
        return await self._reached(instance_id, expected)

    async def _reached(self, instance_id: str, expected: dict[str, Any]) -> dict[str, Any]:
        """The instance's status, as far as the recording has it, once it has come so far or patience ends."""
        notation = Notation(self.bench, [instance_id])

        async def probe() -> dict[str, Any]:
            found = await self.bench.status(instance_id)
            return {name: notation.value(found.get(name)) for name in expected}

        return await until(probe, lambda found: bool(found["runtimeStatus"] == expected["runtimeStatus"]))

    async def _event_arrived(self, instance_id: str) -> None:
        """Wait until the history holds the event that must not have any effect."""

        async def probe() -> list[str]:
            found = await self.bench.status(instance_id, "?showHistory=true")
            return [event["EventType"] for event in found.get("historyEvents", [])]

        assert "EventRaised" in await until(probe, lambda kinds: "EventRaised" in kinds)

    async def _versioned(self, instance_id: str, expected: dict[str, Any]) -> dict[str, Any]:
        before, after = expected["after 3 s"], expected["after an event"]
        if before == "Pending":
            await self._refused(instance_id)
        found = await self._reached(instance_id, {"runtimeStatus": before})
        await self.bench.operate(instance_id, "raiseEvent/go", 1)
        end = await self._reached(instance_id, {"runtimeStatus": after, "output": expected["output"]})
        return {"after 3 s": found["runtimeStatus"], "after an event": end["runtimeStatus"], "output": end["output"]}

    async def _refused(self, instance_id: str) -> None:
        """Wait until the engine has looked at the instance and left it alone."""

        async def probe() -> bool:
            return any(instance_id in line.text and "stays Pending" in line.text for line in self.bench.lines)

        assert await until(probe, bool)

    async def _final(self, expected: dict[str, Any]) -> None:
        await self._refused(self.bench.last)
        found = await self.bench.status(self.bench.last, "?showHistory=true")
        assert found.pop("historyEvents", None) == self.case["history"]
        assert _text(Notation(self.bench, [self.bench.last]).value(found)) == _text(expected)


async def _next(given: AsyncIterator[Given], bench: Bench) -> Given:
    found = await anext(given, Given())
    return Given(found.id or bench.last, found.times)


def _sent(entry: dict[str, Any], notation: Notation) -> dict[str, Any]:
    """What the SDK sent, in the recording's form."""
    headers = {name: entry["sent_headers"][name] for name in SENT_HEADERS if name in entry["sent_headers"]}
    return {
        "method": entry["method"].upper(),
        "path": notation.text(entry["real_url"]),
        "headers": notation.value(headers),
        "json_argument": entry["json"],
    }


def _results(done: dict[str, Any], result: dict[str, Any], notation: Notation) -> Sides:
    """What the SDK's method returned or raised."""
    ours, theirs = dict(done), dict(result)
    if "count" in theirs:
        ours["count"] = len(ours["result"])
        ours["result"], theirs["result"] = shortened(ours["result"], theirs["result"])
    return {"sdk_result": notation.value(ours)}, {"sdk_result": recorded(theirs)}


def _without(side: dict[str, Any], parts: tuple[str, ...]) -> dict[str, Any]:
    """One side with each of the parts, such as `body.0.input`, left open."""
    left: dict[str, Any] = json.loads(json.dumps(side))
    for part in parts:
        at, last = _place(left, part)
        if isinstance(at, dict) and last in at:
            at[last] = "<different>"
    return left


def _part(side: dict[str, Any], part: str) -> Any:
    at, last = _place(side, part)
    return at[last]


def _place(side: Any, part: str) -> tuple[Any, str]:
    """What holds the part, and the part's name in it; None where there is nothing on the way."""
    *outer, last = part.split(".")
    for name in outer:
        if isinstance(side, list):
            side = side[int(name)] if int(name) < len(side) else None
        elif isinstance(side, dict):
            side = side.get(name)
    return side, last


def _text(value: Any) -> str:
    """With the order of the keys, and with `1.0` unlike `1`."""
    return json.dumps(value, indent=1, ensure_ascii=False)


def titled(case: Case) -> str:
    return str(case["title"]).replace("[", "(").replace("]", ")")


# The SDK says so of an event that nobody waits for; and the recorded app leaves a file open.
@pytest.mark.filterwarnings("ignore:Potential duplicate Task completion:UserWarning")
@pytest.mark.filterwarnings("ignore:unclosed file .*variant:ResourceWarning")
@pytest.mark.parametrize("case", CASES, ids=titled)
async def test_a_recorded_case(case: Case, tmp_path: Path) -> None:
    async with running(tmp_path, ENVIRONMENTS.get(case["title"])) as bench:
        await Replay(bench, case).run()


def test_every_exchange_is_compared_and_each_difference_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    everything = {(title, number) for title, case in zip(TITLES, CASES, strict=True) for number in _numbers(case)}
    compared = everything - set(DIFFERENT)
    assert len(set(TITLES)) == len(TITLES)
    assert set(DIFFERENT) < everything
    assert set(SET_UPS) | set(ENVIRONMENTS) <= set(TITLES)
    assert (len(compared), len(DIFFERENT), len(everything)) == (361, 9, 370)
    assert all(parts and len(reason) > 40 for parts, reason in DIFFERENT.values())
    with capsys.disabled():
        print(f"\ngolden 04, 05: {len(compared)} exchanges alike, {len(DIFFERENT)} but for a listed part")  # noqa: T201


def _numbers(case: Case) -> range:
    return range(len(case["exchange"]))
