"""What tests of all folders share."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.azurite import Azurite

pytest_plugins = ["devhost.testing.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--functions-host",
        default="devhost",
        metavar="devhost|func|URL",
        help="what runs the apps of tests/apps: devhost (default), func (Azure Functions Core Tools, from PATH), "
        "or the URL of a host that already runs one of them; AzureWebJobsStorage then names its storage",
    )


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One storage emulator for all tests of the session; each test uses queues of its own."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as emulator:
        yield emulator


@pytest.fixture
def queue_prefix() -> str:
    """What the names of a test's queues begin with: no other test has it."""
    return f"t{uuid4().hex[:10]}-"
