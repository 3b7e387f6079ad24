"""Fixtures of the tests of the store."""

from pathlib import Path

import pytest

from tests.mounting import require_mounts


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A folder to mount on; skips where mounting is refused."""
    require_mounts(tmp_path)
    return tmp_path
