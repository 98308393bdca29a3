"""Gets the footage: from the worker's own account, or from any http(s) URL that needs no more than itself."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobClient

from worker.account import Account
from worker.failures import VideoError

CHUNK_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 10


def without_query(url: str) -> str:
    """The URL as it may be shown: a query may hold a signature."""
    return url.partition("?")[0]


def fetch(url: str, target: Path, account: Account, check: Callable[[], None]) -> None:
    """Download the footage to a file; `check` is called now and then and may raise to stop it.

    Raises `VideoError` with the code `blob_missing`, `blob_forbidden`, `blob_empty` or `download_failed`.
    """
    blob = own_blob(url, account)
    chunks = _from_account(blob) if blob else _from_web(url)
    size = 0
    with target.open("wb") as file:
        for chunk in chunks:
            check()
            size += file.write(chunk)
    if size == 0:
        raise VideoError("blob_empty", f"There are no bytes in {without_query(url)}")


def own_blob(url: str, account: Account) -> BlobClient | None:
    """The blob in the worker's own account that the URL means, unless it brings its own signature."""
    wanted, own = urlsplit(url), urlsplit(account.blobs.url)
    path, root = unquote(wanted.path), own.path.rstrip("/") + "/"
    same = (_host(wanted.netloc), wanted.scheme) == (_host(own.netloc), own.scheme)
    if not same or not path.startswith(root) or "sig" in parse_qs(wanted.query):
        return None
    container, _, name = path.removeprefix(root).partition("/")
    return account.blobs.get_blob_client(container, name) if container and name else None


def _host(netloc: str) -> str:
    return netloc.lower().replace("localhost", "127.0.0.1")


def _from_account(blob: BlobClient) -> Iterator[bytes]:
    try:
        yield from blob.download_blob().chunks()
    except HttpResponseError as error:
        raise _refused(blob.url, error.status_code or 0) from error
    except AzureError as error:
        raise _broken(blob.url, error) from error


def _from_web(url: str) -> Iterator[bytes]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise VideoError("blob_forbidden", f"Only http and https are read, not {without_query(url)}")
    received, expected = 0, None
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - scheme checked
            expected = response.headers.get("Content-Length")
            # read1 gives what is there, so that a slow source does not keep the worker from stopping.
            while chunk := response.read1(CHUNK_BYTES):
                received += len(chunk)
                yield chunk
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error.code) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _broken(url, error) from error
    if expected is not None and received != int(expected):
        raise _broken(url, f"{received} of {expected} bytes came")


def _refused(url: str, status: int) -> VideoError:
    shown = without_query(url)
    if status in (404, 410):
        return VideoError("blob_missing", f"There is no {shown}")
    if status in (401, 403):
        return VideoError("blob_forbidden", f"Not allowed to read {shown}: status {status}")
    if status == 416:
        return VideoError("blob_empty", f"There are no bytes in {shown}")
    return VideoError("download_failed", f"Reading {shown} gave status {status}", retryable=status >= 500)


def _broken(url: str, why: object) -> VideoError:
    return VideoError("download_failed", f"Reading {without_query(url)} broke off: {why}", retryable=True)
