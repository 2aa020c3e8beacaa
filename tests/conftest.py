"""How the suite is spread over two processes: windows in one, everything else in the other."""

from __future__ import annotations

from pathlib import Path

import pytest

_WINDOWS = Path(__file__).parent / "app"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one file together, and all that open windows in one process.

    Two viewers on one screen would take the keyboard from each other.
    """
    for item in items:
        windows = _WINDOWS in item.path.parents
        item.add_marker(pytest.mark.xdist_group("windows" if windows else item.path.name))
