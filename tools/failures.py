"""Why a command of dev.py ends early, sorted by what the person at the keyboard can do about it."""

from __future__ import annotations


class SetupProblem(Exception):
    """Something on this machine is missing or in the way; exit code 2."""


class PartFailed(Exception):
    """A part that was started ended early or never became ready; exit code 1."""


class Interrupted(Exception):
    """Somebody asked to stop (Ctrl-C, SIGTERM, a closed terminal); exit code 130."""
