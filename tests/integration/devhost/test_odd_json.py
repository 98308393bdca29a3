"""Bodies of the management API that a JSON reader may choke on: refused or kept, never a failure of the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.devhost.golden_bench import WEBHOOK, Bench, running

TYPED = {"Content-Type": "application/json"}


async def raised(bench: Bench, text: str) -> tuple[int, str]:
    """The answer to an event of this body."""
    path = f"{WEBHOOK}/instances/{bench.last}/raiseEvent/foreign?code={bench.key}"
    answered = await bench.send("POST", path, TYPED, text)
    return answered.status, answered.body.decode()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 65 + "]" * 65,
        "[" * 65 + "1" + "]" * 65,
        '{"a":' * 3000 + "1" + "}" * 3000,
        "[" * 100_000,
        "9" * 5000,
        "{a: " + "9" * 5000 + "}",
    ],
)
async def test_what_is_too_deep_or_too_long_is_no_json(text: str, tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.start("waiter", reach="Running")
        status, body = await raised(bench, text)
        assert (status, "Invalid JSON content" in body) == (400, True)
        path = f"{WEBHOOK}/orchestrators/plain?code={bench.key}"
        assert (await bench.send("POST", path, TYPED, text)).status == 400


async def test_sixty_four_levels_are_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.start("waiter", reach="Running")
        assert await raised(bench, "[" * 64 + "]" * 64) == (202, "")
        assert await raised(bench, '{"a":' * 64 + "1" + "}" * 64) == (202, "")


async def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        path = f"{WEBHOOK}/orchestrators/plain/odd?code={bench.key}"
        sent = r'{"\ud83d": "\ude00\ud83d", "whole": "\ud83c\udfac"}'
        assert (await bench.send("POST", path, TYPED, sent)).status == 202
        kept = {"\ufffd": "\ufffd\ufffd", "whole": "\U0001f3ac"}
        assert (await bench.status("odd"))["input"] == kept
