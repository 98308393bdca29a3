"""Why a command of dev.py ends early, sorted by what the person at the keyboard can do about it."""

from __future__ import annotations


class SetupProblem(Exception):  # noqa: N818 - its text is a sentence with the remedy
    """Something on this machine is missing or in the way; exit code 2."""


class PartFailed(Exception):  # noqa: N818
    """A part that was started ended early or never became ready; exit code 1."""


class Interrupted(Exception):  # noqa: N818
    """Somebody asked to stop (Ctrl-C, SIGTERM, a closed terminal); exit code 130."""
