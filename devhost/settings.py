"""What the app is configured with: host.json, local.settings.json and the environment, read once at start."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

OVERRIDE_PREFIX: Final = "azurefunctionsjobhost:"
# The storage emulator's account and key are public and the same on every machine.
_EMULATOR_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR: Final = ";".join(
    [
        "DefaultEndpointsProtocol=http",
        "AccountName=devstoreaccount1",
        f"AccountKey={_EMULATOR_KEY}",
        "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1",
        "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1",
        "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1",
    ]
)
_TIMESPAN: Final = re.compile(r"(-)?(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?")
_DAYS: Final = re.compile(r"(-)?(\d+)")
_ENDPOINTS: Final = ("blob", "queue", "table")


class SettingsError(Exception):
    """A settings file or value that nothing can be done with; the text says what to change."""


class UnresolvedSetting(SettingsError):
    """A `%NAME%` for which there is no setting."""


class MissingConnection(SettingsError):
    """A `connection` that names no setting."""


@dataclass(frozen=True)
class Connection:
    """A storage account: either a connection string (the emulator's short form already written out), or the
    service addresses to be used with an identity (`credential` and `client_id` as the app set them)."""

    name: str
    connection_string: str | None = None
    blob_service_uri: str | None = None
    queue_service_uri: str | None = None
    table_service_uri: str | None = None
    credential: str | None = None
    client_id: str | None = None


class HostSettings:
    """The settings of one app.

    `environment` is the process environment unless another mapping is given; the `Values` of
    local.settings.json are added to it, and `restore` takes them out again. `host` is host.json with the
    `AzureFunctionsJobHost__...` settings laid over it. `extra` and `defaults` are environment variables to be
    set in any case, and if nothing else sets them. `notes` are the lines to be logged about all this.
    A host.json that can't be used doesn't raise: `host_error` says why, and the host stays in state Error.

    Raises `SettingsError` when local.settings.json can't be used.
    """

    def __init__(
        self,
        app_dir: Path,
        *,
        environment: MutableMapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        self.app_dir = app_dir.resolve()
        self.environment: MutableMapping[str, str] = os.environ if environment is None else environment
        self.notes: list[str] = []
        self.host_error: str | None = None
        self._replaced: dict[str, str | None] = {}
        self.local = read_local_settings(self.app_dir / "local.settings.json")
        self._apply(self.local, extra or {}, defaults or {})
        self._configuration = {_key(name): value for name, value in self.environment.items()}
        self.host: dict[str, Any] = self._read_host()

    def get(self, path: str, default: Any = None) -> Any:
        """The host.json value at a dotted path such as `extensions.http.routePrefix`, names ignoring case."""
        value: Any = self.host
        for name in path.split("."):
            if not isinstance(value, dict):
                return default
            value = next((item for key, item in value.items() if key.lower() == name.lower()), None)
        return default if value is None else value

    def integer(self, path: str, default: int) -> int:
        """A whole number of host.json; raises `SettingsError` for anything else."""
        value = self.get(path, default)
        try:
            return int(str(value))
        except ValueError:
            raise SettingsError(f"{_where(path)} must be a whole number, not {value!r}.") from None

    def flag(self, path: str, default: bool) -> bool:
        """A yes or no of host.json; raises `SettingsError` for anything else."""
        value = self.get(path, default)
        text = str(value).lower()
        if text not in {"true", "false"}:
            raise SettingsError(f"{_where(path)} must be true or false, not {value!r}.")
        return text == "true"

    def timespan(self, path: str, default: timedelta) -> timedelta:
        """A time span of host.json (`[d.]hh:mm[:ss[.fffffff]]`); raises `SettingsError` for anything else."""
        value = self.get(path)
        if value is None:
            return default
        span = parse_timespan(str(value))
        if span is None:
            raise SettingsError(f"{_where(path)} must be a time span such as 00:05:00, not {value!r}.")
        return span

    def setting(self, name: str) -> str | None:
        """One setting by name, ignoring case, `__` and `:` being the same; None when it is not set."""
        return self._configuration.get(_key(name))

    def resolve(self, text: str) -> str:
        """`text` with each `%NAME%` replaced by that setting (once: what it holds is not looked at again).

        Raises `UnresolvedSetting`.
        """
        pieces: list[str] = []
        rest = text
        while (start := rest.find("%")) >= 0:
            end = rest.find("%", start + 1)
            if end < 0:
                position = len(text) - len(rest) + start
                raise UnresolvedSetting(f"The '%' at position {position} does not have a closing '%'")
            name = rest[start + 1 : end]
            value = self.setting(name)
            if not value:
                raise UnresolvedSetting(f"'%{name}%' does not resolve to a value.")
            pieces += [rest[:start], value]
            rest = rest[end + 1 :]
        return "".join([*pieces, rest])

    def connection(self, name: str | None) -> Connection:
        """The storage account that a `connection` names; none or an empty name is `AzureWebJobsStorage`.

        Raises `MissingConnection`.
        """
        name = name or "Storage"
        for key in _connection_keys(name):
            text = self.setting(key)
            if text:
                return Connection(name, connection_string=_written_out(text))
            if (by_identity := self._identity_based(name, key)) is not None:
                return by_identity
        raise MissingConnection(
            f"Storage account connection string 'AzureWebJobs{name}' does not exist. "
            "Make sure that it is a defined App Setting."
        )

    def is_true(self, name: str) -> bool:
        """Whether a setting says `true` or `1`."""
        return (self.setting(name) or "").strip().lower() in {"true", "1"}

    def restore(self) -> None:
        """Take out of the environment what was put there."""
        for name, value in self._replaced.items():
            if value is None:
                self.environment.pop(name, None)
            else:
                self.environment[name] = value
        self._replaced.clear()

    def _apply(self, local: Mapping[str, Any], extra: Mapping[str, str], defaults: Mapping[str, str]) -> None:
        # `extra` (the port, the folder) states facts and wins over all; `defaults` fill what is left open.
        for name, value in extra.items():
            self._set(name, value)
        present = {name.lower() for name in self.environment}
        for name, value in _local_values(local):
            if name.lower() in present:
                self.notes.append(
                    f"Skipping '{name}' from local settings as it's already defined in current environment variables."
                )
            else:
                self._set(name, value)
        for name, value in defaults.items():
            if name not in self.environment:
                self._set(name, value)

    def _set(self, name: str, value: str) -> None:
        self._replaced.setdefault(name, self.environment.get(name))
        self.environment[name] = value

    def _identity_based(self, name: str, key: str) -> Connection | None:
        account = self.setting(f"{key}:accountName")
        uris = {
            service: self.setting(f"{key}:{service}ServiceUri")
            or (f"https://{account}.{service}.core.windows.net" if account else None)
            for service in _ENDPOINTS
        }
        if not any(uris.values()):
            return None
        return Connection(
            name,
            blob_service_uri=uris["blob"],
            queue_service_uri=uris["queue"],
            table_service_uri=uris["table"],
            credential=self.setting(f"{key}:credential"),
            client_id=self.setting(f"{key}:clientId"),
        )

    def _read_host(self) -> dict[str, Any]:
        try:
            host = _read_object(self.app_dir / "host.json")
        except FileNotFoundError:
            self.host_error = (
                f"There is no host.json in {self.app_dir}. "
                'Create it with at least {"version": "2.0"}, or start in the folder of the app.'
            )
            return {}
        except SettingsError as error:
            self.host_error = str(error)
            return {}
        for path, value in _overrides(self._configuration):
            _lay_over(host, path, value)
        version = next((item for key, item in host.items() if key.lower() == "version"), None)
        if version is None:
            self.host_error = 'The host.json file is missing the required \'version\' property. Add "version": "2.0".'
        elif str(version) != "2.0":
            self.host_error = f"'{version}' is an invalid value for host.json 'version' property. It must be \"2.0\"."
        return host


def parse_timespan(text: str) -> timedelta | None:
    """A .NET time span, `[-][d.]hh:mm[:ss[.fffffff]]` or whole days; None when the text is none."""
    text = text.strip()
    if days := _DAYS.fullmatch(text):
        span = timedelta(days=int(days[2]))
        return -span if days[1] else span
    parts = _TIMESPAN.fullmatch(text)
    if parts is None:
        return None
    hours, minutes, seconds = int(parts[3]), int(parts[4]), int(parts[5] or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    microseconds = int((parts[6] or "0").ljust(7, "0")) // 10
    span = timedelta(int(parts[2] or 0), seconds, microseconds, minutes=minutes, hours=hours)
    return -span if parts[1] else span


def timespan_text(span: timedelta) -> str:
    """`[d.]hh:mm:ss[.fffffff]`, as .NET prints it."""
    seconds = span.seconds
    days = f"{span.days}." if span.days else ""
    fraction = f".{span.microseconds:06}0" if span.microseconds else ""
    return f"{days}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _key(name: str) -> str:
    return name.replace("__", ":").lower()


def _where(path: str) -> str:
    return f"host.json: {path}"


def _connection_keys(name: str) -> list[str]:
    prefixed = f"AzureWebJobs{name}"
    return [f"ConnectionStrings:{prefixed}", prefixed, f"ConnectionStrings:{name}", name]


def _written_out(connection_string: str) -> str:
    # The Python storage clients don't know the short form, the .NET ones (and so every sample) do.
    short = connection_string.replace(" ", "").rstrip(";").lower()
    return _EMULATOR if short == "usedevelopmentstorage=true" else connection_string


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise SettingsError(
            f"{path.name} is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno} ({path})."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path.name} must be saved as UTF-8 ({path}).") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path.name} must hold one JSON object ({path}).")
    return value


def read_local_settings(path: Path) -> dict[str, Any]:
    """local.settings.json, empty when there is none. Raises `SettingsError` when it can't be used."""
    try:
        local = _read_object(path)
    except FileNotFoundError:
        return {}
    if local.get("IsEncrypted", True) is not False:
        raise SettingsError(
            f"{path} counts as encrypted, and devhost can't decrypt it. "
            'Set "IsEncrypted": false in it and write the values in plain text.'
        )
    for section in ("Values", "ConnectionStrings", "Host"):
        if not isinstance(local.get(section) or {}, dict):
            raise SettingsError(f"{path}: '{section}' must be a JSON object.")
    return local


def _local_values(local: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in (local.get("Values") or {}).items():
        if value is None:
            continue
        if isinstance(value, dict | list):
            raise SettingsError(f"local.settings.json: the value of '{name}' must be a text, not an object or a list.")
        yield name, value if isinstance(value, str) else json.dumps(value)
    for name, value in (local.get("ConnectionStrings") or {}).items():
        text = value.get("ConnectionString") if isinstance(value, dict) else value
        if text is not None:
            yield f"ConnectionStrings:{name}", str(text)


def _overrides(configuration: Mapping[str, str]) -> Iterator[tuple[list[str], Any]]:
    for key in sorted(configuration):
        if key.startswith(OVERRIDE_PREFIX):
            yield key.removeprefix(OVERRIDE_PREFIX).split(":"), _typed(configuration[key])


def _typed(text: str) -> Any:
    """The JSON value that a setting's text stands for; texts stay texts."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else text


def _lay_over(host: dict[str, Any], path: list[str], value: Any) -> None:
    place: Any = host
    for name, following in zip(path, [*path[1:], None], strict=True):
        key = _place_of(place, name)
        if following is None:
            place[key] = value
            return
        if not isinstance(place[key], dict | list):
            place[key] = [] if following.isdigit() else {}
        place = place[key]


def _place_of(place: dict[str, Any] | list[Any], name: str) -> Any:
    """The key of `name` in an object (ignoring case) or list; made if there is none yet."""
    if isinstance(place, list):
        position = int(name) if name.isdigit() else len(place)
        position = min(position, len(place))
        if position == len(place):
            place.append(None)
        return position
    key = next((key for key in place if key.lower() == name), name)
    place.setdefault(key, None)
    return key
