"""Puts a file into the storage account that the setting VideoStorage names.

`python -m tools.storage FILE CONTAINER/NAME` prints the blob's URL.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from urllib.parse import unquote

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContentSettings, LinearRetry

SETTING = "VideoStorage"
CONTENT_TYPES = {".avi": "video/x-msvideo", ".mp4": "video/mp4"}


def connect() -> BlobServiceClient:
    """The account of VideoStorage; few retries, for an emulator answers at once or not at all."""
    retries = LinearRetry(backoff=1, retry_total=2)
    return BlobServiceClient.from_connection_string(os.environ[SETTING], retry_policy=retries)


def upload(account: BlobServiceClient, file: Path, address: str) -> str:
    """Write `file` to `address` (container/name), over an older one; the blob's URL. Raises AzureError."""
    container, _, name = address.partition("/")
    with contextlib.suppress(ResourceExistsError):
        account.create_container(container)
    blob = account.get_blob_client(container, name)
    settings = ContentSettings(content_type=CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream"))
    with file.open("rb") as content:
        blob.upload_blob(content, overwrite=True, content_settings=settings)
    return str(blob.url)


def download(account: BlobServiceClient, url: str, target: Path) -> Path:
    """Read the blob of this account that `url` names into `target`. Raises AzureError."""
    container, _, name = unquote(url.removeprefix(account.url.rstrip("/") + "/")).partition("/")
    target.write_bytes(account.get_blob_client(container, name).download_blob().readall())
    return target


def main(arguments: list[str]) -> int:
    file, address = arguments
    try:
        print(upload(connect(), Path(file), address))
    except AzureError as error:
        print(f"The upload of {file} failed: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
