"""The log as `func start` prints it: who said it (category), how loud (level), and what of it is shown."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, BinaryIO, Final, TextIO

from devhost.clock import Clock

CONSOLE_CATEGORY: Final = "Host.Function.Console"
STARTUP_CATEGORY: Final = "Host.Startup"
_HIDDEN_LOGGERS: Final = ("azure_functions_worker", "azure.functions")
_LIBRARIES: Final = ("azure", "aiohttp", "asyncio", "urllib3", "werkzeug")
_COLOURS: Final = {3: "\x1b[33m", 4: "\x1b[31m", 5: "\x1b[31m"}


class Level(IntEnum):
    """The levels of host.json's `logging.logLevel`."""

    TRACE = 0
    DEBUG = 1
    INFORMATION = 2
    WARNING = 3
    ERROR = 4
    CRITICAL = 5
    NONE = 6

    @classmethod
    def parse(cls, text: str) -> Level:
        """The level of that name, ignoring case. Raises `ValueError` naming the possible ones."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            names = ", ".join(level.name.capitalize() for level in cls)
            raise ValueError(f"'{text}' is not a log level; use one of {names}.") from None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One entry of the log; `text` may have several lines."""

    time: datetime
    level: Level
    category: str
    text: str


Sink = Callable[[LogLine], None]


@dataclass(frozen=True, slots=True, eq=False)
class Invocation:
    """The run of a function that the present code belongs to."""

    id: str
    function: str
    log: HostLog


current_invocation: ContextVar[Invocation | None] = ContextVar("devhost_invocation", default=None)
# What an app sets in threads of its own, as `context.thread_local_storage.invocation_id`.
thread_invocation = threading.local()


class ConsoleSink:
    """Prints each entry as `[time] text`; warnings and errors in colour on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        # The stream of now: while user code's own printing is captured, sys.stdout is another one.
        self._stream = stream or sys.stdout
        self._coloured = self._stream.isatty()

    def __call__(self, line: LogLine) -> None:
        text = f"[{timestamp(line.time)}] {line.text}"
        if self._coloured and (colour := _COLOURS.get(line.level)):
            text = f"{colour}{text}\x1b[0m"
        self._stream.write(text + "\n")
        self._stream.flush()


class HostLog:
    """Takes entries, drops what the levels hide and hands the rest to the sink.

    `levels` maps the beginning of a category (ignoring case) to the least level shown; the longest that fits
    counts. `user_level` goes before it for what functions log themselves.
    """

    def __init__(
        self,
        clock: Clock,
        levels: Mapping[str, Level] | None = None,
        sink: Sink | None = None,
        user_level: Level | None = None,
    ) -> None:
        self._clock = clock
        rules = default_levels() if levels is None else levels
        self._rules = sorted(((start.lower(), least) for start, least in rules.items()), key=_longest_first)
        self._user_level = user_level
        self._sink = sink or ConsoleSink()
        self._shown_from: dict[str, Level] = {}
        self._running: dict[str, Invocation] = {}

    def is_enabled(self, category: str, level: Level) -> bool:
        """Whether an entry of that category and level is shown."""
        shown_from = self._shown_from.get(category)
        if shown_from is None:
            shown_from = self._shown_from[category] = self._least_level(category.lower())
        return level >= shown_from

    def _least_level(self, category: str) -> Level:
        if self._user_level is not None and category.startswith("function.") and category.endswith(".user"):
            return self._user_level
        return next((least for start, least in self._rules if category.startswith(start)), Level.NONE)

    def write(self, category: str, level: Level, text: str) -> None:
        """Add an entry, if its level is shown."""
        if self.is_enabled(category, level):
            self.show(category, level, text)

    def show(self, category: str, level: Level, text: str) -> None:
        """Add an entry, whatever the levels say."""
        self._sink(LogLine(self._clock.now(), level, category, text))

    def began(self, invocation: Invocation) -> None:
        """Let records of threads that name this invocation be told apart."""
        self._running[invocation.id] = invocation

    def ended(self, invocation: Invocation) -> None:
        self._running.pop(invocation.id, None)

    def invocation(self) -> Invocation | None:
        """The invocation that the calling code belongs to, if it is one of this log's host."""
        present = current_invocation.get()
        if present is None:
            named = getattr(thread_invocation, "invocation_id", None)
            return self._running.get(named) if named else None
        return present if present.log is self else None


def _longest_first(rule: tuple[str, Level]) -> int:
    return -len(rule[0])


