"""A home that cannot be written breaks no cell and is said once."""

import os
import shutil
from pathlib import Path

import pytest

from tests.kernels import Kernel
from tests.promises import promise


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A path under which no directory can be made, even by root."""
    file = tmp_path / "file"
    file.write_text("not a directory", encoding="utf-8")
    return file / "home"


@promise("disk.harmless")
def test_a_home_that_cannot_be_made_is_said_once_and_cells_run(sealed: Path) -> None:
    with Kernel(home=sealed) as kernel:
        first, second = kernel.run("x = 1; x"), kernel.run("x + 1")

        assert (first.result, second.result) == ("1", "2")
        assert str(sealed) in first.stderr
        assert second.stderr == ""
        assert "seq" not in first.flow
        assert (first.flow["added_vars"], second.flow["execution"]) == (["x"], "local")


@promise("disk.harmless")
def test_a_home_deleted_under_the_kernel_breaks_no_cell(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Kernel(home=home) as kernel:
        kernel.run("x = 1")
        shutil.rmtree(home)

        runs = [kernel.run(f"x + {i}") for i in range(3)]

        assert [r.result for r in runs] == ["1", "2", "3"]


@promise("disk.harmless", "record.acknowledged")
def test_a_full_disk_is_said_once_and_its_records_follow_when_there_is_room(tmp_path: Path) -> None:
    with Kernel() as kernel:
        kernel.run(
            "import resource, signal, os\n_s = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
        )
        kernel.run("soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)")
        # A limit on the size of files makes every write fail as a full disk does.
        full = kernel.run("resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard)); during = 1")
        runs = [kernel.run(f"during + {i}") for i in range(3)]
        freed = kernel.run("resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)); after = 1")
        last = kernel.run("last = 1")

        said = [r.stderr for r in (full, *runs, freed, last) if r.stderr]
        assert [r.result for r in runs] == ["1", "2", "3"]
        assert len(said) == 1
        assert all("seq" not in r.flow for r in runs)
        records = kernel.logs.records()
        assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
        assert [r["result"] for r in records if r["kind"] == "cell" and r["result"]] == [
            "1",
            "2",
            "3",
        ]
        assert kernel.logs.one("cell", seq=last.seq)["added_vars"] == ["last"]


@promise("disk.harmless")
def test_a_log_that_became_a_directory_breaks_no_cell(tmp_path: Path) -> None:
    home = tmp_path / "home"
    os.makedirs(home / "log/local/T-0000.jsonl")

    with Kernel(home=home) as kernel:
        runs = [kernel.run(f"x = {i}; x") for i in range(4)]

        assert [r.result for r in runs] == ["0", "1", "2", "3"]
        assert len([r.stderr for r in runs if r.stderr]) == 1
