"""Pictures of browser tests: where they are kept, and that git does not look at them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import screens
from tests.source import ROOT


def test_a_picture_is_kept_at_a_fixed_place_with_the_name_of_its_test(
    request: pytest.FixtureRequest,
) -> None:
    assert screens.place() == ROOT / "out" / "screens" / f"{request.node.name}.png"
    assert screens.place("asks").name == f"{request.node.name}-asks.png"


def test_the_folder_of_pictures_can_be_named(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    env = {
        "FLOW_SCREENS": str(folder),
        "PYTEST_CURRENT_TEST": "tests/flows/test_x.py::test_it[%%isolated\n/../../up] (teardown)",
    }

    found = screens.place("JupyterLab Dark", env=env)

    assert found == folder / "test_it-isolated-..-..-up-JupyterLab-Dark.png"
    assert folder.is_dir()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_pictures_are_not_in_the_repository() -> None:
    found = subprocess.run(
        ["git", "check-ignore", "--quiet", str(screens.FOLDER / "test.png")], cwd=ROOT, check=False
    )
    if found.returncode == 128:
        pytest.skip("the sources are no repository here")
    assert found.returncode == 0


def test_every_test_of_a_browser_keeps_its_pictures_there() -> None:
    """Pages are drawn into files at one place of the tests, and by the browser without a page."""
    writers = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if path.name != Path(__file__).name
        and (".screenshot(" in (text := path.read_text("utf-8")) or "--screenshot=" in text)
    }
    assert writers == {"tests/screens.py", "tests/browser.py"}
