"""host.json, local.settings.json and the environment become one set of settings."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from devhost.settings import (
    HostSettings,
    MissingConnection,
    SettingsError,
    UnresolvedSetting,
    parse_timespan,
    timespan_text,
)


def settings(
    folder: Path,
    environment: dict[str, str] | None = None,
    host: Any = None,
    local: Any = None,
) -> HostSettings:
    host = {"version": "2.0"} if host is None else host
    (folder / "host.json").write_text(host if isinstance(host, str) else json.dumps(host), encoding="utf-8")
    if local is not None:
        text = local if isinstance(local, str) else json.dumps(local)
        (folder / "local.settings.json").write_text(text, encoding="utf-8-sig")
    return HostSettings(folder, environment={} if environment is None else environment)


class TestLocalSettings:
    def test_values_become_environment_variables_and_go_with_the_host(self, tmp_path: Path) -> None:
        environment = {"PATH": "p"}
        values = {"A": "x", "N": 5, "B": True, "Nothing": None}
        read = settings(tmp_path, environment, local={"IsEncrypted": False, "Values": values})
        assert environment == {"PATH": "p", "A": "x", "N": "5", "B": "true"}
        read.restore()
        assert environment == {"PATH": "p"}

    def test_what_the_environment_has_wins_and_is_said(self, tmp_path: Path) -> None:
        environment = {"A": "mine"}
        read = settings(tmp_path, environment, local={"IsEncrypted": False, "Values": {"A": "theirs"}})
        assert environment == {"A": "mine"}
        assert read.notes == [
            "Skipping 'A' from local settings as it's already defined in current environment variables."
        ]

    def test_connection_strings_become_settings(self, tmp_path: Path) -> None:
        strings = {"Plain": "cs1", "Sql": {"ConnectionString": "cs2", "ProviderName": "p"}}
        read = settings(tmp_path, local={"IsEncrypted": False, "ConnectionStrings": strings})
        assert read.connection("Plain").connection_string == "cs1"
        assert read.environment["ConnectionStrings:Sql"] == "cs2"

    @pytest.mark.parametrize("local", [{"Values": {}}, {"IsEncrypted": True}])
    def test_encrypted_values_are_refused_with_the_remedy(self, tmp_path: Path, local: Any) -> None:
        with pytest.raises(SettingsError, match='Set "IsEncrypted": false'):
            settings(tmp_path, local=local)

    @pytest.mark.parametrize(
        ("local", "text"),
        [
            ('{"IsEncrypted": false,\n oops}', "not valid JSON.*line 2"),
            ("[]", "one JSON object"),
            ({"IsEncrypted": False, "Values": {"A": {"b": 1}}}, "the value of 'A' must be a text"),
            ({"IsEncrypted": False, "Values": []}, None),
            ({"IsEncrypted": False, "Values": [1]}, "'Values' must be a JSON object"),
        ],
    )
    def test_a_broken_file_says_where(self, tmp_path: Path, local: Any, text: str | None) -> None:
        if text is None:
            settings(tmp_path, local=local)
            return
        with pytest.raises(SettingsError, match=text):
            settings(tmp_path, local=local)


class TestHostJson:
    def test_paths_ignore_case(self, tmp_path: Path) -> None:
        host = {"version": "2.0", "Extensions": {"http": {"routePrefix": ""}}}
        read = settings(tmp_path, host=host)
        assert read.get("extensions.HTTP.routeprefix", "api") == ""
        assert read.get("extensions.queues.batchSize", 16) == 16
        assert read.host_error is None

    def test_settings_lie_over_it(self, tmp_path: Path) -> None:
        environment = {
            "AzureFunctionsJobHost__extensions__queues__batchSize": "4",
            "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "0",
            "AzureFunctionsJobHost__EXTENSIONS__http__routePrefix": "v1",
            "AzureFunctionsJobHost__functions__0": "a",
            "AzureFunctionsJobHost__functions__1": "b",
            "AzureFunctionsJobHost__logging__console__isEnabled": "false",
            "AzureFunctionsJobHost:functionTimeout": "00:00:03",
        }
        host = {"version": "2.0", "extensions": {"http": {"routePrefix": "api"}}, "functions": ["z"]}
        read = settings(tmp_path, environment, host=host)
        assert read.integer("extensions.queues.batchSize", 16) == 4
        assert read.integer("extensions.queues.newBatchThreshold", 8) == 0
        assert read.get("extensions.http.routePrefix") == "v1"
        assert read.get("functions") == ["a", "b"]
        assert not read.flag("logging.console.isEnabled", True)
        assert read.timespan("functionTimeout", timedelta(0)) == timedelta(seconds=3)

    @pytest.mark.parametrize(
        ("host", "text"),
        [
            ('{"version": "2.0"', "not valid JSON"),
            ({}, "missing the required 'version'"),
            ({"version": "1.0"}, "'1.0' is an invalid value"),
        ],
    )
    def test_an_unusable_one_is_told_not_raised(self, tmp_path: Path, host: Any, text: str) -> None:
        assert text in (settings(tmp_path, host=host).host_error or "")

    def test_a_missing_one_is_told(self, tmp_path: Path) -> None:
        assert "There is no host.json" in (HostSettings(tmp_path, environment={}).host_error or "")

    def test_wrong_values_name_their_place(self, tmp_path: Path) -> None:
        host = {"version": "2.0", "a": {"n": "many", "f": "maybe", "t": "soon"}}
        read = settings(tmp_path, host=host)
        with pytest.raises(SettingsError, match=r"a\.n must be a whole number, not 'many'"):
            read.integer("a.n", 1)
        with pytest.raises(SettingsError, match=r"a\.f must be true or false"):
            read.flag("a.f", True)
        with pytest.raises(SettingsError, match=r"a\.t must be a time span such as 00:05:00"):
            read.timespan("a.t", timedelta(1))


class TestResolving:
    def test_names_are_replaced_once(self, tmp_path: Path) -> None:
        read = settings(tmp_path, {"A": "%B%", "B": "b", "Sec__Key": "k"})
        assert read.resolve("pre-%A%-%b%-post") == "pre-%B%-b-post"
        assert read.resolve("%Sec:Key%") == "k"
        assert read.resolve("plain") == "plain"

    @pytest.mark.parametrize("name", ["X", "EMPTY"])
    def test_an_unknown_or_empty_one_raises(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(UnresolvedSetting) as error:
            settings(tmp_path, {"EMPTY": ""}).resolve(f"a-%{name}%")
        assert str(error.value) == f"'%{name}%' does not resolve to a value."

    def test_a_lone_percent_sign_raises(self, tmp_path: Path) -> None:
        with pytest.raises(UnresolvedSetting, match="position 7 does not have a closing"):
            settings(tmp_path, {"A": "a"}).resolve("x-%A%-y%")


class TestConnections:
    def test_the_order_of_the_names(self, tmp_path: Path) -> None:
        environment = {"Conn": "4"}
        assert settings(tmp_path, environment).connection("Conn").connection_string == "4"
        for name, value in (
            ("ConnectionStrings__Conn", "3"),
            ("AzureWebJobsConn", "2"),
            ("ConnectionStrings:AzureWebJobsConn", "1"),
        ):
            environment[name] = value
            assert settings(tmp_path, environment).connection("conn").connection_string == value

    @pytest.mark.parametrize("name", [None, "", "Storage", "AzureWebJobsStorage"])
    def test_none_is_the_hosts_own(self, tmp_path: Path, name: str | None) -> None:
        read = settings(tmp_path, {"AzureWebJobsStorage": "own"})
        assert read.connection(name).connection_string == "own"

    def test_the_emulators_short_form_is_written_out(self, tmp_path: Path) -> None:
        read = settings(tmp_path, {"AzureWebJobsStorage": "UseDevelopmentStorage=true;"})
        text = read.connection(None).connection_string or ""
        assert "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1" in text

    def test_service_addresses_mean_an_identity(self, tmp_path: Path) -> None:
        environment = {
            "Video__queueServiceUri": "https://v.queue.core.windows.net",
            "Video__credential": "managedidentity",
            "Video__clientId": "id",
            "Other__accountName": "acc",
        }
        read = settings(tmp_path, environment)
        video = read.connection("Video")
        assert video.connection_string is None
        assert (video.queue_service_uri, video.client_id) == ("https://v.queue.core.windows.net", "id")
        assert read.connection("Other").blob_service_uri == "https://acc.blob.core.windows.net"

    def test_an_unknown_one_raises_in_the_hosts_words(self, tmp_path: Path) -> None:
        with pytest.raises(MissingConnection) as error:
            settings(tmp_path).connection("Nope")
        assert str(error.value) == (
            "Storage account connection string 'AzureWebJobsNope' does not exist. "
            "Make sure that it is a defined App Setting."
        )


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:05:00", timedelta(minutes=5)),
        ("1.02:03:04.5", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("00:30", timedelta(minutes=30)),
        ("7", timedelta(days=7)),
        ("-00:00:01", timedelta(seconds=-1)),
        ("25:00:00", None),
        ("00:61:00", None),
        ("soon", None),
    ],
)
def test_time_spans(text: str, span: timedelta | None) -> None:
    assert parse_timespan(text) == span


def test_time_spans_are_written_as_the_host_does() -> None:
    assert timespan_text(timedelta(seconds=3)) == "00:00:03"
    assert timespan_text(timedelta(days=1, milliseconds=1)) == "1.00:00:00.0010000"
