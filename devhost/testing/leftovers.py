"""What a test leaves behind: found when its host stops, told with what can be done about it."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import traceback
from dataclasses import dataclass, field

_THREAD_PATIENCE_SECONDS = 1.0


class LeftoverError(AssertionError):
    """A test has ended and something of it goes on, or was never looked at."""


@dataclass(frozen=True)
class Before:
    """The threads and tasks that were there before the host."""

    threads: frozenset[threading.Thread] = field(default_factory=lambda: frozenset(threading.enumerate()))
    tasks: frozenset[asyncio.Task[object]] = field(default_factory=lambda: frozenset(asyncio.all_tasks()))


def alive_since(before: Before) -> list[str]:
    """Threads and tasks that came since and are still there, each with its stack."""
    # The tasks of the test itself are those that await us; whoever stops the host runs in one of them.
    current = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() - before.tasks if task is not current and not task.done()]
    found = [f"task '{task.get_name()}' is still alive:\n{_task_stack(task)}" for task in tasks]
    for thread in threading.enumerate():
        if thread in before.threads or thread.name.startswith("asyncio_"):
            continue  # asyncio's own pool waits for its next work
        thread.join(_THREAD_PATIENCE_SECONDS)
        if thread.is_alive():
            found.append(f"thread '{thread.name}' is still alive:\n{_thread_stack(thread)}")
    return found


def _task_stack(task: asyncio.Task[object]) -> str:
    text = io.StringIO()
    task.print_stack(file=text)
    return text.getvalue()


def _thread_stack(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
