"""A real Chromium without a screen, for what only a browser can tell.

Called by tests that look at a page, and by `lab`.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests import screens

QUIET_FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""Chromium asks nobody for anything, and needs neither a screen nor rights."""
_FLAGS: Final = (*QUIET_FLAGS, "--headless", "--hide-scrollbars", "--virtual-time-budget=5000")


def program() -> str:
    """Where Chromium is; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no chromium here")
    return found


def picture(page: Path, *, width: int = 900, height: int = 1400) -> Path:
    """A picture of `page`, taken once it has had five seconds of its own time, and kept.

    Skips the test where there is no Chromium.
    """
    target = screens.place(page.stem)
    target.unlink(missing_ok=True)
    subprocess.run(
        [
            *(program(), *_FLAGS, f"--user-data-dir={page.with_suffix('.profile')}"),
            *(f"--window-size={width},{height}", f"--screenshot={target}", page.as_uri()),
        ],
        capture_output=True,
        check=True,
        timeout=50,
    )
    return target
