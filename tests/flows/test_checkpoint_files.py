"""Files that git does not hold, in real kernels: large ones, and all where there is no git."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoint_kernels import flow, ran
from tests.forked import ForkedKernel, Zygote
from tests.kernels import Kernel
from tests.promises import promise
from tests.source import ROOT
from tests.store.git_shapes import write
from tests.store.test_files_swap import program

LARGE = "import os, random; os.makedirs('data', exist_ok=True)\n"
LARGE += "open('data/big.bin', 'wb').write(random.Random(1).randbytes(6_100_000));"
FACTS = (
    "import hashlib, os; print(*(f'{p}={hashlib.md5(open(p, \"rb\").read()).hexdigest()[:6]}'"
    " if os.path.exists(p) else f'{p} is gone' for p in ('data/big.bin', 'a.txt', 'late.txt')))"
)


@pytest.fixture(params=["with git", "without git"])
def kernel(request: pytest.FixtureRequest, tmp_path: Path, lean: Zygote) -> Iterator[Kernel]:
    with ForkedKernel(lean, env={"JUPYTER_DATA_DIR": str(tmp_path / "data")}) as kernel:
        kernel.ready()
        if request.param == "with git":
            subprocess.run(["git", "init", "-q"], cwd=kernel.cwd, env=kernel.env, check=True)
        ran(kernel, LARGE, "open('a.txt', 'w').write('one');")
        yield kernel


@promise("checkpoint.files", "rollback.undoable")
def test_files_come_back_with_the_variables_and_going_back_can_be_undone(kernel: Kernel) -> None:
    before = ran(kernel, "n = 1", "%checkpoint first", FACTS)
    ran(kernel, "n = 2; open('data/big.bin', 'ab').write(b'more'); os.unlink('a.txt')")
    later = ran(kernel, "open('late.txt', 'w').write('late');", FACTS)

    dry = ran(kernel, "dry = %rollback first --dry-run", "print(dry.rollback.files)")
    assert "added=['a.txt'], changed=['data/big.bin'], removed=['late.txt']" in dry
    assert ran(kernel, FACTS) == later
    ran(kernel, "back = %rollback first")
    assert ran(kernel, FACTS) == before
    assert ran(kernel, "print(n, back.rollback.files)") == f"1 {dry}"
    ran(kernel, "%rollback {back.rollback.safety.checkpoint_id}")
    assert ran(kernel, FACTS) == later


@promise("checkpoint.files")
def test_where_files_lie_that_a_killed_way_back_had_taken_away_is_said_once(
    kernel: Kernel, tmp_path: Path
) -> None:
    write(tmp_path / "after/new", "new")
    for name in ("staged", "moved"):
        (kernel.cwd / "gone").write_text("precious")
        with subprocess.Popen(
            program(name, kernel.cwd, tmp_path), cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            child.kill()
    assert len([*kernel.cwd.glob("*.flow-draft")]) == 2
    said = [kernel.run(cell).stderr for cell in 2 * ("%checkpoint --wait", "1")]

    [left] = kernel.cwd.glob(".*.flow-draft")
    assert "".join(said).count(str(left)) == 1
    assert b"precious" in {one.read_bytes() for one in left.iterdir() if one.is_file()}


@promise("checkpoint.files", "checkpoint.survives")
def test_files_outlive_their_kernel_and_what_others_prune(kernel: Kernel) -> None:
    ran(kernel, "%checkpoint first", "open('data/big.bin', 'wb').write(b'x' * 6_000_000);")
    kept = ran(kernel, FACTS, "%checkpoint second", FACTS)
    ran(kernel, "open('data/big.bin', 'wb').write(b'y' * 6_000_000);")
    kernel.kill()
    assert flow(kernel, "checkpoints", "prune", "--keep", "1", "--yes").returncode == 0
    kernel.restart()
    kernel.run("1")

    ran(kernel, "%rollback second --files")
    assert ran(kernel, FACTS) == kept


@promise("checkpoint.files", "checkpoint.named")
def test_files_are_compared_shown_and_verified_elsewhere(kernel: Kernel) -> None:
    said = ran(kernel, "open(b'latin-\\xe9.txt', 'w').write('x');", "%checkpoint first")
    assert "6.1 MB" in said
    ran(kernel, "open('data/big.bin', 'ab').write(b'more'); os.unlink(b'latin-\\xe9.txt')")
    ran(kernel, "%checkpoint second")

    done = flow(kernel, "diff", "first", "second", "--json")
    files = json.loads(done.stdout)["files"]
    assert files == {"added": [], "changed": ["data/big.bin"], "removed": ['"latin-\\xe9.txt"']}
    assert "6.1 MB" in flow(kernel, "checkpoints", "show", "first").stdout
    assert flow(kernel, "checkpoints", "verify").returncode == 0
    checked = json.loads(flow(kernel, "check", "--json").stdout)
    assert (checked["ok"], checked["checkpoints"]["unneeded_bytes"]) == (True, 0)

    ran(kernel, "%rollback first --files")
    assert ran(kernel, "print(open(b'latin-\\xe9.txt').read())") == "x\n"
    for segment in (kernel.home / "objects/segments").glob("*.seg"):
        data = bytearray(segment.read_bytes())
        for at in range(100, len(data), 40_000):
            data[at] ^= 1
        segment.write_bytes(data)
    verified = flow(kernel, "checkpoints", "verify", "first", "--json")
    assert verified.returncode == 1
    assert any("file" in one["reason"] for one in json.loads(verified.stdout)["damaged"])
    checked = json.loads(flow(kernel, "check", "--json").stdout)
    assert any("file data/big.bin: " in one["reason"] for one in checked["damaged"])
    refused = kernel.run("%rollback second --files")
    assert "nothing was changed" in refused.stderr


@promise("checkpoint.files", "checkpoint.foreign")
def test_files_of_a_foreign_checkpoint_are_files_and_run_nothing(
    kernel: Kernel, tmp_path: Path
) -> None:
    kept = ran(kernel, "n = 1", "%checkpoint first", FACTS)
    ran(kernel, "n = 2; open('data/big.bin', 'wb').close()")
    (tmp_path / "data/flow/key").write_text("ab" * 32 + "\n")
    kernel.restart()

    assert "not signed with your key" in kernel.run("%rollback first").stderr
    ran(kernel, "%rollback first --files")
    assert ran(kernel, FACTS) == kept


@promise("checkpoint.harmless")
def test_a_database_that_a_cell_has_open_keeps_its_locks(tmp_path: Path) -> None:
    with Kernel(env={"JUPYTER_DATA_DIR": str(tmp_path / "data")}) as kernel:
        kernel.ready()
        ran(
            kernel,
            "import sqlite3, subprocess, sys\n"
            "db = sqlite3.connect('mine.db', isolation_level=None)\n"
            "db.execute('create table t (x)'); db.execute('begin immediate')",
        )
        assert "mine.db" not in ran(kernel, "%checkpoint a --wait")  # it is kept
        other = "import sqlite3; sqlite3.connect('mine.db', timeout=0).execute('begin immediate')"
        done = ran(
            kernel,
            f"print(subprocess.run([sys.executable, '-c', {other!r}], capture_output=True,"
            " text=True).stderr[-30:])",
        )
        assert "database is locked" in done
