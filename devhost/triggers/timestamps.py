"""Times as the host writes them into log lines and trigger data."""

from __future__ import annotations

from datetime import datetime, timedelta


def round_trip(moment: datetime) -> str:
    """.NET's "o" format, seven digits of a second: `2026-11-23T20:36:09.5758660+00:00`."""
    text = moment.isoformat(timespec="microseconds")
    return f"{text[:26]}0{text[26:]}"


def milliseconds(moment: datetime) -> str:
    """As in the details of a queue message: `2026-11-23T20:23:49.000+00:00`."""
    return moment.isoformat(timespec="milliseconds")


def seconds(moment: datetime) -> str:
    """As in the trigger data of a queue message: `2026-11-23T20:23:49+00:00`."""
    return moment.isoformat(timespec="seconds")


def local_and_utc(moment: datetime) -> str:
    """As in the list of a timer's next occurrences: `11/23/2026 21:40:00+01:00 (11/23/2026 20:40:00Z)`."""
    offset = moment.isoformat()[-6:].replace("+00:00", "Z")
    in_utc = moment - (moment.utcoffset() or timedelta(0))
    return f"{moment:%m/%d/%Y %H:%M:%S}{offset} ({in_utc:%m/%d/%Y %H:%M:%S}Z)"
