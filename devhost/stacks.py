"""Tracebacks of app code, without the frames of what called it."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType

_CALLERS = (
    str(Path(__file__).parent),
    "<frozen importlib",
    str(Path(traceback.__file__).parent / "importlib"),
)


def app_traceback(error: BaseException) -> TracebackType | None:
    """The traceback from the app's first frame on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_CALLERS):
        trace = trace.tb_next
    return trace


def stack_text(error: BaseException) -> str:
    """The frames alone, as the Python worker sends them: no heading, no exception, no chained causes."""
    return "".join(traceback.format_list(traceback.extract_tb(app_traceback(error))))


def whole_text(error: BaseException) -> str:
    """What Python itself would print for the error."""
    trace = app_traceback(error)
    if trace is None and error.__cause__ is None:
        return f"{type(error).__name__}: {error}"
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()
