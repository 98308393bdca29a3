"""The kit's own app on the kit."""

from __future__ import annotations

from pathlib import Path

import pytest

from devhost.testing.plugin import functions_host

__all__ = ["functions_host"]


@pytest.fixture
def functions_app() -> Path:
    return Path(__file__).parent / "kit_app"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "functions_host(**options): options of devhost.testing.TestHost")
