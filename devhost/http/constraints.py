"""Inline route constraints (`{id:int}`): text -> does a value hold. They only test; values stay strings."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

Constraint = Callable[[str], bool]

_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_DECIMAL = re.compile(r"\s*[+-]?([0-9][0-9,]*\.?[0-9]*|\.[0-9]+)\s*")
_FLOAT = re.compile(r"\s*[+-]?([0-9][0-9,]*\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*|-?Infinity|NaN|∞", re.IGNORECASE)
_HEX32 = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_GUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_DASHED = re.compile(rf"{_GUID}|\{{{_GUID}\}}|\({_GUID}\)", re.IGNORECASE)
_DECIMAL_LIMIT = 79228162514264337593543950336.0
_DATES = (
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%Y/%m/%d",
    "%d %B %Y",
    "%B %d, %Y",
    "%H:%M",
    "%H:%M:%S",
)


def _integer(low: int, high: int) -> Constraint:
    def holds(value: str) -> bool:
        return _INTEGER.fullmatch(value) is not None and low <= int(value) <= high

    return holds


def _decimal(value: str) -> bool:
    return _DECIMAL.fullmatch(value) is not None and abs(float(value.replace(",", ""))) < _DECIMAL_LIMIT


def _datetime(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return any(_reads_as(value, pattern) for pattern in _DATES)
    # fromisoformat also reads 20240131, which .NET does not.
    return "-" in value


def _reads_as(value: str, pattern: str) -> bool:
    try:
        datetime.strptime(value, pattern)  # noqa: DTZ007 - only whether it reads as a date matters
    except ValueError:
        return False
    return True


def _guid(value: str) -> bool:
    return _HEX32.fullmatch(value) is not None or _DASHED.fullmatch(value) is not None


_LONG = _integer(-(2**63), 2**63 - 1)

_PLAIN: dict[str, Constraint] = {
    "int": _integer(-(2**31), 2**31 - 1),
    "long": _LONG,
    "bool": lambda value: value.strip().lower() in ("true", "false"),
    "datetime": _datetime,
    "decimal": _decimal,
    "double": lambda value: _FLOAT.fullmatch(value) is not None,
    "float": lambda value: _FLOAT.fullmatch(value) is not None,
    "guid": _guid,
    "alpha": lambda value: re.fullmatch(r"[a-zA-Z]*", value) is not None,
    "required": lambda value: value != "",
    "file": lambda value: "." in value.rsplit("/", 1)[-1][:-1],
    "nonfile": lambda value: "." not in value.rsplit("/", 1)[-1][:-1],
}


def _between(low: int | None, high: int | None) -> Constraint:
    def holds(value: str) -> bool:
        return _LONG(value) and (low is None or int(value) >= low) and (high is None or int(value) <= high)

    return holds


def _length(low: int, high: int | None) -> Constraint:
    return lambda value: low <= len(value) and (high is None or len(value) <= high)


def _length_of(argument: str) -> Constraint:
    low, _, high = argument.partition(",")
    return _length(int(low), int(high or low))


def _range_of(argument: str) -> Constraint:
    low, high = argument.split(",")
    return _between(int(low), int(high))


def _regex_of(argument: str) -> Constraint:
    pattern = re.compile(argument, re.IGNORECASE)
    return lambda value: pattern.search(value) is not None


_WITH_ARGUMENT: dict[str, Callable[[str], Constraint]] = {
    "minlength": lambda argument: _length(int(argument), None),
    "maxlength": lambda argument: _length(0, int(argument)),
    "length": _length_of,
    "min": lambda argument: _between(int(argument), None),
    "max": lambda argument: _between(None, int(argument)),
    "range": _range_of,
    "regex": _regex_of,
}


def constraint_of(text: str) -> Constraint:
    """`int`, `length(2,3)`, `regex(^a$)` ... -> its test. Raises ValueError or re.error for what is none."""
    name, opened, rest = text.partition("(")
    name = name.strip().lower()
    if not opened:
        if name in _PLAIN:
            return _PLAIN[name]
    elif rest.endswith(")") and name in _WITH_ARGUMENT:
        return _WITH_ARGUMENT[name](rest[:-1])
    raise ValueError(f"the constraint reference '{name}' could not be resolved")
