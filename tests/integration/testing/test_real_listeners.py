"""A virtual clock has no say over a real storage account."""

from __future__ import annotations

from pathlib import Path

import pytest

from devhost.host import Host
from devhost.testing import VirtualClock


async def test_real_queue_listeners_warn_of_a_virtual_clock(
    functions_app: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    async with Host(functions_app, port=0, state=":memory:", clock=VirtualClock(), environment=environment):
        assert "poll a real storage account by a virtual clock" in caplog.text
        assert "devhost.testing.TestHost has queues in memory" in caplog.text
