"""A state folder belongs to one devhost at a time, and what can't be used is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from devhost.durable.state_folder import StateError, StateFolder
from devhost.durable.store import Store


def test_a_second_devhost_on_the_same_folder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.open()
    with pytest.raises(StateError, match=r"Another devhost uses the state in .* --state"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateError, match="must be a folder"):
        StateFolder(tmp_path / "state").open()


def test_a_state_file_that_is_no_database_is_left_alone_and_named(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    file.write_text("something else entirely, and long enough to be looked at", "utf-8")
    with pytest.raises(StateError, match=r"hub\.db can't be read: file is not a database"):
        Store(file)
    assert file.read_text("utf-8").startswith("something else")
