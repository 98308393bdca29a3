"""Access keys: the master key, host and function keys, and one system key for each webhook.

Kept as JSON in `keys.json` of the state folder (mode 0600), or in memory. Keys are made when first asked for.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

MASTER = "_master"
DEFAULT = "default"
HOST_KEYS = "functionkeys"
SYSTEM_KEYS = "systemkeys"
FILE_NAME = "keys.json"


class AuthLevel(IntEnum):
    """What a caller has shown to be; a higher level may do what a lower one may."""

    ANONYMOUS = 0
    FUNCTION = 1
    ADMIN = 2


class KeyFileError(ValueError):
    """The key file can't be read; the text names it."""


def generate_key() -> str:
    """56 characters of URL-safe base64 of 40 random bytes, with Azure's mark in it."""
    text = base64.urlsafe_b64encode(secrets.token_bytes(40)).decode()
    return f"{text[:44]}AzFu{text[48:]}"


def level_of(text: Any) -> AuthLevel:
    """The `authLevel` of an HTTP trigger; `FUNCTION` when it isn't given, `ADMIN` for an unknown one."""
    names = {"anonymous": AuthLevel.ANONYMOUS, "function": AuthLevel.FUNCTION}
    return names.get(str(text or "function").lower(), AuthLevel.ADMIN)


def function_scope(function: str) -> str:
    """The name of a function's own key ring."""
    return f"function:{function.lower()}"


class KeyStore:
    """Rings of named keys: `functionkeys` and `systemkeys` of the host, and one per function."""

    def __init__(self, folder: Path | None, generate: Callable[[], str] = generate_key) -> None:
        """`folder` None keeps the keys in memory. Raises KeyFileError when the file there can't be read."""
        self._path = None if folder is None else folder / FILE_NAME
        self._generate = generate
        self._rings: dict[str, dict[str, str]] = {}
        self._master = ""
        if self._path is not None and self._path.exists():
            self._load(self._path)
        if not self._master:
            self._master = generate()
            self._save()

    @property
    def master(self) -> str:
        return self._master

    def ring(self, scope: str) -> dict[str, str]:
        """A copy of a ring, names to values; every ring but the system's has a key `default`."""
        if scope != SYSTEM_KEYS and DEFAULT not in self._rings.get(scope, {}):
            self._rings.setdefault(scope, {})[DEFAULT] = self._generate()
            self._save()
        return dict(self._rings.get(scope, {}))

    def extension_key(self, extension: str) -> str:
        """The system key of a webhook, `<extension>_extension`, made on first use."""
        name = f"{extension.lower()}_extension"
        value = self._rings.get(SYSTEM_KEYS, {}).get(name)
        return value if value is not None else self.set(SYSTEM_KEYS, name)[0]

    def set(self, scope: str, name: str, value: str | None = None) -> tuple[str, bool]:
        """Set a key, to a new random value unless one is given: its value, and whether it is new."""
        value = value or self._generate()
        if scope == SYSTEM_KEYS and name == MASTER:
            self._master, new = value, False
        else:
            new = name not in self.ring(scope)
            self._rings.setdefault(scope, {})[name] = value
        self._save()
        return value, new

    def delete(self, scope: str, name: str) -> bool:
        """Whether there was such a key."""
        if self._rings.get(scope, {}).pop(name, None) is None:
            return False
        self._save()
        return True

    def level(self, key: str | None, function: str | None = None) -> AuthLevel:
        """What a key makes of its bearer, for one function (or for the host when that is None)."""
        if not key:
            return AuthLevel.ANONYMOUS
        if same_key(key, self._master):
            return AuthLevel.ADMIN
        rings = [self.ring(HOST_KEYS)] + ([self.ring(function_scope(function))] if function else [])
        fits = any(same_key(key, value) for ring in rings for value in ring.values())
        return AuthLevel.FUNCTION if fits else AuthLevel.ANONYMOUS

    def opens_webhook(self, key: str | None, extension: str) -> bool:
        """Whether a key is the master key or the extension's own system key."""
        return bool(key) and (same_key(str(key), self._master) or same_key(str(key), self.extension_key(extension)))

    def _load(self, path: Path) -> None:
        try:
            stored = json.loads(path.read_text("utf-8"))
            self._master = str(stored["master"])
            self._rings = {scope: dict(ring) for scope, ring in stored["rings"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise KeyFileError(f"The keys in {path} can't be read ({problem}); delete the file for new keys.") from None

    def _save(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: a crash between the two leaves the old keys, not half a file.
        beside = self._path.with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_text(json.dumps({"master": self._master, "rings": self._rings}, indent=2), "utf-8")
        beside.replace(self._path)


def same_key(given: str, right: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), right.encode())
