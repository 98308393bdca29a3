"""JSON text as the host reads and writes it again (Newtonsoft.Json), for functions that return a plain str.

The reader is as lenient as the host's: single quotes, bare names, comments, a trailing comma, NaN, octal and
hexadecimal integers. ISO date strings lose trailing zeros of their fraction and are moved to UTC, as there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from math import copysign, inf, isinf, isnan, nan
from typing import Any

_BLANK = re.compile(r"(?:\s+|//[^\n\r]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"[-+.0-9a-fA-FxX]+")
_NAME = re.compile(r"[\w$]+")
_WORDS: tuple[tuple[str, Any], ...] = (
    ("true", True),
    ("false", False),
    ("null", None),
    ("undefined", None),
    ("NaN", nan),
    ("Infinity", inf),
    ("-Infinity", -inf),
)
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "\\": "\\", '"': '"', "'": "'", "/": "/"}
_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DEPTH = 64


class NotJsonError(ValueError):
    """The text is not JSON to the host: it is passed on untouched."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def blank(self) -> str:
        """Skip blanks and comments; the next character, or `""` at the end."""
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int = 0) -> Any:
        char = self.blank()
        if depth > _DEPTH:
            raise NotJsonError("nested too deeply")
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._array(depth)
        if char in ('"', "'") and char:
            return self._string(char)
        for word, value in _WORDS:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                if _NAME.match(self.text, self.at):
                    raise NotJsonError(f"unexpected text after {word}")
                return value
        return self._number()

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        result: dict[str, Any] = {}
        while (char := self.blank()) != "}":
            name = self._string(char) if char in ('"', "'") and char else self._name()
            if self.blank() != ":":
                raise NotJsonError("':' expected")
            self.at += 1
            result[name] = self.value(depth + 1)
            self._comma("}")
        self.at += 1
        return result

    def _array(self, depth: int) -> list[Any]:
        self.at += 1
        result: list[Any] = []
        while self.blank() != "]":
            result.append(self.value(depth + 1))
            self._comma("]")
        self.at += 1
        return result

    def _comma(self, end: str) -> None:
        char = self.blank()
        if char == ",":
            self.at += 1
        elif char != end:
            raise NotJsonError(f"',' or '{end}' expected")

    def _name(self) -> str:
        found = _NAME.match(self.text, self.at)
        if found is None:
            raise NotJsonError("property name expected")
        self.at = found.end()
        return found.group()

    def _string(self, quote: str) -> str:
        self.at += 1
        pieces: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == quote:
                return "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            pieces.append(self._escape() if char == "\\" else char)
        raise NotJsonError("unterminated string")

    def _escape(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if char == "u":
            digits = self.text[self.at : self.at + 4]
            if re.fullmatch(r"[0-9a-fA-F]{4}", digits) is None:
                raise NotJsonError("bad \\u escape")
            self.at += 4
            return chr(int(digits, 16))
        if char not in _ESCAPES:
            raise NotJsonError("bad escape")
        return _ESCAPES[char]

    def _number(self) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        if found is None or found.group()[0] not in "-.0123456789":
            raise NotJsonError("value expected")
        self.at = found.end()
        digits = found.group()
        try:
            if re.fullmatch(r"0[0-9xX][0-9a-fA-F]*", digits):
                return int(digits, 16) if digits[1] in "xX" else int(digits, 8)
            return int(digits) if re.fullmatch(r"-?[0-9]+", digits) else float(digits)
        except ValueError:
            raise NotJsonError(f"'{digits}' is not a number") from None


def read_json(text: str) -> Any:
    """The value of JSON text; None for text that holds nothing but blanks. Raises NotJsonError."""
    reader = _Reader(text)
    if reader.blank() == "":
        return None
    value = reader.value()
    if reader.blank() != "":
        raise NotJsonError("more text after the value")
    return value


def write_json(value: Any, *, indent: bool = True) -> str:
    """Indented by two blanks with line feeds, or compact."""
    return _write(value, "\n" if indent else "")


def bare_text(value: Any) -> str:
    """A value that stands alone: a string without quotes, `True`, `1.5`, nothing for null, indented JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, float):
        return double_text(value)
    return write_json(value)


def double_text(value: float) -> str:
    """A double as .NET prints it: shortest digits, `1E+16` from 1e15 on, `1E-05` from 1e-5 down."""
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign = "-" if copysign(1.0, value) < 0 else ""
    mantissa, _, exponent_text = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign + "0"
    leading = len(whole + fraction) - len(digits)
    exponent = int(exponent_text or 0) + len(whole) - leading - 1
    digits = digits.rstrip("0")
    if exponent >= 15 or exponent <= -5:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}E{'+' if exponent > 0 else '-'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    digits = digits.ljust(exponent + 1, "0")
    tail = f".{digits[exponent + 1 :]}" if len(digits) > exponent + 1 else ""
    return f"{sign}{digits[: exponent + 1]}{tail}"


def _write_double(value: float) -> str:
    text = double_text(value)
    if isnan(value) or isinf(value):
        return f'"{text}"'
    return text if any(char in text for char in ".E") else f"{text}.0"


def _quoted(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _as_date(value: str) -> str:
    found = _DATE.fullmatch(value)
    if found is None:
        return value
    seconds, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(seconds + (zone or ""))
        if zone and zone != "Z":
            moment, zone = moment.astimezone(UTC), "+00:00"
    except (ValueError, OverflowError):
        return value
    tail = (fraction or "").rstrip("0")
    return moment.replace(tzinfo=None).isoformat() + (f".{tail}" if tail else "") + (zone or "")


_SCALARS: dict[type, Callable[[Any], str]] = {
    str: lambda value: _quoted(_as_date(value)),
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _write_double,
    type(None): lambda _: "null",
}


def _write(value: Any, newline: str) -> str:
    deeper = newline + "  " if newline else ""
    if isinstance(value, dict):
        colon = ": " if newline else ":"
        items = [f"{_quoted(name)}{colon}{_write(item, deeper)}" for name, item in value.items()]
        opened, closed = "{}"
    elif isinstance(value, list):
        items = [_write(item, deeper) for item in value]
        opened, closed = "[]"
    else:
        return _SCALARS[type(value)](value)
    if not items:
        return opened + closed
    return f"{opened}{deeper}{(',' + deeper).join(items)}{newline}{closed}"
