"""Which entries are shown, and how they look."""

from __future__ import annotations

import io
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from devhost.logs import (
    CONSOLE_CATEGORY,
    ConsoleCapture,
    ConsoleSink,
    HostLog,
    Level,
    LogLine,
    RecordHandler,
    default_levels,
)
from devhost.testing.clock import VirtualClock


@pytest.mark.parametrize(
    ("given", "verbose", "category", "least"),
    [
        ({}, False, "Host.Startup", Level.WARNING),
        ({}, True, "Host.Startup", Level.INFORMATION),
        ({}, False, "Function.f", Level.INFORMATION),
        ({}, False, "Function.f.User", Level.INFORMATION),
        ({}, False, CONSOLE_CATEGORY, Level.INFORMATION),
        ({"default": "Error"}, False, "Function.f.User", Level.ERROR),
        ({"default": "Error"}, False, "Host.Aggregator", Level.ERROR),
        ({"Function": "Warning"}, False, "Function.f", Level.WARNING),
        ({"Function": "Warning", "function.F.User": "Debug"}, False, "Function.f.User", Level.DEBUG),
        ({"Host": "None"}, False, CONSOLE_CATEGORY, Level.NONE),
        ({"Host.Aggregator": "Trace"}, False, "Host.Startup", Level.WARNING),
    ],
)
def test_the_longest_category_that_fits_decides(
    given: dict[str, Any], verbose: bool, category: str, least: Level
) -> None:
    log = HostLog(VirtualClock(), default_levels(given, verbose=verbose), lambda line: None)
    assert [level for level in Level if level < Level.NONE and log.is_enabled(category, level)] == [
        level for level in Level if least <= level < Level.NONE
    ]


def test_a_level_for_users_records_goes_first() -> None:
    log = HostLog(VirtualClock(), sink=lambda line: None, user_level=Level.ERROR)
    assert not log.is_enabled("Function.f.User", Level.WARNING)
    assert log.is_enabled("Function.f", Level.INFORMATION)


def test_an_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'Loud' is not a log level; use one of Trace, Debug"):
        default_levels({"default": "Loud"})


def test_lines_look_as_those_of_func_start() -> None:
    stream = io.StringIO()
    moment = datetime(2024, 1, 1, 0, 0, 0, 7999, tzinfo=UTC)
    ConsoleSink(stream)(LogLine(moment, Level.ERROR, "Host", "first\nsecond"))
    assert stream.getvalue() == "[2024-01-01T00:00:00.007Z] first\nsecond\n"


def test_only_a_terminal_gets_colours() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    ConsoleSink(stream)(LogLine(datetime(2024, 1, 1, tzinfo=UTC), Level.ERROR, "Host", "no"))
    assert stream.getvalue().startswith("\x1b[31m[2024")


def test_what_is_printed_becomes_a_line_each() -> None:
    lines: list[LogLine] = []
    before = sys.stdout
    capture = ConsoleCapture(HostLog(VirtualClock(), sink=lines.append))
    capture.install()
    try:
        sys.stdout.write("a\nb")
        sys.stdout.write("c\nrest")
        sys.stderr.write("err\n")
    finally:
        capture.uninstall()
    assert sys.stdout is before
    assert [(line.category, line.text) for line in lines] == [
        (CONSOLE_CATEGORY, each) for each in ("a", "bc", "err", "rest")
    ]


@pytest.mark.parametrize(
    ("logger", "level", "category"),
    [
        ("devhost.triggers.queue", logging.WARNING, "Host.Triggers.Queue"),
        ("app", logging.INFO, CONSOLE_CATEGORY),
        ("azure.core.pipeline", logging.INFO, None),
        ("azure.core.pipeline", logging.ERROR, CONSOLE_CATEGORY),
        ("azure_functions_worker.x", logging.ERROR, None),
    ],
)
def test_records_outside_of_functions(logger: str, level: int, category: str | None) -> None:
    lines: list[LogLine] = []
    handler = RecordHandler(HostLog(VirtualClock(), sink=lines.append))
    handler.install()
    try:
        logging.getLogger(logger).log(level, "text")
    finally:
        handler.uninstall()
    assert [line.category for line in lines] == ([] if category is None else [category])
