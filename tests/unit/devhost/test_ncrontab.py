"""Timer schedules: what the text means, when it fires, and the two odd nights of a year."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.triggers.ncrontab import local_zone, parse

PRAGUE = ZoneInfo("Europe/Prague")
PACIFIC = ZoneInfo("America/Los_Angeles")
START = datetime(2026, 11, 23, 20, 36, 9, 575868, tzinfo=UTC)  # a Monday


def following(text: str, start: str, count: int, zone: ZoneInfo = PACIFIC) -> list[str]:
    """The next `count` occurrences after `start`, as local time with its offset."""
    schedule = parse(text, zone)
    moment = datetime.fromisoformat(start)
    found = []
    for _ in range(count):
        occurrence = schedule.next_after(moment)
        assert occurrence is not None
        moment = occurrence
        found.append(moment.astimezone(zone).strftime("%m-%d %H:%M %z"))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * * *", "2026-11-23T20:36:10"),
        ("*/10 * * * * *", "2026-11-23T20:36:10"),
        ("0 */5 * * * *", "2026-11-23T20:40:00"),
        ("*/5 * * * *", "2026-11-23T20:40:00"),
        ("0 36 20 * * *", "2026-11-24T20:36:00"),
        ("0 0 0 1 * *", "2026-12-01T00:00:00"),
        ("0 0 0 31 * *", "2026-12-31T00:00:00"),
        ("0 30 9 * Jan Mon", "2027-01-04T09:30:00"),
        ("0 30 9 * * 1-5", "2026-11-24T09:30:00"),
        ("0 30 9 * * Fri-Mon", "2026-11-24T09:30:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 0 29 2 0", "2032-02-29T00:00:00"),
        ("0 0 0 * * sun", "2026-11-29T00:00:00"),
        ("0 0 0 * dec *", "2026-12-01T00:00:00"),
        ("10-5 0 0 1 1 *", "2027-01-01T00:00:05"),
        ("50/3 36 20 * * *", "2026-11-23T20:36:50"),
        ("00:05:00", "2026-11-23T20:41:09.575868"),
        ("1.00:00:00", "2026-11-24T20:36:09.575868"),
        ("7", "2026-11-30T20:36:09.575868"),
    ],
)
def test_next_occurrence(text: str, expected: str) -> None:
    assert parse(text).next_after(START) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["bogus", "", "* * * *", "* * * * * * *", "60 * * * * *", "0 0 24 * * *", "0 0 0 0 * *", "0 0 0 * 13 *",
     "0 0 0 * * 7", "0 0 0 * * Fred", "5, * * * * *", ",5 * * * * *", "/5 * * * * *", "5- * * * * *",
     "*/x * * * * *", "-1 * * * * *", "@daily", "0 0 0 L * *", "00:00:00", "00:60:00", "24:00:00",
     "-00:05:00"],
)  # fmt: skip
def test_other_text_is_refused_in_the_hosts_words(text: str) -> None:
    with pytest.raises(ValueError, match="was not recognized as a valid cron expression or timespan string") as error:
        parse(text)
    assert str(error.value).startswith(f"The schedule expression '{text}' was not recognized")


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("*/10 * * * * *", "Cron: '0,10,20,30,40,50 * * * * *'"),
        ("*/5 * * * *", "Cron: '0,5,10,15,20,25,30,35,40,45,50,55 * * * *'"),
        ("0 0 9-11,15 * Jan-Mar Mon,Tue", "Cron: '0 0 9-11,15 * 1-3 1-2'"),
        ("00:00:07", "Constant: 00:00:07"),
        ("1.02:03:04.5", "Constant: 1.02:03:04.5000000"),
    ],
)
def test_description_is_the_expanded_expression(text: str, described: str) -> None:
    assert parse(text).describe() == described


@pytest.mark.parametrize(
    ("text", "monitored"),
    [("* * * * * *", False), ("*/30 * * * * *", False), ("0 * * * * *", True), ("*/5 * * * *", True),
     ("00:00:59", False), ("00:01:00", True)],
)  # fmt: skip
def test_a_status_is_kept_from_one_minute_up(text: str, monitored: bool) -> None:
    assert parse(text).monitored_at(START) is monitored


def test_a_schedule_that_never_comes_has_no_next_occurrence() -> None:
    never = parse("0 0 0 30 2 *")
    assert never.next_after(START) is None
    assert never.monitored_at(START)


def test_clock_times_are_local_and_know_summer_time() -> None:
    daily = parse("0 0 8 * * *", PRAGUE)
    assert daily.next_after(datetime(2026, 7, 1, tzinfo=UTC)) == datetime(2026, 7, 1, 6, tzinfo=UTC)
    assert daily.next_after(datetime(2026, 12, 1, tzinfo=UTC)) == datetime(2026, 12, 1, 7, tzinfo=UTC)
    assert daily.adjusts_for_dst
    assert not parse("00:05:00", PRAGUE).adjusts_for_dst


def test_a_repeating_schedule_runs_in_both_passes_of_the_repeated_hour() -> None:
    assert following("0 */30 * * * *", "2018-11-04T00:30-07:00", 6) == [
        "11-04 01:00 -0700",
        "11-04 01:30 -0700",
        "11-04 01:00 -0800",
        "11-04 01:30 -0800",
        "11-04 02:00 -0800",
        "11-04 02:30 -0800",
    ]


def test_a_clock_time_in_the_repeated_hour_runs_once() -> None:
    assert following("0 30 1 * * *", "2018-11-03T00:00-07:00", 3) == [
        "11-03 01:30 -0700",
        "11-04 01:30 -0700",
        "11-05 01:30 -0800",
    ]
    assert following("0 30 1 * * *", "2018-11-04T01:10-08:00", 1) == ["11-05 01:30 -0800"]
    assert following("0 30 1 4 11 *", "2018-01-01T00:00-08:00", 1) == ["11-04 01:30 -0700"]


def test_a_time_that_clocks_jump_over_runs_an_hour_later() -> None:
    assert following("0 30 2 * * *", "2018-03-10T12:00-08:00", 2) == [
        "03-11 03:30 -0700",
        "03-12 02:30 -0700",
    ]
    assert following("0 0 * * * *", "2018-03-11T01:00-08:00", 2) == ["03-11 03:00 -0700", "03-11 04:00 -0700"]


@given(
    st.sampled_from(["0 */15 * * * *", "0 30 1 * * *", "30 5 2,3 * * *", "0 0 0 29 2 *", "0 0 */6 * * 0", "00:07:00"]),
    st.datetimes(datetime(2018, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from([PACIFIC, PRAGUE, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("UTC")]),
)
def test_occurrences_always_move_on(text: str, moment: datetime, zone: ZoneInfo) -> None:
    schedule = parse(text, zone)
    for _ in range(4):
        occurrence = schedule.next_after(moment)
        assert occurrence is not None
        assert occurrence > moment
        moment = occurrence


def test_the_zone_comes_from_the_settings_first(tmp_path: Path) -> None:
    assert local_zone({"WEBSITE_TIME_ZONE": "Europe/Prague", "TZ": "UTC"}) == PRAGUE
    assert local_zone({"TZ": ":America/Los_Angeles"}) == PACIFIC
    assert local_zone({}, localtime=tmp_path / "none") is not None
    with pytest.raises(ValueError, match="WEBSITE_TIME_ZONE is 'Mars/Olympus', which is no time zone here"):
        local_zone({"WEBSITE_TIME_ZONE": "Mars/Olympus"})
