"""`--reload`: the host runs in a child process, which is started anew when a file of the app changes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from devhost.clock import Clock, SystemClock

_LOOK_EVERY: Final = timedelta(seconds=1)
_STOP_WITHIN: Final = timedelta(seconds=15)
_SETTINGS: Final = ("host.json", "local.settings.json")
_OTHERS: Final = {"node_modules", "__pycache__", "tests"}


def supervise(arguments: Sequence[str], app_dir: Path, say: Callable[[str], None]) -> int:
    """Run `python -m devhost <arguments>` until Ctrl-C or SIGTERM, again after each change of the app's files.

    The state folder is kept, so running instances go on. `say` shows people what happens. Returns the exit
    code for the process.
    """
    command = [sys.executable, "-m", "devhost", *arguments]
    return asyncio.run(_supervise(command, app_dir, SystemClock(), say))


def snapshot(app_dir: Path) -> dict[Path, int]:
    """The app's Python files and settings, with the time of their last change (ns)."""
    files: dict[Path, int] = {}
    folders = [app_dir]
    while folders:
        for entry in folders.pop().iterdir():
            hidden = entry.name.startswith(".") or entry.name in _OTHERS
            if entry.is_dir() and not hidden and not (entry / "pyvenv.cfg").exists():
                folders.append(entry)
            elif entry.suffix == ".py" or entry.name in _SETTINGS:
                try:
                    files[entry] = entry.stat().st_mtime_ns
                except FileNotFoundError:
                    continue  # an editor has just replaced it; the next look sees the new one
    return files


async def _supervise(command: Sequence[str], app_dir: Path, clock: Clock, say: Callable[[str], None]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set():
        seen = await asyncio.to_thread(snapshot, app_dir)
        child = await _start(command)
        change = asyncio.create_task(_change(app_dir, seen, clock))
        ended = asyncio.create_task(child.wait())
        await asyncio.wait({stopping, change, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not change.done() and not stop.is_set():
            say(f"The host has ended ({child.returncode}). It starts again when a file changes.")
            await asyncio.wait({stopping, change}, return_when=asyncio.FIRST_COMPLETED)
        change.cancel()
        await _end(child, ended, clock, say)
        if not stop.is_set():
            say("A file of the app has changed: starting again.")
    return 0


async def _start(command: Sequence[str]) -> asyncio.subprocess.Process:
    # A group of its own: Ctrl-C then reaches the supervisor alone, which stops the child once.
    if sys.platform == "win32":
        return await asyncio.create_subprocess_exec(*command, creationflags=subprocess.CREATE_NEW_PROCESS_GROUP)
    return await asyncio.create_subprocess_exec(*command, start_new_session=True)


async def _change(app_dir: Path, seen: dict[Path, int], clock: Clock) -> None:
    while await asyncio.to_thread(snapshot, app_dir) == seen:
        await clock.sleep_until(clock.now() + _LOOK_EVERY)


async def _end(
    child: asyncio.subprocess.Process, ended: asyncio.Task[int], clock: Clock, say: Callable[[str], None]
) -> None:
    if ended.done():
        return
    if sys.platform == "win32":
        child.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        child.terminate()
    patience = asyncio.create_task(clock.sleep_until(clock.now() + _STOP_WITHIN))
    await asyncio.wait({ended, patience}, return_when=asyncio.FIRST_COMPLETED)
    patience.cancel()
    if not ended.done():
        say("The host does not stop by itself: it is ended.")
        child.kill()
        await ended
