"""Access keys: who may do what, and that keys outlive the process."""

from __future__ import annotations

import stat
from itertools import count
from pathlib import Path

import pytest

from devhost.http.keys import (
    FILE_NAME,
    HOST_KEYS,
    MASTER,
    SYSTEM_KEYS,
    AuthLevel,
    KeyFileError,
    KeyStore,
    function_scope,
    generate_key,
    level_of,
)


def numbered() -> KeyStore:
    numbers = count()
    return KeyStore(None, lambda: f"key-{next(numbers)}")


def test_keys_are_long_random_and_safe_in_a_url() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) == 56 and key[44:48] == "AzFu" and key.isascii() and "/" not in key for key in keys)


def test_a_function_key_opens_its_function_and_a_host_key_all_of_them() -> None:
    keys = numbered()
    own, _ = keys.set(function_scope("Mine"), "default")
    host = keys.ring(HOST_KEYS)["default"]
    assert keys.level(own, "mine") is AuthLevel.FUNCTION
    assert keys.level(own, "other") is AuthLevel.ANONYMOUS
    assert keys.level(own) is AuthLevel.ANONYMOUS
    assert keys.level(host, "other") is AuthLevel.FUNCTION
    assert keys.level(keys.master) is AuthLevel.ADMIN
    assert keys.level(None, "mine") is keys.level("", "mine") is AuthLevel.ANONYMOUS
    assert keys.level("žluť\udcff", "mine") is AuthLevel.ANONYMOUS


def test_a_system_key_opens_its_webhook_only() -> None:
    keys = numbered()
    durable = keys.extension_key("durabletask")
    assert durable == keys.ring(SYSTEM_KEYS)["durabletask_extension"] == keys.extension_key("DurableTask")
    assert keys.opens_webhook(durable, "durabletask")
    assert keys.opens_webhook(keys.master, "durabletask")
    assert not keys.opens_webhook(durable, "eventgrid")
    assert not keys.opens_webhook(None, "durabletask")
    assert keys.level(durable, "any") is AuthLevel.ANONYMOUS


def test_every_ring_but_the_systems_has_a_default_key_which_comes_first() -> None:
    keys = numbered()
    assert keys.set(HOST_KEYS, "mine", "v") == ("v", True)
    assert keys.set(HOST_KEYS, "mine", "w") == ("w", False)
    assert list(keys.ring(HOST_KEYS)) == ["default", "mine"]
    assert keys.ring(SYSTEM_KEYS) == {}
    assert keys.delete(HOST_KEYS, "mine")
    assert not keys.delete(HOST_KEYS, "mine")


def test_the_master_key_can_be_renewed() -> None:
    keys = numbered()
    old = keys.master
    new, _ = keys.set(SYSTEM_KEYS, MASTER)
    assert keys.master == new != old
    assert keys.level(old) is AuthLevel.ANONYMOUS


def test_keys_outlive_the_process_in_a_file_for_its_owner_only(tmp_path: Path) -> None:
    first = KeyStore(tmp_path / "state")
    durable = first.extension_key("durabletask")
    again = KeyStore(tmp_path / "state")
    assert (again.master, again.extension_key("durabletask")) == (first.master, durable)
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"master": "m"}', '{"master": "m", "rings": 5}'])
def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(KeyFileError, match=r"keys\.json.*delete the file"):
        KeyStore(tmp_path)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("ANONYMOUS", AuthLevel.ANONYMOUS),
        ("function", AuthLevel.FUNCTION),
        (None, AuthLevel.FUNCTION),
        ("ADMIN", AuthLevel.ADMIN),
        ("SYSTEM", AuthLevel.ADMIN),
    ],
)
def test_the_level_of_a_trigger(text: str | None, level: AuthLevel) -> None:
    assert level_of(text) is level
