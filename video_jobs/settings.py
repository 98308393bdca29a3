"""What the application reads from its environment: in the functions that need it, not in orchestrators."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from video_jobs.contract import DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS

STORAGE = "VideoStorage"
TIMEOUT = "VIDEO_JOB_TIMEOUT_SECONDS"
WEBHOOK = "VIDEO_FAILURE_WEBHOOK_URL"
KEEP_DAYS = "VIDEO_KEEP_DAYS"
MOST_DAYS = 3650


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


def keep_days(environ: Mapping[str, str]) -> int:
    """How many days finished jobs are kept at least; 0, and the default, is for ever. `SettingError` for nonsense."""
    text = environ.get(KEEP_DAYS, "").strip() or "0"
    if not (text.isascii() and text.isdigit() and int(text) <= MOST_DAYS):
        raise SettingError(f"{KEEP_DAYS} must be a whole number from 1 to {MOST_DAYS}, or 0 to keep jobs for ever")
    return int(text)


def webhook_is_set(environ: Mapping[str, str]) -> bool:
    """Whether people are to be told of failures through a webhook, too."""
    return environ.get(WEBHOOK, "").strip() != ""


def failure_webhook(environ: Mapping[str, str]) -> str:
    """The webhook's URL; `SettingError`, without the URL in it, when it is none that may be used."""
    url = environ.get(WEBHOOK, "").strip()
    try:
        parts = urlsplit(url)
        good = parts.scheme.lower() == "https" and bool(parts.hostname) and parts.port != 0
        named = parts.username is not None or parts.password is not None
    except ValueError:
        good = named = False
    if not good or named or any(character.isspace() or not character.isprintable() for character in url):
        raise SettingError(f"{WEBHOOK} must be an https URL without a user name in it")
    return url


def status_link(environ: Mapping[str, str], instance_id: str) -> str | None:
    """Where the status of a job is; it opens with a key, which is not in it. None when the host has no name."""
    host = environ.get("WEBSITE_HOSTNAME", "").strip()
    if not host:
        return None
    scheme = "http" if host.split(":", maxsplit=1)[0] in ("localhost", "127.0.0.1") else "https"
    return f"{scheme}://{host}/runtime/webhooks/durabletask/instances/{quote(instance_id, safe='')}"
