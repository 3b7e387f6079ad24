"""A kernel starts where the disk is full or IPython's files are broken, and says so once."""

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.kernels import Kernel
from tests.promises import promise
from tests.replies import Ran

_HISTORY: Final = "flow: IPython's history cannot be opened; that of this session is not kept\n"
_MOVED: Final = "flow: IPython's history was broken or locked; it is now "


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder of a disk that is full."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is refused here")
    try:
        with (folder / "fill").open("wb", buffering=0) as file:
            while file.write(b"x" * 4096) == 4096:
                pass
    except OSError:
        pass
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@promise("faults.start", "disk.harmless")
def test_a_kernel_starts_on_a_full_disk(full: Path) -> None:
    places = {"HOME": str(full), "IPYTHONDIR": str(full / "ipython")}
    with Kernel(env=places, home=full / "home", is_cold=True) as kernel:
        first, second = kernel.run("print('out'); 1 + 1"), kernel.run("_ + 1")

        assert (first.stdout, first.result, second.result) == ("out\n", "2", "3")
        assert first.stderr.count("(No space left on device)") == 2
        assert "IPython's profile and history are temporary" in first.stderr
        assert second.stderr == ""


@promise("faults.start")
def test_a_kernel_starts_where_the_profile_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "profile_default").symlink_to(tmp_path / "gone/profile_default")
    with Kernel(env={"IPYTHONDIR": str(tmp_path)}) as kernel:
        first, second = kernel.run("1 + 1"), kernel.run("_ + 1")
        spare = kernel.run("get_ipython().profile_dir.location").result
        kernel.shutdown()

        assert (first.result, second.result) == ("2", "3")
        assert first.stderr == (
            f"flow: cannot write {tmp_path} (No such file or directory);"
            " IPython's profile and history are temporary\n"
        )
        assert second.stderr == ""
        assert not Path(str(spare).strip("'")).exists()


@promise("faults.start")
def test_a_kernel_starts_beside_a_locked_history(tmp_path: Path) -> None:
    with Kernel(env={"IPYTHONDIR": str(tmp_path)}) as kernel:
        kernel.run("1")
    database = sqlite3.connect(tmp_path / "profile_default/history.sqlite", isolation_level=None)
    try:
        database.execute("begin exclusive")
        with Kernel(env={"IPYTHONDIR": str(tmp_path)}) as kernel:
            first, second = kernel.run("1 + 1"), kernel.run("_ + 1")

            assert (first.result, _is_moved(first)) == ("2", True)
            assert (second.result, second.stderr) == ("3", "")
    finally:
        database.close()


@promise("faults.start")
@pytest.mark.parametrize("content", [b"no database" * 1000, None], ids=["garbage", "a_directory"])
def test_a_kernel_starts_beside_a_broken_history(tmp_path: Path, content: bytes | None) -> None:
    history = tmp_path / "profile_default/history.sqlite"
    history.parent.mkdir()
    history.mkdir() if content is None else history.write_bytes(content)
    with Kernel(env={"IPYTHONDIR": str(tmp_path)}) as kernel:
        first, second = kernel.run("1 + 1"), kernel.run("_ + 1")

        assert (first.result, second.result, second.stderr) == ("2", "3", "")
        assert _is_moved(first) if content else first.stderr == _HISTORY


def _is_moved(ran: Ran) -> bool:
    """The person is told where the old history is."""
    where = Path(ran.stderr.removeprefix(_MOVED).rstrip("\n"))
    return ran.stderr.startswith(_MOVED) and where.is_file()
