"""Pictures of what the tests of a browser have seen, kept where a person finds them afterwards.

Used by `lab`, `browser` and the tests of the dashboard. They are at `out/screens/<test>.png`, which
git does not look at, or in the folder that `FLOW_SCREENS` names.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.source import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER: Final = ROOT / "out" / "screens"
_RUNNING: Final = "PYTEST_CURRENT_TEST"
_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_CHARS: Final = 160


def place(state: str = "", *, env: Mapping[str, str] = os.environ) -> Path:
    """Where the picture of the test that runs now belongs; its folder is there afterwards.

    Args:
        state: What is seen, where a test takes several pictures.
        env: Has the folder that is asked for, and the name of the test, which pytest keeps there.
    """
    folder = Path(env.get("FLOW_SCREENS") or FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    test = env.get(_RUNNING, "").rpartition(" (")[0].partition("::")[2] or "no_test"
    words = [_ODD.sub("-", word).strip("-") for word in (test, state) if word]
    return folder / f"{'-'.join(words)[:_MOST_CHARS]}.png"


def keep(page: "Page", state: str = "") -> Path:
    """Keep what a page shows now; see `place`."""
    path = place(state)
    page.screenshot(path=path)
    return path
