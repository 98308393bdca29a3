"""What the application reads from its environment: in the functions that need it, not in orchestrators."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from video_jobs.contract import DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS

STORAGE = "VideoStorage"
TIMEOUT = "VIDEO_JOB_TIMEOUT_SECONDS"


class SettingError(ValueError):
    """A setting is missing or has a value that cannot be used; the text says which and what to set."""


@dataclass(frozen=True)
class StorageAccount:
    """The application's own account: by connection string, or by identity when `queue_service_uri` is set."""

    connection_string: str | None = None
    queue_service_uri: str | None = None
    managed_identity: bool = False
    client_id: str | None = None


def utc_now() -> datetime:
    """The clock of the parts that may read one."""
    return datetime.now(UTC)


def storage_account(environ: Mapping[str, str]) -> StorageAccount:
    """The account behind the connection name `VideoStorage`; raises `SettingError` when there is none."""
    if connection_string := environ.get(STORAGE, "").strip():
        return StorageAccount(connection_string=connection_string)
    if uri := environ.get(f"{STORAGE}__queueServiceUri", "").strip():
        return StorageAccount(
            queue_service_uri=uri,
            managed_identity=environ.get(f"{STORAGE}__credential", "").strip().lower() == "managedidentity",
            client_id=environ.get(f"{STORAGE}__clientId", "").strip() or None,
        )
    raise SettingError(
        f"No storage account for the queues: set {STORAGE} to a connection string, "
        f"or {STORAGE}__queueServiceUri to use an identity"
    )


def default_timeout_seconds(environ: Mapping[str, str]) -> int:
    """How long a job waits when its start does not say; `SettingError` for what the contract forbids."""
    text = environ.get(TIMEOUT, "").strip()
    if not text:
        return DEFAULT_TIMEOUT_SECONDS
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_TIMEOUT_SECONDS):
        raise SettingError(f"{TIMEOUT} must be a whole number from 1 to {MAX_TIMEOUT_SECONDS}")
    return int(text)