def default_levels(host_levels: Mapping[str, Any] | None = None, *, verbose: bool = False) -> dict[str, Level]:
    """What is shown: warnings of the system, Information of the functions' runs and of what they log and
    print, unless host.json's `logLevel` or `--verbose` say otherwise. Raises `ValueError`."""
    given = {name: Level.parse(str(value)) for name, value in (host_levels or {}).items()}
    default = next((given.pop(name) for name in list(given) if name.lower() == "default"), None)
    system = Level.INFORMATION if verbose else default
    levels = {"": Level.WARNING if system is None else system}
    for own in ("Function", CONSOLE_CATEGORY):
        if not any(own.lower().startswith(name.lower()) for name in given):
            levels[own] = Level.INFORMATION if default is None else default
    return levels | given


def timestamp(time: datetime) -> str:
    """`2024-01-01T00:00:00.000Z`"""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


class RecordHandler(logging.Handler):
    """Brings the records of Python's logging into the log: those of a running function as its own
    (`Function.<name>.User`), devhost's as the host's, and of the rest what matters."""

    def __init__(self, log: HostLog) -> None:
        super().__init__()
        self._log = log
        self._root_level = logging.WARNING

    def install(self) -> None:
        """Listen to all loggers, at the level that apps find in Azure."""
        root = logging.getLogger()
        self._root_level = root.level
        root.addHandler(self)
        shows_debug = self._log.is_enabled("Function.any.User", Level.DEBUG)
        root.setLevel(logging.DEBUG if shows_debug else logging.INFO)

    def uninstall(self) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._root_level)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_HIDDEN_LOGGERS):
            return
        level = _level_of(record)
        category = self._category(record, level)
        if category is None or not self._log.is_enabled(category, level):
            return
        try:
            text = self.format(record)
        except Exception:
            # A record whose arguments don't fit its text is the app's mistake, not a reason to fail the run.
            self.handleError(record)
            return
        self._log.show(category, level, text)

    def _category(self, record: logging.LogRecord, level: Level) -> str | None:
        if record.name == "devhost" or record.name.startswith("devhost."):
            return str(getattr(record, "category", None) or _system_category(record.name))
        invocation = self._log.invocation()
        if invocation is not None:
            return f"Function.{invocation.function}.User"
        if current_invocation.get() is not None:
            return None  # of another host in this process
        if level < Level.WARNING and record.name.split(".", 1)[0] in _LIBRARIES:
            return None  # libraries at work for devhost itself, such as each request of a queue listener
        return CONSOLE_CATEGORY


def _system_category(logger_name: str) -> str:
    return ".".join(["Host", *(part.capitalize() for part in logger_name.split(".")[1:])])


def _level_of(record: logging.LogRecord) -> Level:
    for least, level in (
        (logging.CRITICAL, Level.CRITICAL),
        (logging.ERROR, Level.ERROR),
        (logging.WARNING, Level.WARNING),
        (logging.INFO, Level.INFORMATION),
        (logging.DEBUG, Level.DEBUG),
    ):
        if record.levelno >= least:
            return level
    return Level.TRACE


class ConsoleCapture:
    """While installed, what user code prints becomes one entry of the log for each line."""

    def __init__(self, log: HostLog) -> None:
        self._log = log
        self._before: dict[str, TextIO] = {}
        self._own: dict[str, _PrintedLines] = {}

    def install(self) -> None:
        for name in ("stdout", "stderr"):
            self._before[name] = getattr(sys, name)
            self._own[name] = _PrintedLines(self._log, self._before[name])
            setattr(sys, name, self._own[name])

    def uninstall(self) -> None:
        for name, own in self._own.items():
            own.flush()
            if getattr(sys, name) is own:  # else somebody has put another one there, and keeps it
                setattr(sys, name, self._before[name])
        self._own.clear()


class _PrintedLines(io.TextIOBase):
    def __init__(self, log: HostLog, stream: TextIO) -> None:
        super().__init__()
        self._log = log
        self._stream = stream
        self._unfinished = threading.local()  # two threads that print at once must not mix their lines

    @property
    def encoding(self) -> str:  # type: ignore[override] # typeshed: read-write; text streams have it read-only
        return self._stream.encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def buffer(self) -> BinaryIO:
        return self._stream.buffer

    def write(self, text: str) -> int:
        *lines, rest = (getattr(self._unfinished, "text", "") + text).split("\n")
        self._unfinished.text = rest
        for line in lines:
            self._log.write(CONSOLE_CATEGORY, Level.INFORMATION, line.rstrip("\r"))
        return len(text)

    def flush(self) -> None:
        rest = getattr(self._unfinished, "text", "")
        if rest:
            self._unfinished.text = ""
            self._log.write(CONSOLE_CATEGORY, Level.INFORMATION, rest)
