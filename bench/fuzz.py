"""Ten thousand damaged starts, reports and events each, on the test kit: no HTTP 500, no hung job, none vanishes.

Each round has a host of its own, so that no history grows without bound. Exits with 1 when something is not accounted
for, and prints the call that does it again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from tests.integration.app import fuzz
from tests.integration.app.fuzz_checks import Account

COUNT = 10_000
A_ROUND = 1_000
SHOWN = 20
Kind = Callable[[int, int], Coroutine[Any, Any, Account]]
KINDS: tuple[Kind, ...] = (fuzz.starts, fuzz.reports, fuzz.events)


def main(count: int = COUNT) -> int:
    """Print a table for each kind of input; 0 when all are accounted for."""
    accounts = [_all_rounds(kind, count) for kind in KINDS]
    problems = [problem for account in accounts for problem in account.problems]
    for problem in problems[:SHOWN]:
        print(f"NOT ACCOUNTED FOR: {problem!a}")
    print(f"\n{sum(account.inputs for account in accounts):,} inputs, not accounted for: {len(problems)}")
    return 1 if problems else 0


def _all_rounds(kind: Kind, count: int) -> Account:
    account, begun = Account(), time.perf_counter()
    for seed, first in enumerate(range(0, count, A_ROUND)):
        number = min(A_ROUND, count - first)
        one = asyncio.run(kind(seed, number))
        one.problems = [f"fuzz.{kind.__name__}({seed}, {number}): {problem}" for problem in one.problems]
        account.add(one)
    account.check(account.inputs == count, f"{count} {kind.__name__} were sent, {account.inputs} are counted")
    print(f"{account.inputs:,} {kind.__name__}, {time.perf_counter() - begun:.1f} s")
    for fate, number in account.fates.most_common():
        print(f"{number:>10,}  {fate}")
    return account


if __name__ == "__main__":
    logging.disable()
    # What the SDK says of each event that nobody waits for.
    warnings.filterwarnings("ignore", message="Potential duplicate Task completion")
    sys.exit(main())
