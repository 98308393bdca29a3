"""The pytest plugin: `pytest_plugins = ["devhost.testing.plugin"]` in the conftest.py beside the app's tests.

It needs pytest-asyncio. The fixture `functions_host` is a `TestHost` of the app in the folder that the fixture
`functions_app` gives: pytest's root folder, unless a conftest.py defines it anew. A test chooses other options by
`@pytest.mark.functions_host(app_dir=…, bad_days=BadDays(…), …)`; they are those of `TestHost`, and a mark nearer to
the test goes before one of its class or module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from devhost.testing.host import TestHost

MARK = "functions_host"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}(**options): options of devhost.testing.TestHost for this test")


@pytest.fixture
def functions_app(request: pytest.FixtureRequest) -> Path:
    """The folder of the app, the one with host.json."""
    return Path(request.config.rootpath)


@pytest_asyncio.fixture
async def functions_host(request: pytest.FixtureRequest, functions_app: Path) -> AsyncIterator[TestHost]:
    """The app on a host of its own for this test, with time in the test's hands."""
    options: dict[str, Any] = {"app_dir": functions_app}
    for mark in reversed(list(request.node.iter_markers(MARK))):
        if mark.args:
            raise pytest.UsageError(f"@pytest.mark.{MARK} takes options by name only, not {mark.args}.")
        options.update(mark.kwargs)
    async with TestHost(**options) as host:
        yield host
