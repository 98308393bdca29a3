"""Which URLs are read with the worker's own key, and what may be shown of them."""

from collections.abc import Iterator

import pytest

from worker.account import Account
from worker.footage import own_blob, without_query

CONNECTION = (
    "DefaultEndpointsProtocol=http;AccountName=dev;AccountKey=a2V5;"
    "BlobEndpoint=http://127.0.0.1:10000/dev;QueueEndpoint=http://127.0.0.1:10001/dev"
)


@pytest.fixture
def account() -> Iterator[Account]:
    account = Account.connect(CONNECTION)
    yield account
    account.close()


@pytest.mark.parametrize(
    ("url", "container", "name"),
    [
        ("http://127.0.0.1:10000/dev/videos/a.avi", "videos", "a.avi"),
        ("http://localhost:10000/dev/videos/night%207/a%2Bb.avi", "videos", "night 7/a+b.avi"),
        ("http://127.0.0.1:10000/dev/videos/a.avi?snapshot=1", "videos", "a.avi"),
    ],
)
def test_own_blobs(url: str, container: str, name: str, account: Account) -> None:
    blob = own_blob(url, account)
    assert blob is not None
    assert (blob.container_name, blob.blob_name) == (container, name)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:10000/dev/videos/a.avi?sv=1&sig=x",
        "http://127.0.0.1:10000/other/videos/a.avi",
        "http://127.0.0.1:10000/development/a.avi",
        "http://127.0.0.1:9999/dev/videos/a.avi",
        "https://127.0.0.1:10000/dev/videos/a.avi",
        "http://127.0.0.1:10000/dev/videos",
        "http://cameras.example/a.avi",
    ],
)
def test_other_urls(url: str, account: Account) -> None:
    assert own_blob(url, account) is None


def test_a_signature_is_not_shown() -> None:
    assert without_query("https://a/v/a.avi?sig=x") == "https://a/v/a.avi"
