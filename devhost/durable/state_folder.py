"""The folder that a host's state lies in: used by one devhost at a time, and told clearly when it can't be used."""

from __future__ import annotations

import sqlite3
from pathlib import Path

LOCK_NAME = "devhost.lock"


class StateError(Exception):
    """The state can't be used; the text says why and what to do."""


class StateTooNew(StateError):
    """The state file was written by a newer devhost."""


class StateFolder:
    """Holds the folder from `open` to `close`.

    The lock is SQLite's own, on a file beside the state: the system lets go of it when the process ends, however
    that happens, and it works alike on Windows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: sqlite3.Connection | None = None

    def open(self) -> None:
        """Raises StateError when the folder can't be made or another devhost has it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise StateError(f"The state {self.path} must be a folder. Name another one with --state.") from None
        except OSError as error:
            text = f"The state folder {self.path} can't be made: {error.strerror}. Name another one with --state."
            raise StateError(text) from None
        lock = sqlite3.connect(self.path / LOCK_NAME, timeout=0, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            lock.close()
            raise StateError(_why(self.path, error)) from None
        self._lock = lock

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _why(path: Path, error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return f"Another devhost uses the state in {path}. Stop it, or give this one a folder of its own with --state."
    return f"The state in {path} can't be used: {error}. Name another folder with --state."
