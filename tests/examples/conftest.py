"""What the examples of doc/testing-durable-functions.md need beside themselves: errors as the guide shows them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests import documents

GUIDE = documents.ROOT / "doc" / "testing-durable-functions.md"


@pytest.fixture
def shown_in_guide() -> Callable[[BaseException], bool]:
    """Whether the guide shows an error with this type and text; it writes … for what differs from run to run."""
    texts = ["\n".join(block.lines) for block in documents.blocks(GUIDE) if block.language == "text"]
    patterns = [re.escape(text).replace("…", ".+") for text in texts]

    def is_shown(error: BaseException) -> bool:
        told = f"{type(error).__name__}: {error}"
        return any(re.fullmatch(pattern, told, re.DOTALL) for pattern in patterns)

    return is_shown
