"""The `Expires` of a cookie: read as the Python worker reads it, written as HTTP wants it."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

_FORMATS = (
    "%a, %d %b %Y %H:%M:%S GMT",
    "%a, %d-%b-%y %H:%M:%S GMT",
    "%a, %d-%b-%Y %H:%M:%S GMT",
    "%a %b %d %H:%M:%S %Y",
)


def rfc1123_date(text: str) -> str | None:
    """`Thu, 12 Jan 2040 13:55:08 GMT`; None for none, or one that the host can't read either."""
    for pattern in _FORMATS:
        try:
            moment = datetime.strptime(f"{text} +0000", f"{pattern} %z")
        except ValueError:
            continue
        return format_datetime(moment, usegmt=True)
    return None
